"""Is the control loop in time: when the next step is due, and how long the steps take."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

_KEPT = 100_000
"""Steps whose duration is kept: more than an hour at 25 Hz."""


class Schedule:
    """Due times on a grid of ``dt`` seconds. A slot that was missed is skipped, never made up for: two steps in quick
    succession would send the robot twice the motion in half the time."""

    def __init__(self, start: float, dt: float) -> None:
        self._start, self._dt, self._slot = start, dt, 0
        self.skipped = 0
        """Slots that were missed."""

    def next(self, now: float) -> float:
        """When the next step is due: the first slot after the current one that is not half over at ``now``. It may have
        begun, then the step is a little late; half a period is what the safety filter asks for between two steps."""
        following = self._slot + 1
        self._slot = max(following, math.ceil((now - self._start) / self._dt - 0.5))
        self.skipped += self._slot - following
        return self._start + self._slot * self._dt


class StepTimes:
    """Durations of the loop's work, without its sleep."""

    def __init__(self, dt: float) -> None:
        self._dt, self._seconds = dt, deque[float](maxlen=_KEPT)
        self.count, self.overruns, self.slow = 0, 0, 0
        """Steps; those longer than the control period; those longer than half of it."""

    def add(self, seconds: float) -> None:
        """One step took ``seconds``."""
        self._seconds.append(seconds)
        self.count += 1
        self.overruns += seconds > self._dt
        self.slow += seconds > self._dt / 2

    def summary(self) -> dict[str, float]:
        """``steps``, ``overruns``, ``slow``, and ``p50_ms``, ``p95_ms``, ``p99_ms`` of the work, over the last 100,000
        steps. No maximum: that of a finite sample says nothing about the next one."""
        found: dict[str, float] = {"steps": self.count, "overruns": self.overruns, "slow": self.slow}
        if self._seconds:
            values = 1000 * np.percentile(np.array(self._seconds), [50, 95, 99])
            found |= {f"p{p}_ms": float(value) for p, value in zip((50, 95, 99), values, strict=True)}
        return found

    def warning(self) -> str:
        """What an operator should know; empty if the loop has time to spare."""
        if not self.slow:
            return ""
        return (
            f"{self.slow} of {self.count} steps took more than half of the control period of {1000 * self._dt:g} ms, "
            f"{self.overruns} more than all of it: the robot was late; look for other load on this computer"
        )
