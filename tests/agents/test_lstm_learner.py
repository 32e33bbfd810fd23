"""The black-box learner: what it may know of what, and that it learns to learn."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from sim2real.agents.embedding import EmbeddingConfig
from sim2real.agents.episodic import Episodic, EpisodicConfig, episodic
from sim2real.agents.lstm_learner import LSTMLearner, LSTMLearnerConfig
from sim2real.few_shot_types import Examples, TaskSource
from tests.agents.clusters import Clusters
from tests.agents.lines import Lines

CONFIG = LSTMLearnerConfig(
    embedding=EmbeddingConfig(filters=16), training=EpisodicConfig(learning_rate=1e-2, tasks_per_update=16), units=32
)


def trained(source: TaskSource, updates: int) -> Episodic:
    algorithm = episodic(LSTMLearner)(CONFIG, source, seed=0, device="cpu")
    for _ in range(updates):
        algorithm.collect()
        algorithm.update()
    return algorithm


def test_it_learns_to_classify_from_the_support_set() -> None:
    learner = trained(Clusters(ways=2), 300).policy
    batch = Clusters(ways=2, seed=9).sample(100)
    outputs = learner.adapt(batch.support).predict(batch.query.inputs)["adapted"]
    assert (outputs.argmax(-1) == batch.query.targets).float().mean() > 0.8  # chance is 1/2


def test_it_learns_to_regress_from_the_support_set() -> None:
    learner = trained(Lines(0), 300).policy
    batch = Lines(9).sample(100)
    error = (learner.adapt(batch.support).predict(batch.query.inputs)["adapted"] - batch.query.targets).square().mean()
    assert error < 0.1 * batch.query.targets.square().mean()  # 1 for whoever ignores the support set


@pytest.mark.parametrize("source", [Clusters(), Lines(0)])
def test_queries_do_not_see_each_other_and_labels_count(source: TaskSource) -> None:
    learner = LSTMLearner(CONFIG, source.task).eval()
    batch = source.sample(3)
    predictor = learner.adapt(batch.support)
    together = predictor.predict(batch.query.inputs)["adapted"]
    assert_close(predictor.predict(batch.query.inputs[:, 2:3])["adapted"], together[:, 2:3])
    other = Examples(batch.support.inputs, batch.support.targets.flip(1))
    assert not torch.allclose(learner.adapt(other).predict(batch.query.inputs)["adapted"], together)


def test_a_blank_label_is_not_the_number_zero() -> None:
    learner = LSTMLearner(CONFIG, Lines(0).task).eval()
    x = torch.ones(1, 1, 1)
    answer = learner.adapt(Examples(x, torch.zeros(1, 1, 1))).predict(x)["adapted"]
    embedded = learner.embed(x)
    read_as_pair, _ = learner.lstm(torch.cat([embedded, torch.tensor([[[0.0, 1.0]]])], -1).repeat(1, 2, 1))
    assert not torch.allclose(learner.head(read_as_pair[:, -1:]), answer)


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="units and layers have to be at least 1, got 0 and 1"):
        LSTMLearnerConfig(units=0)
