from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2real.collect import rollout
from sim2real.deploy import Bundle, BundleError, BundlePolicy, BundleRunner, load_bundle
from sim2real.deploy.loop import ControlLoop
from sim2real.deploy.safety import SafetyConfig, SafetyFilter
from sim2real.deploy.sim_robot import SimRobot
from tests.deploy.conftest import point_env


@pytest.fixture(scope="module")
def bundle(point_folder: Path) -> Bundle:
    return load_bundle(point_folder)


class Clock:
    """A wall clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 100.0

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("sim2real.deploy.sim_robot.time", clock)
    return clock


def position(robot: SimRobot) -> float:
    reading = robot.read()
    assert reading is not None
    return reading.values["obs_0"]


def test_an_episode_by_hand(bundle: Bundle) -> None:
    robot = SimRobot(bundle.contract, point_env())
    assert (robot.read(), robot.now(), robot.over) == (None, 0.0, True)
    robot.begin()
    assert not robot.over
    x = position(robot)
    robot.sleep_until(0.04)  # no command yet: it stands still
    assert [position(robot), robot.now()] == pytest.approx([x, 0.04])
    robot.write({"act_0": 0.15})
    assert position(robot) == x  # nothing moves before time does
    robot.sleep_until(0.08)
    assert position(robot) == pytest.approx(np.clip(x + 0.15, -1.5, 1.5))
    reading = robot.read()
    assert reading is not None
    assert reading.stamp == robot.now()
    assert set(reading.values) == {"obs_0", "goal_0"}


def test_a_command_stays_in_force_until_the_next_and_hold_ends_it(bundle: Bundle) -> None:
    robot = SimRobot(bundle.contract, point_env(), seed=3)
    robot.begin()
    x = position(robot)
    robot.write({"act_0": -0.03})
    robot.sleep_until(0.12)  # a loop that missed two periods
    assert position(robot) == pytest.approx(x - 0.09)
    robot.hold()
    robot.sleep_until(0.20)
    assert position(robot) == pytest.approx(x - 0.09)


def test_the_world_ends_with_the_episode_and_the_clock_goes_on(bundle: Bundle) -> None:
    robot = SimRobot(bundle.contract, point_env())
    robot.begin()
    robot.sleep_until(100.0)
    assert robot.over
    assert robot.now() == pytest.approx(8 * 0.04)
    robot.begin()
    assert robot.now() == pytest.approx(8 * 0.04)
    robot.sleep_until(robot.now() + 0.04)
    assert not robot.over
    assert robot.now() == pytest.approx(9 * 0.04)


def test_with_a_wall_clock_the_world_does_not_wait_for_a_late_loop(bundle: Bundle, clock: Clock) -> None:
    robot = SimRobot(bundle.contract, point_env(), realtime=True)
    clock.time += 2.0  # loading takes time
    robot.begin()
    x, start = position(robot), robot.now()
    assert start == pytest.approx(2.0)
    robot.write({"act_0": 0.01})
    robot.sleep_until(start + 0.04)
    assert clock.time == pytest.approx(102.04)
    clock.time += 0.07  # the policy took nearly two periods; the schedule goes on at the third
    robot.sleep_until(start + 0.12)
    assert robot.now() == pytest.approx(start + 0.12)
    assert position(robot) == pytest.approx(np.clip(x + 0.03, -1.5, 1.5))
    reading = robot.read()
    assert reading is not None
    assert reading.stamp == pytest.approx(start + 0.12)


def test_the_loop_gives_what_the_evaluator_gives_bit_for_bit(bundle: Bundle) -> None:
    """Sixteen episodes of 8 steps; the evaluator keeps what it saw as float32."""
    expected = rollout(point_env(16), BundlePolicy(bundle), deterministic=True, seed=4)
    robot = SimRobot(bundle.contract, point_env(), seed=4)
    safety = SafetyFilter(BundleRunner(bundle), SafetyConfig(ramp_steps=0))
    loop = ControlLoop(robot, safety, watched=False)
    for observed, success in zip(expected.observation[:, :, 0], expected.success[:, -1], strict=True):
        robot.begin()
        safety.rearm()
        positions = [position(robot)]
        while not robot.over:
            loop.run(1)
            positions.append(position(robot))
        np.testing.assert_array_equal(np.array(positions, np.float32), observed)
        assert robot.outcome.success == success


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action_scale": (0.1,)}, "scaled and shifted"),
        ({"goal": "elsewhere"}, r"whose desired_goal is \['goal_0'\]; Toy has \['elsewhere'\]"),
    ],
)
def test_another_task_is_refused(bundle: Bundle, change: dict[str, Any], message: str) -> None:
    env = point_env()
    if "goal" in change:
        change = {"goal": (dataclasses.replace(env.task.goal[0], name=change["goal"]),)}
    env.task = dataclasses.replace(env.task, **change)
    with pytest.raises(BundleError, match=message):
        SimRobot(bundle.contract, env)


def test_a_robot_is_one_environment(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="got 2"):
        SimRobot(bundle.contract, point_env(2))
