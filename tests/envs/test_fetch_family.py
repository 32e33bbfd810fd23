from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sim2real.envs.dynamics import INDEX
from sim2real.envs.fetch_family import FetchDynamics
from sim2real.envs.vector import FetchVectorEnv
from sim2real.errors import UserError
from sim2real.meta_rl_types import Judged

FAMILY = FetchDynamics(threads=1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_tasks_are_draws_of_the_set() -> None:
    tasks = FAMILY.sample(50, generator())
    gains = tasks[:, INDEX["action_gain"]]
    assert tasks.dtype == torch.float64 and 0.8 <= float(gains.min()) < 0.85 and 1.15 < float(gains.max()) <= 1.2
    assert torch.equal(tasks, FAMILY.sample(50, generator()))


def test_every_episode_of_a_task_has_its_dynamics_and_a_goal_of_its_own() -> None:
    tasks = FAMILY.sample(2, generator())
    batch = FAMILY.batch(tasks, 2, generator(1))
    goals = []
    for _ in range(2):
        goals.append(batch.reset()[..., -3:])
        for i in range(4):
            values = batch._env._values[i]
            exists = batch._env._exists
            np.testing.assert_array_equal(values[exists], tasks[i // 2].numpy()[exists])
    everything = torch.cat([g.flatten(0, 1) for g in goals])
    assert len(torch.unique(everything, dim=0)) == 8


def test_steps_are_those_of_the_vector_environment_under_these_dynamics() -> None:
    tasks = FAMILY.sample(1, generator())
    batch = FAMILY.batch(tasks, 1, generator(1))
    seed = int(torch.randint(2**31, (), generator=generator(1)))
    first = batch.reset()
    env = FetchVectorEnv("FetchReach", 1, "train")
    env.imposed = tasks.numpy()
    observation, _ = env.reset(seed=seed)
    action = torch.tensor([[[0.5, -0.5, 1.0, 0.0]]])
    after, reward, done = batch.step(action)
    expected, sparse, *_ = env.step(action[0].numpy())
    np.testing.assert_array_equal(first[0, 0, :-3], observation["observation"][0].astype(np.float32))
    np.testing.assert_array_equal(after[0, 0, -3:], expected["desired_goal"][0].astype(np.float32))
    distance = np.linalg.norm(expected["achieved_goal"] - expected["desired_goal"])
    assert float(reward) == pytest.approx(-distance) and not done.any()
    assert isinstance(batch, Judged) and bool(batch.success()) == (distance < 0.05) == bool(sparse == 0)


def test_the_sparse_reward() -> None:
    family = FetchDynamics(reward="sparse", threads=1)
    batch = family.batch(family.sample(1, generator()), 1, generator(1))
    batch.reset()
    assert float(batch.step(torch.zeros(1, 1, 4))[1]) in (-1.0, 0.0)


def test_what_a_policy_is_built_for() -> None:
    task = FAMILY.task
    assert (task.name, task.observation, task.action, task.horizon, task.episodes) == (
        "FetchReach_dynamics",
        13,
        4,
        50,
        2,
    )


@pytest.mark.parametrize("options", [{"dynamics": "surrogate"}, {"dynamics": "trian"}, {"episodes": 0}])
def test_sets_that_cannot_be_learned_from_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises((UserError, ValueError)):
        FetchDynamics(**options)
