"""Conditional neural processes: what an answer may depend on, and that they learn to learn."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from sim2real.agents.embedding import EmbeddingConfig
from sim2real.agents.episodic import EpisodicConfig, episodic
from sim2real.agents.neural_process import NeuralProcess, NeuralProcessConfig
from sim2real.few_shot_types import Examples, TaskSource
from tests.agents.clusters import Clusters
from tests.agents.lines import Lines

CONFIG = NeuralProcessConfig(
    embedding=EmbeddingConfig(filters=16), training=EpisodicConfig(learning_rate=1e-2, tasks_per_update=16), units=32
)


@pytest.mark.parametrize("source", [Clusters(), Lines(0)])
def test_the_support_set_is_a_set(source: TaskSource) -> None:
    learner = NeuralProcess(CONFIG, source.task).eval()
    batch = source.sample(3)
    s, x = batch.support, batch.query.inputs
    answers = learner.adapt(s).predict(x)["adapted"]
    assert_close(learner.adapt(Examples(s.inputs.flip(1), s.targets.flip(1))).predict(x)["adapted"], answers)
    twice = Examples(torch.cat([s.inputs] * 2, 1), torch.cat([s.targets] * 2, 1))
    assert_close(learner.adapt(twice).predict(x)["adapted"], answers)  # a mean, not a sum
    assert_close(learner.adapt(s).predict(x[:, 2:3])["adapted"], answers[:, 2:3])
    other = Examples(s.inputs, s.targets.flip(1))
    assert not torch.allclose(learner.adapt(other).predict(x)["adapted"], answers)


def test_it_learns_to_regress_from_the_support_set() -> None:
    algorithm = episodic(NeuralProcess)(CONFIG, Lines(0), seed=0, device="cpu")
    for _ in range(300):
        algorithm.collect()
        algorithm.update()
    batch = Lines(9).sample(100)
    outputs = algorithm.policy.adapt(batch.support).predict(batch.query.inputs)["adapted"]
    error = (outputs - batch.query.targets).square().mean()
    assert error < 0.1 * batch.query.targets.square().mean()  # 1 for whoever ignores the support set


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="units"):
        NeuralProcessConfig(units=0)
