"""Between policy and robot: what may the policy see, what may the robot be sent, and when must a person look.

In this order, every control step: stamps and age of the reading; its content; the model; its answer; limits, measured
position, rate limit, low-pass. **For any sequence of readings and times, every command is finite, within the limits and
within the rate limit of the command before**: the tests search for a counterexample. This is software on the robot's
computer, tested, and not a certified safety function: the robot's own limits and its emergency stop stay in force.

    safety = SafetyFilter(BundleRunner("bundle"), SafetyConfig(rate_limits={"finger_displacement": 0.2}))
    decision = safety.step(robot.read(), robot.now())
    robot.write(dict(zip(names, decision.command)))
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.command_limiter import CommandLimiter
from sim2real.deploy.contract import Contract
from sim2real.deploy.input_guard import SLACK, InputGuard, Judgement, number
from sim2real.deploy.reasons import FAULTS, HOLDS, Reason
from sim2real.deploy.robot import Reading
from sim2real.deploy.safety_config import SafetyConfig, SafetyError, Vector, load_safety, resolve

__all__ = ["Decision", "PolicyRunner", "Reason", "SafetyConfig", "SafetyError", "SafetyFilter", "load_safety"]

_TOLERANCE = 1e-3
"""Share of an element's span by which a policy computed in float32 may pass the limits that its contract promises."""


class _Opened(Protocol):
    @property
    def contract(self) -> Contract: ...


class PolicyRunner(Protocol):
    """What the filter needs of a `BundleRunner`."""

    @property
    def bundle(self) -> _Opened: ...

    def reset(self) -> None: ...

    def step(self, readings: NDArray[np.float32], /) -> NDArray[np.floating[Any]]: ...

    def sent(self, command: Vector, /) -> None: ...


@dataclass(frozen=True, eq=False)
class Decision:
    """The outcome of one control step."""

    command: Vector
    """[A] physical, in the order of the contract: finite, within limits and rate limit."""
    raw_action: Vector | None
    """[A] what the policy said; None if it was not asked or did not answer with A numbers."""
    reasons: tuple[Reason, ...]
    """Everything that was found; empty if ``command`` is the policy's action."""
    latched: bool
    """Whether only the hold is sent until `SafetyFilter.rearm`."""
    detail: str = ""
    """What was wrong, for people and logs."""
    may_send: bool = True
    """False while no command is known to be safe: a position target before the position was ever measured. The robot's
    own ``hold`` is the right call then."""

    @property
    def held(self) -> bool:
        """Whether the policy's action was withheld."""
        return not HOLDS.isdisjoint(self.reasons)


