from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2real.collect import rollout
from sim2real.deploy import Bundle, BundleError, BundlePolicy, ObservationError, load_bundle, run_in_env
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


def test_run_in_env_equals_the_evaluator(point_bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    rate = run_in_env(point_bundle, make_env(3), episodes=7, seed=4)
    expected = evaluate(BundlePolicy(point_bundle), make_env(2), episodes=7, seed=4)
    assert rate == expected.success.mean()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    words = ["success" if s else "failure" for s in expected.success]
    assert [line.split(": ")[1].split(",")[0] for line in lines[:-1]] == words
    assert lines[-1].startswith(f"success {int(expected.success.sum())}/7 = {rate:.3f}")


def test_run_in_env_sends_what_the_policy_does_and_resets_between_episodes(point_bundle: Bundle) -> None:
    class Recording(PointReach):
        def step(self, actions: Any) -> Any:
            sent.append(np.asarray(actions, float))
            return super().step(actions)

    sent: list[Any] = []
    env = Recording(2, hidden_sign=False)
    env.task = dataclasses.replace(env.task, action_scale=(0.3,))
    run_in_env(point_bundle, env, episodes=6, seed=4)
    by_runner, sent = sent, []
    evaluate(BundlePolicy(point_bundle), env, episodes=6, seed=4)
    assert len(sent) == 3 * env.task.horizon
    np.testing.assert_allclose(np.array(by_runner), np.array(sent), atol=1e-6)


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
        run_in_env(point_bundle, env, episodes=1, seed=0)


def test_a_nan_in_one_environment_is_refused(point_bundle: Bundle) -> None:
    policy = BundlePolicy(point_bundle)
    obs = {
        "observation": np.array([[0.0], [np.nan]]),
        "desired_goal": np.zeros((2, 1)),
        "previous_action": np.zeros((2, 1)),
    }
    with pytest.raises(ObservationError, match="obs_0 = nan"):
        policy.act(obs, policy.initial_state(2), deterministic=True)


def test_the_bundle_of_another_task_cannot_be_evaluated(lstm_bundle: Path) -> None:
    with pytest.raises(ObservationError, match=r"readings have shape \(2,\), expected \(8,\)"):
        evaluate(BundlePolicy(load_bundle(lstm_bundle)), make_env(1), episodes=1, seed=0)
