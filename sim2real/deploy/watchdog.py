"""A second pair of eyes: stops the robot when the control loop has stopped talking to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType


class Watchdog:
    """Calls ``hold`` when no command came for ``timeout`` seconds, and again every ``timeout`` until one comes.

    It runs on a thread and a clock of its own, so a loop that hangs, in a driver or in the policy, does not hang it. A
    loop that comes back goes on by itself; it has to tell the filter (`SafetyFilter.interrupted`) when `fired` has
    grown. Python's interpreter lock is shared: code that keeps it keeps the watchdog too, which is one of the reasons
    why the robot needs a command timeout of its own.

    with Watchdog(robot.hold, timeout=5 * dt) as watchdog:
        ...
        robot.write(command)
        watchdog.feed()
    """

    def __init__(self, hold: Callable[[], object], *, timeout: float) -> None:
        if not timeout > 0:
            raise ValueError(f"a watchdog's timeout has to be positive (in seconds), got {timeout}")
        self._hold, self._timeout = hold, timeout
        self._changed = threading.Condition()
        self._deadline, self._closed = float("inf"), False
        self.fired = 0
        """How often ``hold`` was called."""
        self.error: Exception | None = None
        """What the last ``hold`` raised, if it did; it is tried again."""
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def feed(self) -> None:
        """A command was sent. The first one starts the watch."""
        with self._changed:
            idle, self._deadline = self._deadline == float("inf"), time.monotonic() + self._timeout
            if idle:
                self._changed.notify()

    def _watch(self) -> None:
        while self._wait():
            try:
                self._hold()
                self.error = None
            except Exception as error:  # a driver that fails once is asked again; this thread must not die
                self.error = error

    def _wait(self) -> bool:
        """Until the deadline has passed (True) or the watch is over (False)."""
        with self._changed:
            while not self._closed:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    self.fired += 1
                    self._deadline = time.monotonic() + self._timeout
                    return True
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            return False
