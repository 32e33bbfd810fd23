"""Things that go wrong on robots, on demand: robots and policies that misbehave for some steps of an episode."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.robot import Reading, Robot
from sim2real.deploy.safety import PolicyRunner

Spoil = Callable[["FaultyRobot", int], Reading | None]
Answer = Callable[[NDArray[np.float64]], Any]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, from control step `ONSET` of an episode on."""

    name: str
    what: str
    """What the robot's side does, for the report."""
    steps: int
    """For how many control steps; `FOR_GOOD` to the end of the episode."""
    reading: Spoil | None = None
    """Given the robot and the number of steps since the onset: what it says instead."""
    answer: Answer | None = None
    """Given the policy's action: what it says instead."""
    clock: float = 0.0
    """Added to the robot's clock (in seconds), stamps not included."""
    pause: float = 0.0
    """Control periods that every step takes; 0 is no time at all."""


ONSET, FOR_GOOD = 10, 10_000


class FaultyRobot:
    """A robot with a fault. It counts control steps by the calls of `read` since `begin`."""

    def __init__(self, robot: Robot, fault: Fault, dt: float) -> None:
        self.robot, self.fault, self.dt = robot, fault, dt
        self.begin()

    def begin(self) -> None:
        """A new episode: all is well until the onset."""
        self.history: list[Reading] = []
        """What the robot really said, step by step."""

    @property
    def active(self) -> bool:
        """Whether the fault is there in the current control step."""
        return ONSET <= len(self.history) - 1 < ONSET + self.fault.steps

    def read(self) -> Reading | None:
        reading = self.robot.read()
        assert reading is not None, "the drill needs a robot that can be read"
        self.history.append(reading)
        if self.fault.reading is None or not self.active:
            return reading
        return self.fault.reading(self, len(self.history) - 1 - ONSET)

    def write(self, command: Mapping[str, float]) -> None:
        self.robot.write(command)

    def hold(self) -> None:
        self.robot.hold()

    def now(self) -> float:
        return self.robot.now() + (self.fault.clock if self.active else 0.0)

    def sleep_until(self, time: float) -> None:
        self.robot.sleep_until(time)

    def close(self) -> None:
        self.robot.close()


class FaultyRunner:
    """A runner (see `safety.PolicyRunner`) whose policy answers something else while ``robot``'s fault is active.

    It keeps what the model was given, so that a drill can tell whether something bad got through.
    """

    def __init__(self, runner: PolicyRunner, robot: FaultyRobot) -> None:
        self._runner, self._robot = runner, robot
        self.bundle = runner.bundle
        self.saw_bad = 0
        """How often the model was asked about readings that are not finite."""

    def reset(self) -> None:
        self._runner.reset()

    def step(self, readings: NDArray[np.float32], /) -> Any:
        self.saw_bad += not np.isfinite(readings).all()
        action = self._runner.step(readings)
        spoil = self._robot.fault.answer
        return action if spoil is None or not self._robot.active else spoil(np.array(action, np.float64))

    def sent(self, command: NDArray[np.float64], /) -> None:
        self._runner.sent(command)


def _spoiled(value: float, every: int = 1) -> Spoil:
    """One sensor, another one at each step, shows ``value``."""

    def spoil(robot: FaultyRobot, step: int) -> Reading:
        now = robot.history[-1]
        name = list(now.values)[step % len(now.values)]
        return replace(now, values={**now.values, name: value}) if step % every == 0 else now

    return spoil


def _multiplied(factor: float) -> Spoil:
    """One sensor, another one at each step, shows ``factor`` times its value: plausible, and wrong."""

    def spoil(robot: FaultyRobot, step: int) -> Reading:
        now = robot.history[-1]
        name = list(now.values)[step % len(now.values)]
        return replace(now, values={**now.values, name: factor * now.values[name]})

    return spoil


def _aged(steps: int) -> Spoil:
    """The reading of some steps ago, with its own stamp."""
    return lambda robot, step: robot.history[-1 - steps]


def _stopped(robot: FaultyRobot, step: int) -> Reading:
    """The last reading before the fault, again and again, with its own stamp."""
    return robot.history[ONSET - 1]


def _frozen(robot: FaultyRobot, step: int) -> Reading:
    """The last values before the fault, with new stamps."""
    return replace(robot.history[-1], values=robot.history[ONSET - 1].values)


def _swapped(robot: FaultyRobot, step: int) -> Reading:
    """Every second reading comes two steps late, after newer ones."""
    return robot.history[-1 - 2 * (step % 2)]


def _future(robot: FaultyRobot, step: int) -> Reading:
    return replace(robot.history[-1], stamp=robot.history[-1].stamp + 10.0)


def _unstamped(robot: FaultyRobot, step: int) -> Reading:
    return replace(robot.history[-1], stamp=math.nan)


def _raise(action: NDArray[np.float64]) -> Any:
    raise RuntimeError("the policy's process is gone")


FAULTS = (
    Fault("none", "nothing goes wrong", 0),
    Fault("stale", "readings are 3 periods old for 5 steps", 5, _aged(3)),
    Fault("sensor_stops", "the same reading for good, with its own stamp", FOR_GOOD, _stopped),
    Fault("dropped", "no reading in every second of 10 steps", 10, lambda r, s: r.history[-1] if s % 2 else None),
    Fault("silent", "no reading for 4 steps", 4, lambda r, s: None),
    Fault("silent_for_good", "no reading any more", FOR_GOOD, lambda r, s: None),
    Fault("out_of_order", "every second of 10 readings is 2 periods late", 10, _swapped),
    Fault("bad_stamps", "stamps are NaN for 3 steps", 3, _unstamped),
    Fault("future_stamps", "stamps are 10 s ahead for good", FOR_GOOD, _future),
    Fault("nan", "a sensor is NaN for 3 steps", 3, _spoiled(math.nan)),
    Fault("nan_flicker", "a sensor is NaN at every third step, for good", FOR_GOOD, _spoiled(math.nan, 3)),
    Fault("inf", "a sensor is infinite for 3 steps", 3, _spoiled(math.inf)),
    Fault("huge", "a sensor is 1e30 for good", FOR_GOOD, _spoiled(1e30)),
    Fault("tenfold", "a sensor is ten times its value for 3 steps", 3, _multiplied(10.0)),
    Fault("frozen", "values freeze for good, stamps go on", FOR_GOOD, _frozen),
    Fault("late_loop", "every step takes 2 periods for 10 steps", 10, pause=2.0),
    Fault("gap", "one step takes 10 periods", 1, pause=10.0),
    Fault("clock_back", "the clock jumps back by 1 s for good", FOR_GOOD, clock=-1.0),
    Fault("policy_nan", "the policy answers NaN for 3 steps", 3, answer=lambda a: a * math.nan),
    Fault("policy_inf", "the policy answers infinity for good", FOR_GOOD, answer=lambda a: a + math.inf),
    Fault("policy_huge", "the policy answers 100 times its action for 3 steps", 3, answer=lambda a: 100 * a),
    Fault("policy_flips", "the policy's action changes sign at full size for 10 steps", 10, answer=lambda a: -a),
    Fault("policy_fails", "the policy raises for good", FOR_GOOD, answer=_raise),
)
