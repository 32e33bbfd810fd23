"""A robot of your own in forty lines: a gripper that moves in a straight line to where it is told.

It stands for the place where your driver's calls go. Run a FetchReach bundle on it, at the contract's rate:

    cd examples
    sim2real run ../bundle --robot own_robot:PointGripper --steps 100
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from sim2real.deploy import Contract, Reading

START = {"x": 1.36, "y": 0.75, "z": 0.54}
GOAL = {"x": 1.45, "y": 0.68, "z": 0.60}
"""In metres, in the frame of the contract; a real robot would take the goal from an operator or a camera."""


class PointGripper:
    """Moves by the commanded displacement in every control period; its fingers do not move."""

    def __init__(self, contract: Contract) -> None:
        self._names, self._dt = contract.readings, contract.control_dt
        self._position, self._velocity = dict(START), dict.fromkeys("xyz", 0.0)
        self._measured = time.monotonic()

    def read(self) -> Reading | None:
        values = dict.fromkeys(self._names, 0.0)
        for axis in "xyz":
            values[f"gripper_position_{axis}"] = self._position[axis]
            values[f"gripper_velocity_{axis}"] = self._velocity[axis] * self._dt  # the contract: m per control period
            values[f"goal_position_{axis}"] = GOAL[axis]
        return Reading(self._measured, values)

    def write(self, command: Mapping[str, float]) -> None:
        for axis in "xyz":
            self._velocity[axis] = command[f"gripper_displacement_{axis}"] / self._dt

    def hold(self) -> None:
        self._velocity = dict.fromkeys("xyz", 0.0)

    def now(self) -> float:
        return time.monotonic()

    def sleep_until(self, t: float) -> None:
        time.sleep(max(t - time.monotonic(), 0.0))
        passed, self._measured = time.monotonic() - self._measured, time.monotonic()
        for axis in "xyz":
            self._position[axis] += self._velocity[axis] * passed

    def close(self) -> None:
        distance = sum((self._position[axis] - GOAL[axis]) ** 2 for axis in "xyz") ** 0.5
        print(f"the gripper ended {100 * distance:.1f} cm from its goal")
