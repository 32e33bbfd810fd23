from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fetch_dynamics import WithinEpisodes, gains
from sim2real.scores import Scores
from sim2real.types import FloatArray, Obs

FAMILY: Any = SimpleNamespace(
    task=SimpleNamespace(horizon=3, action=1),
    interface=SimpleNamespace(terms=(SimpleNamespace(elements=(0, 0)), SimpleNamespace(elements=(0,)))),
    batch=lambda tasks, rollouts, generator: Batch(len(tasks), rollouts),
)
"""Observations of two numbers, goals of one."""


class Batch:
    """The reward is the action; every observation is (0, 1), the goal 2."""

    def __init__(self, tasks: int, rollouts: int) -> None:
        self.shape = (tasks, rollouts)

    def reset(self) -> Tensor:
        return torch.arange(3.0).expand(*self.shape, 3)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, None]:
        return self.reset(), actions[..., 0], None

    def success(self) -> Tensor:
        return torch.ones(self.shape, dtype=torch.bool)


class Counting:
    """Its action is the number of steps it remembers; it keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Obs] = []

    def initial_state(self, n: int) -> tuple[Tensor]:
        return (torch.zeros(1, n, 1),)

    def act(self, obs: Obs, state: tuple[Tensor], *, deterministic: bool) -> tuple[FloatArray, tuple[Tensor]]:
        self.seen.append(obs)
        return state[0][0].numpy(), (state[0] + 1,)


def test_memory_lasts_an_episode_and_is_emptied_where_that_is_asked_for() -> None:
    policy = Counting()
    outcome = WithinEpisodes(policy).meet(FAMILY, torch.zeros(2, 1), torch.Generator(), episodes=4)
    assert outcome["episode"]["return"].tolist() == [0 + 1 + 2] * 2
    assert outcome["forgetful"]["return"].tolist() == [0.0] * 2
    assert outcome["episode"]["success"].tolist() == [1.0] * 2
    third = policy.seen[2]  # of the first episodes, eight of them side by side
    np.testing.assert_array_equal(third["observation"], [[0.0, 1.0]] * 8)
    np.testing.assert_array_equal(third["desired_goal"], [[2.0]] * 8)
    np.testing.assert_array_equal(third["previous_action"], [[1.0]] * 8)


def test_a_gain_is_the_last_setting_over_the_first_task_by_task() -> None:
    after = {f"episode_{k}": {"return": np.array([k, 2.0 * k])} for k in (1, 2, 3)}
    (row,) = gains(Scores({"trial": {"return": np.array([6.0, 12.0])}, **after}))
    assert (row["setting"], row["value"], row["n"]) == ("episode_3 - episode_1", 3.0, 2)
    assert gains(Scores({"episode": {"return": np.zeros(2)}})) == []
