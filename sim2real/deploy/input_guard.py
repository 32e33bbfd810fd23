"""The first half of the safety filter: which readings the policy may see (order, age, content, signs of life)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.reasons import HOLDS, Reason
from sim2real.deploy.robot import Reading
from sim2real.deploy.runner import checked_readings
from sim2real.deploy.safety_config import Envelope

FloatVector = NDArray[np.float32]
SLACK = 1e-3
"""Share of a control period by which times may differ: sums of periods are not exact."""


@dataclass(frozen=True)
class Judgement:
    """What the guard says to one reading."""

    vector: FloatVector | None
    """[R] what the policy may see, in the contract's order; None: hold."""
    reasons: tuple[Reason, ...]
    detail: str = ""
    """What was wrong, for people."""


class _RefusedError(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class InputGuard:
    """Remembers the newest good reading. Only good ones count: a sensor that sends NaN goes stale like a silent one."""

    def __init__(self, envelope: Envelope, names: Sequence[str], frozen_steps: int) -> None:
        self._envelope, self._names, self._frozen_steps = envelope, tuple(names), frozen_steps
        self.restart()

    def restart(self) -> None:
        """Forget all readings: the next good one is the first."""
        self._stamp, self._unchanged = -math.inf, 0
        self._vector: FloatVector | None = None

    def judge(self, reading: Reading | None, now: float, *, moving: bool) -> Judgement:
        """What the policy may see at time ``now`` (finite, in seconds, on the clock of the stamps).

        Args:
            reading: what the robot gave, whatever it is.
            now: time of this control step.
            moving: whether the command before this reading asked for motion.
        """
        reasons, detail = [], ""
        try:
            reasons += self._take(reading, now, moving)
        except _RefusedError as refusal:
            reasons.append(refusal.reason)
            detail = str(refusal)
        if self._vector is None:
            return Judgement(None, (*reasons, Reason.WAITING), detail)
        age = now - self._stamp - SLACK * self._envelope.dt
        if age > self._envelope.max_age:
            reasons.append(Reason.TIMEOUT if age > self._envelope.timeout else Reason.STALE)
            detail = detail or f"newest good reading is {age * 1000:.0f} ms old"
        if self._frozen_steps and self._unchanged >= self._frozen_steps:
            reasons.append(Reason.FROZEN)
            detail = detail or f"no sensor has changed in {self._unchanged} readings while motion was commanded"
        return Judgement(None if HOLDS.intersection(reasons) else self._vector, tuple(reasons), detail)

    def _take(self, reading: Reading | None, now: float, moving: bool) -> list[Reason]:
        """Make ``reading`` the newest if it is good; raise `_RefusedError` if it is not."""
        if reading is None:
            return [Reason.MISSING]
        stamp = self._checked_stamp(reading, now)
        vector = self._checked_values(reading)
        before, repeated = self._vector, stamp == self._stamp
        if before is not None and not repeated:
            measured = self._envelope.sensors
            # Where nothing is measured, nothing can freeze.
            same = measured.any() and np.array_equal(vector[measured], before[measured])
            # At standstill, sensors with coarse steps show the same for as long as they like.
            self._unchanged = self._unchanged + moving if same else 0
        self._stamp, self._vector = stamp, vector
        return [Reason.REPEATED] if repeated else []

    def _checked_stamp(self, reading: Reading, now: float) -> float:
        stamp = number(reading.stamp)
        if not math.isfinite(stamp):
            raise _RefusedError(Reason.BAD_STAMP, f"stamp is {reading.stamp!r:.40}")
        if stamp > now + self._envelope.dt / 2:
            raise _RefusedError(Reason.BAD_STAMP, f"stamp is {stamp - now:.3g} s in the future: compare the clocks")
        if stamp < self._stamp:
            raise _RefusedError(
                Reason.OUT_OF_ORDER, f"stamp is {self._stamp - stamp:.3g} s before that of the last one"
            )
        return stamp

    def _checked_values(self, reading: Reading) -> FloatVector:
        try:
            vector = checked_readings(reading.values, self._names)
        except Exception as error:  # whatever a driver may put there, the loop has to go on
            raise _RefusedError(Reason.BAD_READING, f"{error}"[:300]) from None
        envelope = self._envelope
        outside = (vector < envelope.reading_low) | (vector > envelope.reading_high)
        if outside.any():
            bad = [f"{self._names[i]} = {vector[i]:g}" for i in np.flatnonzero(outside)[:5]]
            raise _RefusedError(Reason.OUT_OF_RANGE, f"out of range: {', '.join(bad)}")
        return vector


def number(value: Any) -> float:
    """``value`` as a float; NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
