from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2real.collect import rollout
from sim2real.deploy import Bundle, BundleError, BundlePolicy, ObservationError, check_task, load_bundle
from sim2real.evaluate import evaluate
from sim2real.export import write_bundle
from tests.bundles import META, make_policy
from tests.toys import PointReach


def make_env(num_envs: int) -> PointReach:
    env = PointReach(num_envs, hidden_sign=False)
    env.task = dataclasses.replace(env.task, action_scale=(0.3,))
    return env


@pytest.fixture(scope="module")
def point_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("point")
    write_bundle(folder, make_policy("lstm", make_env(1).task), META)
    return load_bundle(folder)


def test_each_environment_has_its_own_memory(point_bundle: Bundle) -> None:
    """Three environments at once are three alone: no memory leaks from one to another, or from a call to the next."""
    policy, single = BundlePolicy(point_bundle), make_env(1)
    together = rollout(make_env(3), policy, deterministic=True, seed=2)
    for i in range(3):
        alone = rollout(single, policy, deterministic=True, seed=2 if i == 0 else None)
        np.testing.assert_array_equal(alone.action[0], together.action[i])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"goal": ("elsewhere",)}, r"whose desired_goal is \['goal_0'\]; Toy has \['elsewhere'\]"),
        ({"action_scale": (0.1,)}, r"by \(\(0.3,\), \(0.0,\)\), those of Toy by \(\(0.1,\), "),
    ],
)
def test_another_task_is_refused(point_bundle: Bundle, change: dict[str, Any], message: str) -> None:
    env = make_env(1)
    if "goal" in change:
        change = {"goal": (dataclasses.replace(env.task.goal[0], name=change["goal"][0]),)}
    env.task = dataclasses.replace(env.task, **change)
    with pytest.raises(BundleError, match=message):
        check_task(point_bundle.contract, env.task)


def test_a_nan_in_one_environment_is_held_and_counted(point_bundle: Bundle) -> None:
    policy = BundlePolicy(point_bundle)
    good, bad = np.array([[0.1], [0.1]]), np.array([[0.1], [np.nan]])
    zeros, state = np.zeros((2, 1)), policy.initial_state(2)
    actions = []
    for observation in (good, bad):
        obs = {"observation": observation, "desired_goal": zeros, "previous_action": zeros}
        action, state = policy.act(obs, state, deterministic=True)
        actions.append(action)
    assert np.isfinite(actions).all()
    assert actions[0][0] == actions[0][1]
    assert actions[1][0] != actions[1][1]
    assert (policy.steps, policy.interventions) == (4, 1)


def test_the_bundle_of_another_task_cannot_be_evaluated(lstm_bundle: Path) -> None:
    with pytest.raises(ObservationError, match="the environment has 2 readings, the contract 8"):
        evaluate(BundlePolicy(load_bundle(lstm_bundle)), make_env(1), episodes=1, seed=0)
