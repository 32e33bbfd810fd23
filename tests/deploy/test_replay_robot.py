from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from sim2real.deploy.loop import ControlLoop
from sim2real.deploy.replay_robot import LogReplayRobot, Recording, logged_recording
from sim2real.deploy.robot import Reading
from sim2real.deploy.safety import SafetyConfig, SafetyFilter
from sim2real.deploy.step_log import StepLog
from sim2real.errors import UserError
from tests.deploy.safety_fakes import FakeRunner, make_contract, reading
from tests.deploy.test_loop import ScriptedRobot

CONTRACT = make_contract(low=(-0.5,), high=(0.5,))


def recording() -> Recording:
    """Two episodes, of two steps and of one; the reading of the second step is missing."""
    readings = (reading(CONTRACT, 3.0), None, reading(CONTRACT, 3.25))
    return Recording(
        readings, np.array([3.0, 3.1, 3.3]), np.array([[0.1], [math.nan], [0.3]]), np.array([1, 0, 1], bool)
    )


def stamp(robot: LogReplayRobot) -> float | None:
    found = robot.read()
    return found.stamp if found else None


def test_episodes_clock_and_stamps_are_the_recorded_ones_and_go_on_in_the_next_round() -> None:
    robot = LogReplayRobot(CONTRACT, recording())
    assert (robot.over, robot.read(), robot.length) == (True, None, 3)
    robot.begin()
    assert (robot.over, robot.now(), stamp(robot)) == (False, 3.0, 3.0)
    robot.sleep_until(99.0)
    assert (robot.over, robot.now(), stamp(robot)) == (False, 3.1, None)
    robot.sleep_until(0.0)
    assert robot.over
    robot.begin()
    assert (robot.over, robot.now(), stamp(robot)) == (False, 3.3, 3.25)
    robot.sleep_until(0.0)
    robot.begin()
    # The recording lasts from 3.0 to 3.3 and a period of 0.1.
    assert [robot.now(), stamp(robot)] == pytest.approx([3.4, 3.4])


def test_begin_in_the_middle_of_an_episode_goes_to_the_next() -> None:
    robot = LogReplayRobot(CONTRACT, recording())
    robot.begin()
    robot.begin()
    assert robot.now() == 3.3


def test_commands_are_compared_where_there_is_something_to_compare_with() -> None:
    robot = LogReplayRobot(CONTRACT, recording())
    robot.begin()
    robot.write({"a0": 0.15})
    assert [robot.compared, robot.worst] == pytest.approx([1, 0.05])
    robot.sleep_until(0.0)
    robot.write({"a0": 9.0})
    robot.hold()
    assert [robot.compared, robot.worst] == pytest.approx([1, 0.05])


def test_real_time_paces_and_never_makes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wall:
        time = 50.0

        def monotonic(self) -> float:
            return self.time

        def sleep(self, seconds: float) -> None:
            slept.append(round(seconds, 6))
            self.time += seconds

    wall, slept = Wall(), list[float]()
    monkeypatch.setattr("sim2real.deploy.replay_robot.wall", wall)
    robot = LogReplayRobot(CONTRACT, recording(), realtime=True)
    robot.begin()
    for work in (0.0, 0.03, 0.25, 0.0):
        wall.time += work
        robot.sleep_until(0.0)
    assert slept == [0.1, 0.07, 0.0, 0.1]


def test_a_log_gives_the_same_decisions_again(tmp_path: Path) -> None:
    """A run with a lost reading, a bad one and a gap, logged and replayed: what is sent is the same, to the bit."""

    class Faulty(ScriptedRobot):
        def read(self) -> Reading | None:
            step = round((self.time - 7.0) / 0.1)
            if step in (2, 9):
                return None
            return reading(CONTRACT, self.time, *([math.nan] * 3 if step == 5 else [self.time] * 3))

        def sleep_until(self, time: float) -> None:
            self.time = time + (3.0 if round(time, 6) == 7.8 else 0.0)

    def safety() -> SafetyFilter:
        runner = FakeRunner(CONTRACT, lambda vector: np.sin(10 * vector[:1]) / 2)
        return SafetyFilter(runner, SafetyConfig(ramp_steps=3, rate_limits={"a0": 0.2}, low_pass=0.8))

    with StepLog(tmp_path / "log.jsonl", CONTRACT) as log:
        first = ControlLoop(Faulty(CONTRACT), safety(), log=log, watched=False)
        assert first.run(20) == 20
    replayed = logged_recording(CONTRACT, tmp_path / "log.jsonl")
    robot, again = LogReplayRobot(CONTRACT, replayed), safety()
    second = ControlLoop(robot, again, watched=False)
    robot.begin()
    assert second.run(20) == 20
    assert second.reasons == first.reasons
    assert {"missing", "bad_reading", "gap", "ramp"} <= first.reasons.keys()
    assert (robot.compared, robot.worst) == (20, 0.0)


def test_logs_of_other_policies_and_empty_ones_are_refused(tmp_path: Path) -> None:
    with StepLog(tmp_path / "log.jsonl", make_contract(("a", "b"), low=(-1, -1), high=(1, 1), rate=(2, 2))):
        pass
    with pytest.raises(UserError, match=r"the log of another policy: its readings are .*'a1'.*, not \['a0'"):
        logged_recording(CONTRACT, tmp_path / "log.jsonl")
    with StepLog(tmp_path / "empty.jsonl", CONTRACT):
        pass
    with pytest.raises(UserError, match="holds no steps"):
        logged_recording(CONTRACT, tmp_path / "empty.jsonl")
