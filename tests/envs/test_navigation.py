from __future__ import annotations

import math

import pytest
import torch

from sim2real.envs.navigation import Navigation

GENERATOR = torch.Generator().manual_seed(0)


def test_goals_fill_the_square() -> None:
    goals = Navigation().sample(10_000, torch.Generator().manual_seed(0))
    assert goals.shape == (10_000, 2)
    assert -0.5 <= float(goals.min()) < -0.49 and 0.49 < float(goals.max()) <= 0.5
    assert float(goals.mean(0).abs().max()) < 0.01


@pytest.mark.parametrize(("unit_actions", "largest"), [(True, 1.0), (False, 0.1)])
def test_velocities_are_limited(unit_actions: bool, largest: float) -> None:
    family = Navigation(unit_actions=unit_actions)
    env = family.batch(torch.tensor([[0.4, 0.4]]), 2, GENERATOR)
    env.reset()
    actions = torch.tensor([[[0.5 * largest, -largest], [99.0, -99.0]]])
    observation, _, _ = env.step(actions)
    torch.testing.assert_close(observation, torch.tensor([[[0.05, -0.1], [0.1, -0.1]]]))
    assert family.task.action_high == (largest, largest)


@pytest.mark.parametrize(("reward", "power"), [("distance", 1), ("squared_distance", 2)])
def test_the_reward_is_that_of_where_the_step_led(reward: str, power: int) -> None:
    # From (0, 0) by (0.1, 0) with the goal in (0.4, 0.4): offset (-0.3, -0.4), distance 0.5.
    env = Navigation(reward=reward).batch(torch.tensor([[0.4, 0.4]]), 1, GENERATOR)  # type: ignore[arg-type]
    env.reset()
    _, paid, done = env.step(torch.tensor([[[1.0, 0.0]]]))
    assert float(paid) == pytest.approx(-(0.5**power))
    assert not done.any()


def test_an_episode_ends_close_to_the_goal_and_stays_there() -> None:
    env = Navigation().batch(torch.tensor([[0.105, 0.0], [0.105, 0.02]]), 1, GENERATOR)
    env.reset()
    right = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    observation, reward, done = env.step(right)
    assert done.flatten().tolist() == [True, False]  # 0.005 off along x; 0.02 off along y
    assert float(reward[0]) == pytest.approx(-0.005)
    after, reward, done = env.step(right)
    assert torch.equal(after[0], observation[0]) and float(reward[0]) == 0.0
    assert not torch.equal(after[1], observation[1]) and done.flatten().tolist() == [True, False]
    assert not env.reset().any()
    assert not env.step(torch.zeros(2, 1, 2))[2].any()


def test_standing_still_pays_the_distance_every_step() -> None:
    env = Navigation().batch(torch.tensor([[0.3, 0.4]]), 3, GENERATOR)
    env.reset()
    total = sum(float(env.step(torch.zeros(1, 3, 2))[1][0, 2]) for _ in range(100))
    assert total == pytest.approx(-50.0, rel=1e-5)
    assert math.isclose(Navigation().task.horizon, 100)


def test_a_horizon_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Navigation(horizon=0)
