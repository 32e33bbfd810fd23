from __future__ import annotations

import threading
import time

import pytest

from sim2real.deploy.watchdog import Watchdog


class Robot:
    """Counts holds; `held` is set by each."""

    def __init__(self, failures: int = 0) -> None:
        self.holds, self.held, self._failures = 0, threading.Event(), failures

    def hold(self) -> None:
        self.holds += 1
        if self.holds <= self._failures:
            raise OSError("the bus is busy")
        self.held.set()


def test_it_waits_for_the_first_command() -> None:
    robot = Robot()
    with Watchdog(robot.hold, timeout=0.02) as watchdog:
        assert not robot.held.wait(0.1)
        watchdog.feed()
        assert robot.held.wait(5)


def test_a_loop_that_hangs_is_held_again_and_again() -> None:
    robot = Robot()
    with Watchdog(robot.hold, timeout=0.01) as watchdog:
        watchdog.feed()
        until = time.monotonic() + 10
        while watchdog.fired < 3 and time.monotonic() < until:
            time.sleep(0.01)
        assert watchdog.fired >= 3
    assert robot.holds >= 3


def test_a_loop_in_time_is_left_alone() -> None:
    robot = Robot()
    with Watchdog(robot.hold, timeout=30) as watchdog:
        for _ in range(100):
            watchdog.feed()
    assert (robot.holds, watchdog.fired) == (0, 0)


def test_a_hold_that_fails_is_tried_again() -> None:
    robot = Robot(failures=2)
    with Watchdog(robot.hold, timeout=0.01) as watchdog:
        watchdog.feed()
        assert robot.held.wait(10)
    assert robot.holds >= 3


def test_it_ends_with_the_loop() -> None:
    before = threading.active_count()
    with Watchdog(Robot().hold, timeout=1000) as watchdog:
        watchdog.feed()
    assert threading.active_count() == before


def test_a_timeout_has_to_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        Watchdog(Robot().hold, timeout=0.0)
