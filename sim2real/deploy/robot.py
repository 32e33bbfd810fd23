"""What a control loop needs of a robot: stamped readings by name, commands by name, a way to stop, and a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Reading:
    """What the robot said last."""

    stamp: float
    """When it was measured, on the robot's clock (in seconds). Of elements measured at different times, the oldest."""
    values: Mapping[str, float]
    """Element name of the contract -> value, raw, in the contract's unit. May be incomplete or not finite: the safety
    filter judges that, not the robot."""


class Robot(Protocol):
    """A robot, simulated, recorded or real. The loop is its only caller, but for `hold`, which a watchdog may call from
    another thread."""

    def read(self) -> Reading | None:
        """The newest reading, at once: never waits for the next one. None before the first."""

    def write(self, command: Mapping[str, float]) -> None:
        """Send one command: action element name of the contract -> physical value. Does not wait for the motion."""

    def hold(self) -> None:
        """Stop the motion and stay. Safe to call at any time, from any thread, more than once."""

    def now(self) -> float:
        """The robot's clock (in seconds): that of the stamps; monotonic."""

    def sleep_until(self, time: float) -> None:
        """Return when `now` has reached ``time``; at once if it has passed. Control is given back late, never early."""

    def close(self) -> None:
        """Give back connections and files. Does not stop the motion: `hold` comes first."""


@runtime_checkable
class EpisodicRobot(Robot, Protocol):
    """A robot whose world is set up anew for every episode: a simulation, a recording."""

    @property
    def over(self) -> bool:
        """Whether the episode has ended, or none has begun."""

    def begin(self) -> None:
        """Set up the next episode. The clock goes on."""
