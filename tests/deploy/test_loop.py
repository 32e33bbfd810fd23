from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sim2real.deploy.loop import HOLD_ATTEMPTS, ControlLoop
from sim2real.deploy.robot import EpisodicRobot, Reading, Robot
from sim2real.deploy.safety import SafetyConfig, SafetyFilter
from sim2real.deploy.step_log import StepLog, read_step_log
from sim2real.errors import UserError
from tests.deploy.safety_fakes import POSITION, FakeRunner, constant, make_contract, reading

CONTRACT = make_contract()  # one displacement, 0.1 s


class ScriptedRobot:
    """Time is simulated; every reading is fresh unless ``silent``. Notes what it is told."""

    def __init__(self, contract: Any = CONTRACT, *, start: float = 7.0) -> None:
        self.contract, self.time, self.silent = contract, start, False
        self.told: list[Any] = []
        self.holds_that_fail = 0

    def read(self) -> Reading | None:
        return None if self.silent else reading(self.contract, self.time)

    def write(self, command: Mapping[str, float]) -> None:
        self.told.append(dict(command))

    def hold(self) -> None:
        self.told.append("hold")
        if self.holds_that_fail:
            self.holds_that_fail -= 1
            raise OSError("bus off")

    def now(self) -> float:
        return self.time

    def sleep_until(self, time: float) -> None:
        self.time = max(self.time, time)

    def close(self) -> None:
        self.told.append("closed")


def make_loop(robot: Robot, policy: Any = None, config: SafetyConfig | None = None, **options: Any) -> ControlLoop:
    safety = SafetyFilter(FakeRunner(CONTRACT, policy or constant(0.5)), config or SafetyConfig(ramp_steps=0))
    return ControlLoop(robot, safety, **{"watched": False, **options})


def test_commands_go_out_by_name_and_the_last_word_is_hold() -> None:
    robot = ScriptedRobot()
    loop = make_loop(robot)
    assert loop.run(3) == 3
    assert robot.told == [{"a0": 0.5}, {"a0": 0.5}, {"a0": 0.5}, "hold"]
    assert robot.time == pytest.approx(7.3)
    assert (loop.steps, loop.skipped, loop.reasons) == (3, 0, {"started": 1})
    assert loop.work.count == loop.late.count == 3


def test_runs_add_up_and_until_is_asked_before_each_step() -> None:
    robot = ScriptedRobot()
    loop = make_loop(robot)
    assert loop.run(2) == 2
    assert loop.run(until=lambda: robot.time > 7.45) == 3
    assert loop.steps == 5


def test_a_dry_run_sends_nothing_at_all() -> None:
    robot, seen = ScriptedRobot(), list[Any]()

    def policy(vector: Any) -> Any:
        seen.append(vector)
        return [0.5]

    loop = make_loop(robot, policy, dry_run=True)
    assert loop.run(3) == 3
    assert len(seen) == 3
    assert robot.told == []


def test_late_steps_are_skipped_and_not_made_up_for() -> None:
    class Slow(ScriptedRobot):
        def write(self, command: Mapping[str, float]) -> None:
            super().write(command)
            self.time += 0.27 if len(self.told) == 2 else 0.0

    robot = Slow()
    loop = make_loop(robot)
    loop.run(4)
    # Due at 7.0, 7.1, then at 7.37 the slots 7.2 and 7.3 are gone; 7.4 and 7.5 follow, and the loop sleeps until 7.6.
    assert robot.time == pytest.approx(7.6)
    assert loop.skipped == 2


def test_how_late_a_step_began_is_counted() -> None:
    class Oversleeping(ScriptedRobot):
        def sleep_until(self, time: float) -> None:
            self.time = time + 0.02

    loop = make_loop(Oversleeping())
    loop.run(11)
    assert loop.late.summary()["p95_ms"] == pytest.approx(20.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_loop_after_the_step_and_hold(number: signal.Signals) -> None:
    class Interrupted(ScriptedRobot):
        def write(self, command: Mapping[str, float]) -> None:
            if len(self.told) == 1:
                os.kill(os.getpid(), number)
            super().write(command)

    before, lines = signal.getsignal(number), list[str]()
    robot = Interrupted()
    loop = make_loop(robot, tell=lines.append)
    assert loop.run() == 2
    assert robot.told == [{"a0": 0.5}, {"a0": 0.5}, "hold"]
    assert loop.stopped
    assert lines == ["stopping"]
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_a_driver_that_hangs_and_holds() -> None:
    class Hanging(ScriptedRobot):
        def write(self, command: Mapping[str, float]) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)

    robot = Hanging()
    with pytest.raises(SystemExit) as caught:
        make_loop(robot).run()
    assert caught.value.code == 130
    assert robot.told == ["hold"]


def test_an_error_of_the_driver_holds_the_robot_and_comes_through() -> None:
    class Broken(ScriptedRobot):
        def read(self) -> Reading | None:
            raise RuntimeError("cable")

    robot, lines = Broken(), list[str]()
    robot.holds_that_fail = 1
    with pytest.raises(RuntimeError, match="cable"):
        make_loop(robot, tell=lines.append).run()
    assert robot.told == ["hold", "hold"]
    assert lines == [f"the robot's hold failed (1 of {HOLD_ATTEMPTS}): bus off"]


def test_a_hold_that_never_works_does_not_hide_what_happened() -> None:
    robot, lines = ScriptedRobot(), list[str]()
    robot.holds_that_fail = 9
    assert make_loop(robot, tell=lines.append).run(1) == 1
    assert len(lines) == HOLD_ATTEMPTS


