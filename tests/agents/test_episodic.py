"""Episodic training: the schedule, the order of examples, clipping."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sim2real.agents.episodic import Episodic, EpisodicConfig
from sim2real.few_shot_types import TaskBatch
from sim2real.types import Metrics
from tests.agents.clusters import Clusters


class Recorder(nn.Module):
    """Its loss is 100 w; remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))
        self.seen: list[TaskBatch] = []

    def loss(self, batch: TaskBatch) -> tuple[Tensor, Metrics]:
        assert self.training
        self.seen.append(batch)
        return 100 * self.w, {}


def run(config: EpisodicConfig, updates: int) -> tuple[Episodic, Recorder]:
    learner = Recorder()
    algorithm = Episodic(learner, config, Clusters(), seed=0, device="cpu")
    for _ in range(updates):
        assert algorithm.collect()[0] == config.tasks_per_update
        algorithm.update()
    return algorithm, learner


def test_the_step_is_halved_every_so_many_tasks() -> None:
    rates = []
    algorithm, _ = run(EpisodicConfig(tasks_per_update=2, learning_rate=0.8, halve_every=4), 0)
    for _ in range(6):
        algorithm.collect()
        algorithm.update()
        rates.append(algorithm.optimizer.param_groups[0]["lr"])
    assert rates == [0.8, 0.8, 0.4, 0.4, 0.2, 0.2]


def test_support_examples_are_shuffled_with_their_labels() -> None:
    _, learner = run(EpisodicConfig(tasks_per_update=3), 4)
    source = Clusters()
    orders = set()
    for batch in learner.seen:
        plain = source.sample(3).support
        # Where each example went, by its first number; the same order in all tasks of a batch.
        first = plain.inputs[:, :, 0]
        order = (batch.support.inputs[:, None, :, 0] == first[:, :, None]).int().argmax(1)[0]
        assert torch.equal(batch.support.inputs, plain.inputs[:, order])
        assert torch.equal(batch.support.targets, plain.targets[:, order])
        orders.add(tuple(order.tolist()))
    assert len(orders) > 1


def test_gradients_are_clipped_only_if_asked() -> None:
    norms = []
    for limit in (None, 0.25):
        _, learner = run(EpisodicConfig(max_grad_norm=limit), 1)
        assert learner.w.grad is not None
        norms.append(round(float(learner.w.grad), 3))
    assert norms == [100.0, 0.25]


def test_the_policy_is_in_evaluation_mode() -> None:
    algorithm, _ = run(EpisodicConfig(), 1)
    assert not algorithm.policy.training


def test_update_needs_collect() -> None:
    with pytest.raises(RuntimeError, match=r"update\(\) uses the tasks that collect\(\) draws; call that first"):
        run(EpisodicConfig(), 0)[0].update()


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="tasks_per_update has to be at least 1, got 0"):
        EpisodicConfig(tasks_per_update=0)
    with pytest.raises(ValueError, match=r"halve_every has to be at least 1 \(or null\), got 0"):
        EpisodicConfig(halve_every=0)
