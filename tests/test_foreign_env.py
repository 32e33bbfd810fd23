"""Environments of gymnasium behind the evaluator's interface."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from sim2real.collect import rollout
from sim2real.errors import UserError
from sim2real.evaluate import evaluate, format_table
from sim2real.foreign_env import ForeignVectorEnv
from sim2real.foreign_interface import Place, interface_of
from tests.foreign_models import ACTION, Still


class Constant:
    """Sends the same normalised action always."""

    def __init__(self, *action: float) -> None:
        self.action = np.array(action, np.float32)

    def initial_state(self, n: int) -> tuple[()]:
        return ()

    def act(self, obs: Any, state: Any, *, deterministic: bool) -> tuple[NDArray[np.float32], Any]:
        return np.tile(self.action, (len(obs["observation"]), 1)), state


def test_the_task_says_what_gymnasium_says() -> None:
    task = ForeignVectorEnv("StillGoal-v0", 1).task
    assert (task.name, task.horizon, task.control_dt, task.dynamics_names) == ("StillGoal-v0", 9, 0.05, ())
    assert [e.name for e in task.observation] == [f"observation_{i}" for i in range(5)]
    assert [e.name for e in task.goal] == ["desired_goal_0", "desired_goal_1"]
    assert task.action_scale == (1.0, 3.0, 0.625)
    assert task.action_offset == (0.0, 1.0, 0.125)


def test_control_period_of_a_mujoco_environment() -> None:
    assert ForeignVectorEnv("InvertedPendulum-v5", 1).task.control_dt == pytest.approx(0.04)


def test_entries_of_a_dict_lie_side_by_side() -> None:
    space = spaces.Dict({"b": spaces.Box(-1, 1, (2, 2)), "a": spaces.Box(-1, 1, (3,)), "desired_goal": ACTION})
    interface = _interface(space)
    assert interface.entries == {
        **{"a": Place("observation", 0, 3), "b": Place("observation", 3, 7)},
        "desired_goal": Place("desired_goal", 0, 3),
    }
    assert [(term.name, term.source, len(term.elements)) for term in interface.terms] == [
        ("observation", "sensor", 7),
        ("desired_goal", "command", 3),
    ]


def test_actions_arrive_in_the_units_of_the_environment() -> None:
    env = ForeignVectorEnv("Still-v0", 1)
    env.reset(seed=0)
    env.step(np.array([[0.5, -1.0, 1.0]]))
    sent: Any = env._envs[0].unwrapped
    np.testing.assert_allclose(sent.sent, [0.5, -2.0, 0.75], rtol=1e-6)
    assert sent.sent.dtype == np.float32


def test_episodes_end_early_and_are_padded() -> None:
    env = ForeignVectorEnv("Still-v0", 2)
    lengths: Any = [e.unwrapped for e in env._envs]
    lengths[0].length, lengths[1].length = 2, 4
    episodes = rollout(env, Constant(0, 0, 0), deterministic=True, seed=0)
    np.testing.assert_array_equal(episodes.mask, [[1, 1] + 7 * [0], [1, 1, 1, 1] + 5 * [0]])
    assert episodes.observation.shape == (2, 10, 5)
    np.testing.assert_array_equal(episodes.observation[0, 3], episodes.observation[0, 2])  # stood still
    assert lengths[0].steps == 2  # and was not stepped again
    result = evaluate(Constant(0, 0, 0), env, episodes=2, seed=0)
    np.testing.assert_array_equal(result.episode_return, [1 + 2, 1 + 2 + 3 + 4])
    np.testing.assert_array_equal(result.success, [1, 1])
    np.testing.assert_allclose(result.time_to_success, [2 * 0.05, 4 * 0.05])


def test_a_time_limit_is_an_end_without_success() -> None:
    env = ForeignVectorEnv("Still-v0", 1)
    unwrapped: Any = env._envs[0].unwrapped
    unwrapped.length = 100
    result = evaluate(Constant(0, 0, 0), env, episodes=1, seed=0)
    assert (result.success[0], result.episode_return[0]) == (0, sum(range(1, 10)))
    assert math.isnan(result.time_to_success[0])


def test_an_environment_without_success_has_returns_only() -> None:
    env = ForeignVectorEnv("InvertedPendulum-v5", 3)
    result = evaluate(Constant(0.0), env, episodes=4, seed=2)
    summary = result.summary()
    assert (summary["success"].n, summary["base_rate"].n, summary["final_distance"].n) == (0, 0, 0)
    assert (summary["return"].n, summary["time_to_success"].n) == (4, 0)
    assert "success" not in result.scalars()
    assert result.episode_rows()[0]["success"] is None
    cells = format_table({"nominal": result}).splitlines()[1].split()
    assert cells[:4] == ["nominal", "4", "-", "-"]


def test_an_episode_is_the_same_whatever_the_number_of_environments() -> None:
    one, three = (
        evaluate(Constant(0.0), ForeignVectorEnv("InvertedPendulum-v5", n), episodes=4, seed=5) for n in (1, 3)
    )
    np.testing.assert_array_equal(one.episode_return, three.episode_return)
    other = evaluate(Constant(0.0), ForeignVectorEnv("InvertedPendulum-v5", 2), episodes=4, seed=6)
    assert not np.array_equal(one.episode_return, other.episode_return)


def test_the_sequence_of_episodes_continues_from_its_state() -> None:
    env, again = ForeignVectorEnv("Still-v0", 2), ForeignVectorEnv("Still-v0", 2)
    env.reset(seed=4)
    again.load_state_dict(env.state_dict())
    np.testing.assert_array_equal(env.reset()[0]["observation"], again.reset()[0]["observation"])


def _interface(observation: Any = None, action: Any = None, **attributes: Any) -> Any:
    env: Any = Still(observation or spaces.Box(-1, 1, (2,)), action or ACTION)
    env.spec = gymnasium.spec("Still-v0")
    for name, value in attributes.items():
        setattr(env, name, value)
    return interface_of("Own-v0", env)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action": spaces.Discrete(2)}, "Own-v0 takes actions Discrete"),
        ({"action": spaces.Box(-np.inf, np.inf, (2,))}, "bounded continuous"),
        ({"observation": spaces.Discrete(2)}, "Own-v0 gives observation as Discrete"),
        ({"observation": spaces.Box(0, 255, (8, 8, 3), np.uint8)}, "no pictures"),
        ({"spec": None}, "Own-v0 has no time limit"),
        ({"metadata": {}}, "how long a control step is"),
        ({"dt": 0.0}, "how long a control step is"),
    ],
)
def test_environments_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _interface(**options)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [("HalfCheta-v5", "Did you mean: `HalfCheetah`"), ("nowhere:Own-v0", "No module named 'nowhere'")],
)
def test_unknown_ids(env_id: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ForeignVectorEnv(env_id, 1)
