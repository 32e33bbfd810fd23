"""A recorded robot: what was read is read again, what is written is compared with what was written then."""

from __future__ import annotations

import math
import time as wall
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.bundle import Bundle
from sim2real.deploy.contract import Contract
from sim2real.deploy.robot import Reading
from sim2real.deploy.step_log import read_step_log
from sim2real.errors import UserError


@dataclass(frozen=True)
class Recording:
    """S control steps of a robot."""

    readings: tuple[Reading | None, ...]
    now: NDArray[np.float64]
    """[S] the robot's clock at the beginning of the step (in seconds); rises."""
    sent: NDArray[np.float64]
    """[S, A] what was sent, physical; NaN where that is not known."""
    first: NDArray[np.bool_]
    """[S] whether the policy was started at this step."""


def golden_recording(bundle: Bundle) -> Recording:
    """The rollout that a bundle carries as its proof. Raises ``BundleError`` if it is missing or altered."""
    contract, golden = bundle.contract, bundle.golden()
    values, actions, step = golden["readings"], golden["actions"], golden["step"]
    now = np.arange(len(step), dtype=np.float64) * contract.control_dt
    readings = tuple(
        Reading(float(time), dict(zip(contract.readings, row.tolist(), strict=True)))
        for time, row in zip(now, values, strict=True)
    )
    return Recording(readings, now, np.asarray(actions, np.float64), step == 0)


def logged_recording(contract: Contract, path: str | Path) -> Recording:
    """What a run wrote with ``--log``.

    Raises:
        UserError: it is not a step log, or that of a robot with other readings or actions.
    """
    log = read_step_log(path)
    for part, promised in (("readings", contract.readings), ("action", contract.action)):
        if tuple(log.header[part]) != promised:
            raise UserError(
                f"{path} is the log of another policy: its {part} are {log.header[part]}, not {list(promised)}"
            )
    if len(log.now) == 0:
        raise UserError(f"{path} holds no steps")
    first = np.array(["started" in reasons for reasons in log.reasons])
    first[0] = True
    return Recording(tuple(map(log.reading, range(len(log.now)))), log.now, log.sent, first)


class LogReplayRobot:
    """Plays a `Recording`, over and over: each `sleep_until` goes to the next step, each run of steps that began with a
    start of the policy is an episode.

    The clock and the stamps are the recorded ones (moved on by the recording's length in each further round), so that
    the safety filter judges the same sequence again.
    """

    def __init__(
        self, contract: Contract, recording: Recording, *, golden: bool = False, realtime: bool = False
    ) -> None:
        """
        Args:
            contract: names the commands.
            recording: what to play.
            golden: whether the commands have to be the recorded ones, within the contract's tolerance.
            realtime: take as long as the control period says, on the wall's clock; otherwise as fast as possible.
        """
        self._contract, self._recording, self.golden = contract, recording, golden
        self._duration = recording.now[-1] - recording.now[0] + contract.control_dt
        self._realtime, self._due = realtime, -math.inf
        self._step, self._round = -1, 0
        self._over = True
        self._scale = np.asarray(contract.action_scale)
        self.worst = 0.0
        """Largest difference of a command from the recorded one so far, in units of the action's scale."""
        self.compared = 0
        """Commands that could be compared."""

    @property
    def length(self) -> int:
        """Steps of the recording."""
        return len(self._recording.readings)

    @property
    def over(self) -> bool:
        """Whether the next step belongs to another episode."""
        return self._over

    def begin(self) -> None:
        """Go to the first step of the next episode."""
        if self._step < 0 or not self._over:
            self._advance()
        while not self._recording.first[self._step]:
            self._advance()
        self._over, self._due = False, wall.monotonic() + self._contract.control_dt

    def read(self) -> Reading | None:
        reading = self._recording.readings[self._step] if self._step >= 0 else None
        return reading and Reading(reading.stamp + self._shift(), reading.values)

    def write(self, command: Mapping[str, float]) -> None:
        recorded = self._recording.sent[self._step]
        difference = np.abs(
            (np.array([command[name] for name in self._contract.action]) - recorded) / self._scale
        ).max()
        if not math.isnan(difference):
            self.compared += 1
            self.worst = max(self.worst, float(difference))

    def hold(self) -> None:
        """Nothing moves."""

    def now(self) -> float:
        return float(self._recording.now[max(self._step, 0)]) + self._shift()

    def sleep_until(self, time: float) -> None:
        """Go to the next step, whenever it was."""
        if self._realtime:
            # Each period from the end of the one before, or from now where that was missed: never made up for.
            now = wall.monotonic()
            wall.sleep(max(self._due - now, 0.0))
            self._due = max(self._due, now) + self._contract.control_dt
        self._advance()
        self._over = bool(self._recording.first[self._step])

    def close(self) -> None:
        """Nothing to give back."""

    def _advance(self) -> None:
        self._step += 1
        if self._step == self.length:
            self._step, self._round = 0, self._round + 1

    def _shift(self) -> float:
        return float(self._round * self._duration)
