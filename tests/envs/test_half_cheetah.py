from __future__ import annotations

import gymnasium
import mujoco
import numpy as np
import pytest
import torch

from sim2real.envs.half_cheetah import HalfCheetah


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_tasks_are_both_directions_and_all_speeds() -> None:
    directions = HalfCheetah().sample(1000, generator())
    assert set(directions.flatten().tolist()) == {-1.0, 1.0} and abs(float(directions.mean())) < 0.1
    speeds = HalfCheetah(goal="velocity").sample(1000, generator())
    assert 0 <= float(speeds.min()) < 0.02 and 1.98 < float(speeds.max()) <= 2


def test_steps_are_those_of_gymnasium_with_one_frame() -> None:
    """Positions and velocities bit for bit, over an episode of random actions."""
    reference = gymnasium.make("HalfCheetah-v5", frame_skip=1, reset_noise_scale=0.0).unwrapped
    reference.reset(seed=0)
    env = HalfCheetah().batch(torch.ones(1, 1), 1, generator())
    env.reset()
    data = env._data[0]
    reference.set_state(data.qpos.copy(), data.qvel.copy())  # type: ignore[attr-defined]
    actions = np.random.default_rng(0).uniform(-1, 1, (200, 6)).astype(np.float32)
    for action in actions:
        reference.step(action.astype(np.float64))
        env.step(torch.from_numpy(action)[None, None])
        np.testing.assert_array_equal(data.qpos, reference.data.qpos)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(data.qvel, reference.data.qvel)  # type: ignore[attr-defined]


def test_the_speed_is_that_of_the_centre_of_mass() -> None:
    env = HalfCheetah().batch(torch.ones(1, 1), 1, generator())
    before = env.reset()[0, 0]
    for _ in range(20):
        observation, reward, _ = env.step(torch.full((1, 1, 6), 0.5))
        after = observation[0, 0]
        travelled = float(after[17] - before[17]) / 0.01
        # The mean over the step against the speed at its end; cost 0.05 * 6 * 0.25.
        assert float(reward) + 0.075 == pytest.approx(travelled, abs=0.15)
        before = after


def test_rewards_of_both_families_by_hand() -> None:
    actions = torch.full((2, 1, 6), 2.0)  # counts as 1: cost 0.05 * 6 = 0.3
    tasks = torch.tensor([[1.0], [-1.0]])
    for goal in ("direction", "velocity"):
        env = HalfCheetah(goal=goal).batch(tasks, 1, generator())
        env.reset()
        _, reward, done = env.step(actions)
        v = env._speed
        expected = [v[0], -v[1]] if goal == "direction" else [-abs(v[0] - 1), -abs(v[1] + 1)]
        assert reward.flatten().tolist() == pytest.approx([e - 0.3 for e in expected], abs=1e-6)
        assert not done.any()


def test_the_number_of_threads_changes_nothing() -> None:
    outcomes = []
    for threads in (1, 3):
        env = HalfCheetah(threads=threads).batch(torch.ones(2, 1), 3, generator(5))
        env.reset()
        for _ in range(5):
            outcome = env.step(torch.linspace(-1, 1, 36).view(2, 3, 6))
        outcomes.append(outcome)
    assert torch.equal(outcomes[0][0], outcomes[1][0]) and torch.equal(outcomes[0][1], outcomes[1][1])
    assert not torch.equal(outcomes[0][0][0, 0], outcomes[0][0][0, 1])


def test_a_step_is_a_hundredth_of_a_second() -> None:
    model = HalfCheetah().body.model
    assert model.opt.timestep == 0.01
    assert int(model.opt.integrator) == int(mujoco.mjtIntegrator.mjINT_EULER)


def test_a_horizon_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        HalfCheetah(horizon=0)
