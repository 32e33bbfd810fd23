"""Prototypical networks: a task worked by hand, and how the metrics are related."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from sim2real.agents.embedding import EmbeddingConfig
from sim2real.agents.episodic import EpisodicConfig, episodic
from sim2real.agents.protonet import ProtoNet, ProtoNetConfig
from sim2real.agents.similarity import Similarity
from sim2real.few_shot_types import Examples, FewShotSpec
from tests.agents.clusters import Clusters

SPEC = FewShotSpec("by hand", "classification", (2,), 2, 2, 1)


def identity_net(metric: Similarity = "squared_euclidean") -> ProtoNet:
    """A network whose encoder leaves its input as it is."""
    net = ProtoNet(ProtoNetConfig(metric=metric), SPEC).eval()
    net.embed = nn.Identity()  # type: ignore[assignment]
    return net


def logits(net: ProtoNet, support: list[list[float]], query: list[list[float]]) -> Tensor:
    labels = torch.tensor([[0, 0, 1, 1]])
    return net.adapt(Examples(torch.tensor([support]), labels)).predict(torch.tensor([query]))["adapted"]


def test_two_classes_by_hand() -> None:
    # Prototypes (1, 0) and (0, 3); squared distances of (1, 1) to them are 1 and 5.
    scores = logits(identity_net(), [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 4.0]], [[1.0, 1.0]])
    assert_close(scores, torch.tensor([[[-1.0, -5.0]]]))
    assert_close(scores.softmax(-1)[0, 0, 0], torch.tensor(1 / (1 + math.exp(-4))))


def test_the_dot_product_is_half_the_euclidean_one_where_prototypes_are_equally_long() -> None:
    # Prototypes (1, 0) and (0, -1). -||x - c||^2 = 2 x.c - ||c||^2 - ||x||^2, so logits differ by a constant and a 2.
    support, query = [[0.5, 0.0], [1.5, 0.0], [1.0, -1.0], [-1.0, -1.0]], [[0.3, -0.9], [2.0, 0.1]]
    euclidean = logits(identity_net("squared_euclidean"), support, query)
    dot = logits(identity_net("dot"), support, query)
    assert_close((2 * dot).softmax(-1), euclidean.softmax(-1))
    longer = [[0.5, 0.0], [1.5, 0.0], [1.0, -2.0], [-1.0, -2.0]]
    unequal = logits(identity_net("dot"), longer, query), logits(identity_net("squared_euclidean"), longer, query)
    assert not torch.allclose((2 * unequal[0]).softmax(-1), unequal[1].softmax(-1))


def test_a_cosine_is_multiplied_by_its_scale() -> None:
    # Prototypes (1, 0) and (0, 3); the cosines of (4, 3) are 0.8 and 0.6, and the scale begins at 10.
    scores = logits(identity_net("cosine"), [[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 4.0]], [[4.0, 3.0]])
    assert_close(scores, torch.tensor([[[8.0, 6.0]]]))


@pytest.mark.parametrize("metric", ["squared_euclidean", "cosine", "dot"])
def test_trained_on_more_ways_it_classifies_fewer(metric: Similarity) -> None:
    config = ProtoNetConfig(
        embedding=EmbeddingConfig(filters=16), training=EpisodicConfig(learning_rate=1e-2), metric=metric
    )
    algorithm = episodic(ProtoNet)(config, Clusters(ways=10, shots=1), seed=0, device="cpu")
    for _ in range(60):
        algorithm.collect()
        algorithm.update()
    batch = Clusters(ways=3, shots=5, seed=9).sample(50)
    outputs = algorithm.policy.adapt(batch.support).predict(batch.query.inputs)["adapted"]
    assert outputs.shape == (50, 12, 3)
    assert (outputs.argmax(-1) == batch.query.targets).float().mean() > 0.7  # chance is 1/3


def test_a_query_does_not_depend_on_the_others() -> None:
    net = ProtoNet(ProtoNetConfig(embedding=EmbeddingConfig(filters=4)), Clusters((1, 16, 16)).task).eval()
    batch = Clusters((1, 16, 16)).sample(2)
    predictor = net.adapt(batch.support)
    together = predictor.predict(batch.query.inputs)["adapted"]
    assert_close(predictor.predict(batch.query.inputs[:, 3:4])["adapted"], together[:, 3:4])


def test_regression_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prototypical networks classify; sines is a regression: take maml"):
        ProtoNet(ProtoNetConfig(), FewShotSpec("sines", "regression", (1,), 1, 5, 5))
