"""The control loop: read, let the filter decide, write, sleep until the next period. Whatever ends it, the robot is
told to hold."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType

from sim2real.deploy.reasons import Reason
from sim2real.deploy.robot import Reading, Robot
from sim2real.deploy.safety import Decision, SafetyFilter
from sim2real.deploy.step_log import StepLog
from sim2real.deploy.timing import Schedule, StepTimes
from sim2real.deploy.watchdog import Watchdog
from sim2real.errors import UserError

WATCHDOG_PERIODS = 5
"""Control periods without a command after which the watchdog holds the robot."""
HOLD_ATTEMPTS = 3
"""How often a robot whose ``hold`` fails is asked again before the loop gives up."""


class ControlLoop:
    """Steps one robot with one policy, and keeps count.

    A step that is late is not made up for: its slot is skipped. Ctrl-C and SIGTERM end the loop after the current step.
    """

    def __init__(
        self,
        robot: Robot,
        safety: SafetyFilter,
        *,
        dry_run: bool = False,
        log: StepLog | None = None,
        watched: bool = True,
        patience: float = math.inf,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """
        Args:
            robot: is read and written, not closed.
            safety: decides; owns the policy.
            dry_run: compute everything and send nothing, not even a hold.
            log: takes every step.
            watched: hold the robot from another thread when the loop hangs. Off where the clock is not the wall's.
            patience: how long to wait for the first usable reading (in seconds).
            tell: takes one line for each thing that an operator should know at once.
        """
        self._robot, self._safety, self._dry_run, self._log = robot, safety, dry_run, log
        self._names, self._dt = safety.contract.action, safety.contract.control_dt
        self._watched, self._patience, self._tell = watched and not dry_run, patience, tell
        self._stop = threading.Event()
        self.work, self.late = StepTimes(self._dt), StepTimes(self._dt)
        """Durations of the steps' work, and how long after its due time each step began."""
        self.reasons: Counter[str] = Counter()
        """How often the filter found what."""
        self.skipped, self.watchdog_holds, self.steps = 0, 0, 0
        """Periods that were missed; times that the watchdog held the robot; control steps."""
        self._fired = 0
        self.latches = 0
        """How often the filter latched."""
        self.latched = ""
        """Why the filter is latched; empty if it is not."""

    @property
    def stopped(self) -> bool:
        """Whether somebody asked the loop to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End after the current step; from any thread."""
        self._stop.set()

    def run(
        self, steps: float = math.inf, *, until: Callable[[], bool] = lambda: False, past_latch: bool = False
    ) -> int:
        """Run ``steps`` periods, or until ``until()`` or a latch; return how many steps that were.

        Args:
            steps: at most so many.
            until: is asked before each step.
            past_latch: go on, holding, after the filter has latched: somebody can re-arm it.

        Raises:
            UserError: no usable reading came within the loop's patience.
        """
        before = self.steps
        hold = contextlib.nullcontext() if self._dry_run else self._holding()
        with self._signals(), hold, self._watchdog() as watchdog:
            schedule = Schedule(due := self._robot.now(), self._dt)
            while self.steps - before < steps and not self.stopped and not until():
                asked = self._step(due, watchdog)
                if self.latched and not past_latch:
                    break
                # Half a period from the time that the filter knows of, however long the reading took.
                self._robot.sleep_until(due := schedule.next(max(self._robot.now(), asked + self._dt)))
            self.skipped += schedule.skipped
        return self.steps - before

    def _step(self, due: float, watchdog: Watchdog | None) -> float:
        """One control step; the robot's clock when the filter was asked."""
        began = time.perf_counter()
        self.late.add(max(self._robot.now() - due, 0.0))
        reading = self._robot.read()
        now = self._robot.now()  # only now: what a driver that hung gives is old
        self._hear(watchdog)
        decision = self._safety.step(reading, now)
        if not self._dry_run:
            if self._hear(watchdog) or self._robot.now() - now > self._safety.envelope.max_age:
                decision = self._overtaken(decision)
            self._send(decision)
            if watchdog:
                watchdog.feed()
        seconds = time.perf_counter() - began
        self.steps += 1
        self.work.add(seconds)
        self._note(reading, decision, now, seconds)
        return now

    def _hear(self, watchdog: Watchdog | None) -> bool:
        """Whether the watchdog has held the robot since the last time this was asked; the filter is told."""
        if watchdog is None or watchdog.fired == self._fired:
            return False
        self.watchdog_holds += watchdog.fired - self._fired
        self._fired = watchdog.fired
        did = f"could not hold the robot ({watchdog.error})" if watchdog.error else "held the robot"
        self._tell(f"the watchdog {did}: no command for {WATCHDOG_PERIODS} periods")
        self._safety.interrupted()
        return True

    def _overtaken(self, decision: Decision) -> Decision:
        """A hold instead of a decision that took so long that what it was made from is old."""
        self._safety.interrupted()
        detail = decision.detail or "the policy answered too late, its action was not sent"
        return replace(decision, reasons=(*decision.reasons, Reason.OVERTAKEN), detail=detail, may_send=False)

    def _send(self, decision: Decision) -> None:
        if decision.may_send:
            self._robot.write(dict(zip(self._names, decision.command.tolist(), strict=True)))
        else:
            self._robot.hold()

    def _note(self, reading: Reading | None, decision: Decision, now: float, seconds: float) -> None:
        self.reasons.update(str(reason) for reason in decision.reasons)
        if self._log:
            self._log.add(now, reading, decision, seconds=seconds)
        if decision.latched != bool(self.latched):
            self.latches += decision.latched
            self._tell(f"latched: {decision.detail}" if decision.latched else "re-armed")
        self.latched = (decision.detail or "latched") if decision.latched else ""
        if Reason.STARTED in decision.reasons:
            self._patience = math.inf
        elif not decision.latched and self.work.count * self._dt > self._patience:
            why = decision.detail or "the robot gives none"
            raise UserError(f"no usable reading within {self._patience:g} s: {why}")

    # ---- around the loop ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _holding(self) -> Iterator[None]:
        """Hold the robot at the end, whatever the end is."""
        try:
            yield
        finally:
            for attempt in range(1, HOLD_ATTEMPTS + 1):
                try:
                    self._robot.hold()
                    break
                except Exception as error:  # any driver's error; what ended the loop is more important
                    self._tell(f"the robot's hold failed ({attempt} of {HOLD_ATTEMPTS}): {error}")

    @contextlib.contextmanager
    def _watchdog(self) -> Iterator[Watchdog | None]:
        if not self._watched:
            yield None
            return
        self._fired = 0
        with Watchdog(self._robot.hold, timeout=WATCHDOG_PERIODS * self._dt) as watchdog:
            yield watchdog

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the loop between two steps; the second one ends it anywhere."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(number: int, frame: FrameType | None) -> None:
            if self.stopped:
                sys.exit(128 + number)  # through the finally blocks: the robot is held
            self._tell("stopping")
            self.stop()

        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, end) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