def test_a_latch_ends_the_loop_or_lasts_until_somebody_re_arms() -> None:
    def latching(robot: ScriptedRobot) -> ControlLoop:
        return make_loop(robot, lambda vector: [float("nan")], SafetyConfig(ramp_steps=0, max_faults=2))

    robot, lines = ScriptedRobot(), list[str]()
    loop = latching(robot)
    loop._tell = lines.append
    assert loop.run(10) == 2
    assert robot.told[-1] == "hold"
    assert loop.latches == 1
    assert "nan" in loop.latched
    assert len(lines) == 1 and lines[0].startswith("latched: ")

    loop = latching(ScriptedRobot())
    assert loop.run(6, past_latch=True) == 6
    assert loop.latches == 1
    loop._safety.rearm()
    assert loop.run(6, past_latch=True) == 6
    assert loop.latches == 2


def test_a_position_target_that_was_never_measured_is_held_by_the_robot() -> None:
    contract = make_contract((POSITION,))
    robot = ScriptedRobot(contract)
    robot.silent = True
    safety = SafetyFilter(FakeRunner(contract, constant(0.5)), SafetyConfig())
    ControlLoop(robot, safety, watched=False).run(2)
    assert robot.told == ["hold", "hold", "hold"]


def test_patience_ends_when_no_usable_reading_comes() -> None:
    robot = ScriptedRobot()
    robot.silent = True
    with pytest.raises(UserError, match=r"no usable reading within 0\.45 s"):
        make_loop(robot, patience=0.45).run()
    assert robot.time == pytest.approx(7.4)
    assert robot.told[-1] == "hold"

    # Once it has begun, silence is the filter's business.
    robot = ScriptedRobot()
    loop = make_loop(robot, patience=0.45)
    loop.run(2)
    robot.silent = True
    loop.run(20, past_latch=True)
    assert loop.latches == 1


@pytest.mark.parametrize(
    ("failures", "line"),
    [(0, "the watchdog held the robot: no command"), (10**6, "the watchdog could not hold the robot (bus off): no")],
)
def test_the_watchdog_holds_a_hanging_loop_and_the_filter_hears_of_it(failures: int, line: str) -> None:
    contract = make_contract(dt=0.02)

    class Hanging(ScriptedRobot):
        def now(self) -> float:
            return time.monotonic()

        def read(self) -> Reading | None:
            if len(self.told) == 3:
                deadline = time.monotonic() + 10
                while "hold" not in self.told and time.monotonic() < deadline:
                    time.sleep(0.01)
            return reading(contract, time.monotonic())

        def sleep_until(self, until: float) -> None:
            time.sleep(max(until - time.monotonic(), 0.0))

    robot, lines = Hanging(contract), list[str]()
    robot.holds_that_fail = failures
    # So patient that only the watchdog can begin the policy's memory anew.
    config = SafetyConfig(ramp_steps=0, max_observation_age_s=60, timeout_s=60)
    loop = ControlLoop(robot, SafetyFilter(FakeRunner(contract, constant(0.5)), config), tell=lines.append)
    loop.run(5)
    assert loop.watchdog_holds >= 1
    assert "hold" in robot.told[3:-1]
    assert lines[0].startswith(line)
    assert loop.reasons["gap"] >= 1


def test_a_reading_that_was_fetched_before_the_driver_hung_is_old() -> None:
    class Hanging(ScriptedRobot):
        writes: list[float]

        def read(self) -> Reading | None:
            fetched = super().read()
            self.time += 0.98 if len(self.told) == 2 else 0.0
            return fetched

        def write(self, command: Mapping[str, float]) -> None:
            super().write(command)
            self.writes.append(self.time)

    robot = Hanging()
    robot.writes = []
    loop = make_loop(robot, config=SafetyConfig(ramp_steps=0, timeout_s=2.0))
    loop.run(4)
    # A displacement stops: zero goes out, not what the policy would say to where the robot was.
    assert robot.told == [{"a0": 0.5}, {"a0": 0.5}, {"a0": 0.0}, {"a0": 0.5}, "hold"]
    assert loop.reasons["stale"] == 1 and loop.reasons["early"] == 0
    assert robot.writes == pytest.approx([7.0, 7.1, 8.18, 8.3]) and loop.skipped == 10


def test_an_answer_that_comes_too_late_is_not_sent() -> None:
    robot = ScriptedRobot()

    def policy(vector: Any) -> Any:
        robot.time += 0.3 if len(robot.told) == 1 else 0.0  # a reading may be 0.2 s old
        return [0.5]

    loop = make_loop(robot, policy)
    loop.run(3)
    assert robot.told == [{"a0": 0.5}, "hold", {"a0": 0.5}, "hold"]
    assert (loop.reasons["overtaken"], loop.reasons["gap"]) == (1, 1)


def test_every_step_is_logged(tmp_path: Path) -> None:
    with StepLog(tmp_path / "steps.jsonl", CONTRACT) as log:
        make_loop(ScriptedRobot(), log=log).run(3)
    records = read_step_log(tmp_path / "steps.jsonl")
    assert records.now == pytest.approx([7.0, 7.1, 7.2])
    assert records.sent.tolist() == [[0.5]] * 3


def test_who_is_a_robot_with_episodes() -> None:
    assert not isinstance(ScriptedRobot(), EpisodicRobot)
