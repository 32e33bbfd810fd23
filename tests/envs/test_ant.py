from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch

from sim2real.envs.ant import Ant

ONE = torch.ones(1, 1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_steps_are_those_of_gymnasium_at_rllabs_time_step() -> None:
    reference = gymnasium.make("Ant-v5", frame_skip=1, reset_noise_scale=0.0).unwrapped
    reference.model.opt.timestep = 0.02  # type: ignore[attr-defined]
    reference.reset(seed=0)
    env = Ant().batch(ONE, 1, generator())
    env.reset()
    data = env._data[0]
    reference.set_state(data.qpos.copy(), data.qvel.copy())  # type: ignore[attr-defined]
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 8)).astype(np.float32):
        reference.step(action.astype(np.float64))
        env.step(torch.from_numpy(action)[None, None])
        # gymnasium keeps the solver's warm start of the step; here it is that of the state after it, and so are the
        # contact forces, as in rllab.
        np.testing.assert_allclose(data.qpos, reference.data.qpos, atol=1e-6)  # type: ignore[attr-defined]


def test_the_observation_is_what_rllab_had() -> None:
    family = Ant()
    assert family.task.observation == 15 + 14 + 6 * 14 + 9 + 3 == 125
    env = family.batch(ONE, 1, generator())
    first = env.reset()[0, 0]
    assert float(first[2]) == pytest.approx(0.55, abs=0.05)
    np.testing.assert_allclose(first[113:122].numpy(), env._data[0].xmat[1], atol=1e-6)


@pytest.mark.parametrize("goal", ["direction", "velocity"])
def test_rewards_by_hand(goal: str) -> None:
    env = Ant(goal=goal).batch(torch.tensor([[-1.0], [2.0]]), 1, generator())  # type: ignore[arg-type]
    env.reset()
    _, reward, _ = env.step(torch.full((2, 1, 8), 0.5))
    for i, task in enumerate((-1.0, 2.0)):
        v, forces = env._speed[i], env._data[i].cfrc_ext.clip(-1, 1)
        costs = 0.005 * 8 * 0.25 + 0.0005 * np.square(forces).sum()
        progress = task * v if goal == "direction" else 1.0 - abs(v - task)
        assert float(reward[i, 0]) == pytest.approx(progress + 0.05 - costs, abs=1e-5)


def test_an_ant_that_jumps_too_high_is_out() -> None:
    env = Ant().batch(ONE, 2, generator())
    env.reset()
    env._data[0].qpos[2] = 1.2
    before, reward, done = env.step(torch.zeros(1, 2, 8))
    assert done.tolist() == [[True, False]] and float(reward[0, 0]) != 0
    after, reward, done = env.step(torch.ones(1, 2, 8))
    assert torch.equal(before[0, 0], after[0, 0]) and float(reward[0, 0]) == 0
    assert done.tolist() == [[True, False]] and not torch.equal(before[0, 1], after[0, 1])
    env.reset()
    assert not env.step(torch.zeros(1, 2, 8))[2].any()
