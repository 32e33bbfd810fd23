from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils import seeding
from gymnasium_robotics.utils import rotations

from sim2real.curriculum import Curriculum
from sim2real.envs import compute_reward, is_success, make_vec
from sim2real.envs.fetch import TASKS, THRESHOLD, euler


def test_reward_and_success_of_distances_worked_by_hand() -> None:
    # (0.03, 0.04) is 0.05 away up to rounding: the threshold itself; then clearly inside and clearly outside.
    desired = np.zeros((3, 3))
    achieved = np.array([[0.049, 0.0, 0.0], [0.03, 0.0, 0.03], [0.0, 0.051, 0.0]])
    np.testing.assert_array_equal(compute_reward(achieved, desired, THRESHOLD), [0.0, 0.0, -1.0])
    np.testing.assert_array_equal(is_success(achieved, desired, THRESHOLD), [True, True, False])
    assert not np.signbit(compute_reward(achieved, desired, THRESHOLD)[0])


def test_reward_of_torch_tensors_equals_that_of_arrays() -> None:
    rng = np.random.default_rng(0)
    achieved, desired = rng.uniform(-0.05, 0.05, (2, 7, 5, 3))
    reward = compute_reward(torch.from_numpy(achieved), torch.from_numpy(desired), THRESHOLD)
    assert reward.shape == (7, 5)
    np.testing.assert_array_equal(reward.numpy(), compute_reward(achieved, desired, THRESHOLD))
    success = is_success(torch.from_numpy(achieved), torch.from_numpy(desired), THRESHOLD)
    np.testing.assert_array_equal(success.numpy(), is_success(achieved, desired, THRESHOLD))
    assert 0 < success.float().mean() < 1


def test_euler_angles_equal_gymnasium_robotics() -> None:
    rng = np.random.default_rng(1)
    angles = rng.uniform(-math.pi, math.pi, (50, 3))
    angles[0] = 0.3, math.pi / 2, 0.0  # the singular case
    matrices = rotations.euler2mat(angles)
    np.testing.assert_array_equal(euler(matrices.reshape(-1, 9)), rotations.mat2euler(matrices))


@pytest.mark.parametrize("name", TASKS)
def test_starts_and_goals_follow_gymnasium_robotics_draw_by_draw(name: str) -> None:
    task = TASKS[name]
    start = task.initial()
    reference: Any = gymnasium.make(task.reference).unwrapped
    for seed in range(5):
        expected, _ = reference.reset(seed=seed)
        rng = seeding.np_random(seed)[0]
        if task.has_object:
            np.testing.assert_array_equal(task.sample_start(start, rng), reference.data.qpos[-7:-5])
        np.testing.assert_array_equal(task.sample_goal(start, rng), expected["desired_goal"])


def test_goals_lie_on_the_raised_table() -> None:
    task = TASKS["FetchPush"]
    start = task.initial()
    goal = task.sample_goal(start, np.random.default_rng(0), table_height=0.01)
    assert goal[2] == start.object_height + 0.01


@pytest.mark.parametrize("name", TASKS)
def test_elements_are_named_once_and_match_the_observation(name: str) -> None:
    task = TASKS[name]
    spec = task.spec(("object_mass",))
    names = [e.name for e in (*spec.observation, *spec.goal, *spec.action)]
    assert len(set(names)) == len(names)
    assert all(e.unit and e.kind and e.frame for e in (*spec.observation, *spec.goal, *spec.action))
    assert task.observation(np.tile(np.arange(28.0), (2, 1))).shape == (2, len(spec.observation))
    assert len(spec.action_scale) == len(spec.action)


def test_exploring_starts_are_near_and_the_share_asked_for() -> None:
    gripper = TASKS["FetchPush"].initial().gripper[:2]

    def distances(near_starts: float) -> Any:
        env = make_vec("FetchPush", 40, "nominal", seed=5, threads=1, curriculum=Curriculum(near_starts=near_starts))
        obs, _ = env.reset()
        env.close()
        return np.linalg.norm(obs["achieved_goal"][:, :2] - gripper, axis=1)

    usual, half, all_near = distances(0.0), distances(0.5), distances(1.0)
    assert usual.min() > 0.099 and all_near.max() < 0.101 and all_near.min() > 0.049
    moved = half != usual
    assert 10 <= moved.sum() <= 30  # 40 draws at 0.5
    np.testing.assert_array_equal(half[moved], all_near[moved])
    assert bool((half[moved] < 0.101).all())


def test_only_exploring_starts_look_for_a_grasp() -> None:
    held = {name: TASKS[name].initial(near_starts=True).held for name in ("FetchPush", "FetchPickAndPlace")}
    assert held["FetchPush"] is None and held["FetchPickAndPlace"] is not None
    assert TASKS["FetchPickAndPlace"].initial().held is None


def test_exploring_starts_of_pick_and_place_lie_under_the_gripper_or_are_held() -> None:
    def start(near_starts: float) -> tuple[Any, Any]:
        env = make_vec(
            "FetchPickAndPlace", 40, "nominal", seed=5, threads=1, curriculum=Curriculum(near_starts=near_starts)
        )
        obs, _ = env.reset()
        return env, obs

    _, usual = start(0.0)
    assert usual["achieved_goal"][:, 2].max() < 0.43  # all on the table
    env, obs = start(1.0)
    grip, thing = obs["observation"][:, :3], obs["achieved_goal"]
    held = thing[:, 2] > 0.45
    assert 10 <= held.sum() <= 30  # 40 draws at 0.5
    assert np.abs(thing[held] - grip[held]).max() < 0.02
    aside = np.linalg.norm((thing - grip)[~held, :2], axis=1)
    assert aside.max() < 0.101 and aside.min() < 0.03
    closed = np.tile([0.0, 0.0, 0.0, -1.0], (40, 1))
    for _ in range(20):
        obs = env.step(closed)[0]
    np.testing.assert_array_less(0.45, obs["achieved_goal"][held, 2])  # closed fingers hold it
    for _ in range(20):
        obs = env.step(-closed)[0]
    np.testing.assert_array_less(obs["achieved_goal"][held, 2], 0.45)  # open ones let it fall