class SafetyFilter:
    """Owns the calls of a runner: a reading that must not reach the model does not.

    Holding means, element by element: a position target (kind ``.../position`` or ``.../pose``) is repeated; every
    other action is a motion and goes to zero, within the rate limit. The policy's memory is reset at the start, after a
    latch, and when it has not stepped for longer than the timeout; each of these begins with the ramp.

    One thread calls `step`. `stop`, `rearm` and `interrupted` may be called from any, and take effect, in the order of
    the calls, at the next step.
    """

    def __init__(self, runner: PolicyRunner, config: SafetyConfig | None = None) -> None:
        self.config, self.runner, self.contract = config or SafetyConfig(), runner, runner.bundle.contract
        self.envelope = resolve(self.config, self.contract)
        self._slack = _TOLERANCE * (self.envelope.promised_high - self.envelope.promised_low)
        self._guard = InputGuard(self.envelope, self.contract.readings, self.config.frozen_steps)
        self._limiter = CommandLimiter(self.envelope, low_pass=self.config.low_pass, ramp_steps=self.config.ramp_steps)
        self._requests: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self._faults: deque[bool] = deque(maxlen=self.config.fault_window)
        self._latched, self._latch_detail = False, ""
        self._running = False
        """Whether the policy has begun its episode."""
        self._acted, self._time = -math.inf, -math.inf
        """When the policy stepped last, and when this filter did (in seconds)."""
        self._early = 0
        """Steps in a row that came too early."""
        self._disarm()

    # ---- what others may ask for ---------------------------------------------------------------------------------

    def stop(self, why: str = "") -> None:
        """Latch: for an emergency stop, a deadman's switch that was let go, an operator."""
        self._requests.put(("stop", why))

    def rearm(self) -> None:
        """Start afresh with the next good reading, latched or not. A person asks for this, having looked."""
        self._requests.put(("rearm", ""))

    def interrupted(self) -> None:
        """Say that somebody else, such as the watchdog, has stopped the robot: what was sent last is void."""
        self._requests.put(("interrupted", ""))

    def describe(self) -> str:
        """One line an action element: limits, rate limit, and what holding does to it."""
        e, lines = self.envelope, []
        for i, element in enumerate(self.contract.action_elements):
            hold = "stays where it is" if e.keeps[i] else f"goes to {e.rest[i]:g}"
            lines.append(
                f"{element.name}: {e.low[i]:g} to {e.high[i]:g} {element.unit}, at most {e.rate[i]:g} a step; "
                f"on hold it {hold} ({element.kind or 'kind not named'})"
            )
        return "\n".join(lines)

    @property
    def latched(self) -> bool:
        """Whether only the hold is sent until `rearm`."""
        return self._latched

    # ---- one control step ----------------------------------------------------------------------------------------

    def step(self, reading: Reading | None, now: float) -> Decision:
        """Decide what to send. Never raises for what readings, clock or policy do.

        Args:
            reading: the robot's newest, None if there is none.
            now: the robot's clock (in seconds), the one of the stamps.
        """
        self._take_requests()
        if self._latched:
            return self._hold([Reason.LATCHED], self._latch_detail)
        time, reason = number(now), self._check_clock(now)
        if reason is Reason.EARLY:
            return self._decision(self._limiter.sent.copy(), None, [reason], "called again within half a period")
        if reason is not None:
            return self._hold([reason], f"time is {now!r:.40}, the one before was {self._time:g}")
        seen = self._guard.judge(reading, time, moving=self._limiter.moving)
        if seen.vector is None:
            return self._hold(list(seen.reasons), seen.detail)
        return self._act(seen, seen.vector, time)

    def _act(self, seen: Judgement, vector: NDArray[np.float32], time: float) -> Decision:
        reasons = list(seen.reasons)
        if time - self._acted > self.envelope.timeout + SLACK * self.envelope.dt:
            refusal = self._begin(vector)
            reasons.append(Reason.FAR_FROM_START if refusal else Reason.GAP if self._running else Reason.STARTED)
            if refusal:
                return self._hold(reasons, refusal)
            self._running = True
        self._acted = time
        raw, reason, detail = self._ask(vector)
        if raw is None or reason is not None:
            return self._hold([*reasons, *([reason] if reason else [])], detail, raw)
        command, changes = self._limiter.limit(raw, vector)
        return self._decision(command, raw, [*reasons, *changes], detail)

    def _check_clock(self, now: Any) -> Reason | None:
        """Refuse a clock that is no clock. Two steps within half a period would double the rate of everything."""
        time, before = number(now), self._time
        if not math.isfinite(time) or time < before:
            return Reason.CLOCK
        if time - before < self.envelope.dt / 2:
            self._early += 1
            return Reason.CLOCK if self._early > self.config.max_faults else Reason.EARLY
        self._time, self._early = time, 0
        return None

    def _begin(self, vector: NDArray[np.float32]) -> str:
        """Begin an episode of the policy with this reading, or say why not.

        Only a start that a person asked for has to be near the poses that training began in: after a gap, the robot is
        where the policy itself has brought it.
        """
        e = self.envelope
        outside = np.flatnonzero((vector < e.start_low) | (vector > e.start_high))
        if outside.size and not self._running:
            bad = [f"{self.contract.readings[i]} = {vector[i]:g}" for i in outside[:5]]
            return f"not where the policy may start: {', '.join(bad)}"
        refusal = self._limiter.anchor(vector)
        if not refusal:
            self.runner.reset()
            self._limiter.restart()
        return refusal

    def _ask(self, vector: NDArray[np.float32]) -> tuple[Vector | None, Reason | None, str]:
        """The policy's action [A] if there is one, and what is wrong with it."""
        try:
            raw = np.array(self.runner.step(vector), np.float64)
        except Exception as error:  # the back ends' errors share no base, and the loop has to go on
            return None, Reason.MODEL_FAILED, f"{type(error).__name__}: {error}"[:300]
        if raw.shape != self.envelope.low.shape:
            return None, Reason.BAD_ACTION, f"the policy's action has shape {raw.shape}"
        if not np.isfinite(raw).all():
            return raw, Reason.BAD_ACTION, f"the policy's action is {raw.tolist()}"
        e = self.envelope
        if ((raw < e.promised_low - self._slack) | (raw > e.promised_high + self._slack)).any():
            return raw, Reason.ACTION_OUT_OF_LIMITS, f"the policy's action is {raw.tolist()}"
        return raw, None, ""

    def _hold(self, reasons: list[Reason], detail: str, raw: Vector | None = None) -> Decision:
        return self._decision(self._limiter.hold(), raw, reasons, detail)

    def _decision(self, command: Vector, raw: Vector | None, reasons: list[Reason], detail: str) -> Decision:
        if self._running:
            self.runner.sent(command)  # the memory reads what the robot was told, not what the policy wanted
            self._faults.append(not FAULTS.isdisjoint(reasons))
            if sum(self._faults) >= self.config.max_faults:
                reasons.append(Reason.FAULTS)
            if Reason.TIMEOUT in reasons or Reason.FAULTS in reasons:
                self._latch(detail)
        return Decision(command, raw, tuple(reasons), self._latched, detail, self._limiter.anchored)

    # ---- latch and start -----------------------------------------------------------------------------------------

    def _latch(self, detail: str) -> None:
        self._latched, self._latch_detail = True, detail
        self._disarm()

    def _disarm(self) -> None:
        """Forget the episode: the next good reading is the first of a new one."""
        self._running = False
        self._acted = self._time = -math.inf
        self._early = 0
        self._faults.clear()
        self._guard.restart()
        self.runner.reset()

    def _take_requests(self) -> None:
        while True:
            try:
                request, why = self._requests.get_nowait()
            except Empty:
                return
            if request == "stop":
                self._latch(f"stopped: {why}" if why else "stopped")
            elif request == "rearm":
                self._latched, self._latch_detail = False, ""
                self._disarm()
            else:
                self._limiter.interrupted()
                self._acted = -math.inf
