"""Matching networks: votes and contexts worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from sim2real.agents.embedding import EmbeddingConfig
from sim2real.agents.episodic import EpisodicConfig, episodic
from sim2real.agents.matching import MatchingConfig, MatchingNet, QueryContext, Readout, SupportContext, attend
from sim2real.few_shot_types import Examples, FewShotSpec
from tests.agents.clusters import Clusters


def test_a_vote_is_the_attention_on_each_class() -> None:
    # softmax(log 1, log 2, log 5) = (1, 2, 5) / 8; examples 0 and 2 are of class 0.
    scores = torch.tensor([[[1.0, 2.0, 5.0]]]).log()
    members = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]])
    assert_close(attend(scores, members).exp(), torch.tensor([[[6 / 8, 2 / 8]]]))


def test_a_vote_against_all_odds_stays_finite() -> None:
    scores = torch.tensor([[[0.0, 500.0]]], requires_grad=True)
    log_probability = attend(scores, torch.eye(2)[None])
    assert_close(log_probability, torch.tensor([[[-500.0, 0.0]]]))
    log_probability[0, 0, 0].backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None and bool(scores.grad.isfinite().all())


def test_one_shot_by_hand() -> None:
    # Cosines of (4, 3) with the axes are 0.8 and 0.6; with scale s the odds are e^(0.2 s).
    spec = FewShotSpec("by hand", "classification", (2,), 2, 1, 1)
    net = MatchingNet(MatchingConfig(scale=5.0, learn_scale=False), spec).eval()
    net.embed = nn.Identity()  # type: ignore[assignment]
    support = Examples(torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]), torch.tensor([[0, 1]]))
    log_probability = net.adapt(support).predict(torch.tensor([[[4.0, 3.0]]]))["adapted"]
    assert_close(log_probability.exp()[0, 0, 0], torch.tensor(1 / (1 + math.exp(-1.0))))


def test_the_support_is_read_in_both_directions_and_added() -> None:
    torch.manual_seed(0)
    context, embedded = SupportContext(3), torch.randn(2, 4, 3)
    both = context.lstm(embedded)[0]
    assert_close(context(embedded), both[..., :3] + both[..., 3:] + embedded)
    # The first example's context knows the last example.
    changed = embedded.clone()
    changed[:, -1] += 1
    assert not torch.allclose(context(embedded)[:, 0], context(changed)[:, 0])


def _constant_gates(readout: Readout, steps: int) -> QueryContext:
    """Size 1; every gate is open half way (0.5), the candidate is tanh of the sum of its recurrent inputs."""
    context = QueryContext(1, steps, readout)
    for parameter in context.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        context.recurrent.weight[2] = 1.0
    return context


@pytest.mark.parametrize("readout", ["concatenate", "add"])
def test_the_attention_lstm_by_hand(readout: Readout) -> None:
    # f' = 1, support {0, 2}. Step 1: no memory yet, so c = 0, h = 0 + 1; r = 2 e^2 / (1 + e^2).
    # Step 2: candidate tanh(h + r) in both forms here, c = 0.5 * tanh(1 + r), h = 0.5 * tanh(c) + 1.
    query, support = torch.ones(1, 1, 1), torch.tensor([[[0.0], [2.0]]])
    assert_close(_constant_gates(readout, 1)(query, support), torch.ones(1, 1, 1))
    r = 2 * math.exp(2) / (1 + math.exp(2))
    c = 0.5 * math.tanh(1 + r)
    assert_close(_constant_gates(readout, 2)(query, support), torch.full((1, 1, 1), 0.5 * math.tanh(c) + 1))


def test_concatenated_and_added_readouts_are_different_functions() -> None:
    query, support = torch.ones(1, 1, 1), torch.tensor([[[0.0], [2.0]]])
    concatenated = _constant_gates("concatenate", 2)
    with torch.no_grad():
        concatenated.recurrent.weight[2, 1] = -1.0  # h and r with weights of their own: added they can not have any
    r = 2 * math.exp(2) / (1 + math.exp(2))
    c = 0.5 * math.tanh(1 - r)
    assert_close(concatenated(query, support), torch.full((1, 1, 1), 0.5 * math.tanh(c) + 1))
    assert QueryContext(4, 1, "concatenate").recurrent.in_features == 8
    assert QueryContext(4, 1, "add").recurrent.in_features == 4


@pytest.mark.parametrize("full_context", [False, True])
def test_it_learns_to_classify(full_context: bool) -> None:
    config = MatchingConfig(
        embedding=EmbeddingConfig(filters=16),
        training=EpisodicConfig(learning_rate=1e-2, tasks_per_update=4),
        full_context=full_context,
    )
    algorithm = episodic(MatchingNet)(config, Clusters(), seed=0, device="cpu")
    for _ in range(60):
        algorithm.collect()
        algorithm.update()
    batch = Clusters(seed=9).sample(50)
    outputs = algorithm.policy.adapt(batch.support).predict(batch.query.inputs)["adapted"]
    assert (outputs.argmax(-1) == batch.query.targets).float().mean() > 0.9
    assert_close(outputs.exp().sum(-1), torch.ones(outputs.shape[:2]))


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match=r"scale has to be above 0 and attention_steps at least 1, got -1\.0 and 3"):
        MatchingConfig(scale=-1.0)
