"""The second half of the safety filter: every command it gives is finite, within the limits, and within the rate limit
of the one before, whatever it is asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.reasons import Reason
from sim2real.deploy.safety_config import Envelope, Vector

_ROUNDING = 1e-6
"""Share of an element's span below which a change is rounding (the policy computes in float32), not an intervention."""
_STANDSTILL = 0.02
"""Share of half an element's span below which a command does not count as motion."""


class CommandLimiter:
    """Keeps the command sent last. Call `restart` when the policy starts and `interrupted` when somebody else stopped
    the robot."""

    def __init__(self, envelope: Envelope, *, low_pass: float, ramp_steps: int) -> None:
        self._envelope, self._low_pass, self._ramp_steps = envelope, low_pass, ramp_steps
        self._span = envelope.high - envelope.low
        self.sent: Vector = envelope.rest
        self.moving = False
        """Whether the last command asks for motion."""
        self.anchored = not envelope.keeps.any()
        """Whether the last command is known; of a position target it is not before the first measurement."""
        self.restart()

    def restart(self) -> None:
        """Begin the ramp from where the robot is told to be now."""
        self._step, self._origin = 0, np.where(self._envelope.keeps, self.sent, self._envelope.rest)

    def interrupted(self) -> None:
        """Somebody else has stopped the robot: the last command is void."""
        self.sent, self.anchored, self.moving = self._envelope.rest, not self._envelope.keeps.any(), False

    def anchor(self, vector: NDArray[np.floating]) -> str:
        """Take measured positions [R] for the last command where that is not known.

        Returns:
            What keeps it from doing so: positions beyond the limits, from where a command would jump. Empty if done.
        """
        if self.anchored:
            return ""
        envelope, keeps = self._envelope, self._envelope.keeps
        position = vector[envelope.measured[keeps]].astype(np.float64)
        inside = np.clip(position, envelope.low[keeps], envelope.high[keeps])
        beyond = np.abs(position - inside) > envelope.rate[keeps]
        if beyond.any():
            return f"measured positions {position.tolist()} are outside the action's limits by more than a step"
        self.sent = self.sent.copy()
        self.sent[keeps] = inside
        self.anchored = True
        return ""

    def hold(self) -> Vector:
        """The command that stops the robot: position targets stay, motions go to zero as fast as the rate limit
        allows."""
        return self._send(np.where(self._envelope.keeps, self.sent, self._envelope.rest))

    def limit(self, action: Vector, vector: NDArray[np.floating]) -> tuple[Vector, list[Reason]]:
        """The command [A] that may be sent for a finite action [A], with what was changed.

        Args:
            action: what the policy says, in physical units.
            vector: readings [R] in the contract's order.
        """
        envelope, reasons = self._envelope, []
        command = np.clip(action, envelope.low, envelope.high)
        if self._differs(command, action):
            reasons.append(Reason.CLIPPED)
        if self._step < self._ramp_steps:
            self._step += 1
            share = self._step / (self._ramp_steps + 1)
            command = self._origin + share * (command - self._origin)
            reasons.append(Reason.RAMP)
        near = self._near_measured(command, vector)
        if self._differs(near, command):
            reasons.append(Reason.MEASURED_LIMITED)
        allowed = self.sent + np.clip(near - self.sent, -envelope.rate, envelope.rate)
        if self._differs(allowed, near):
            reasons.append(Reason.RATE_LIMITED)
        return self._send(self.sent + self._low_pass * (allowed - self.sent)), reasons

    def _near_measured(self, command: Vector, vector: NDArray[np.floating]) -> Vector:
        envelope = self._envelope
        if not np.isfinite(envelope.lead).any():
            return command
        measured = np.where(envelope.keeps, vector[envelope.measured], command).astype(np.float64)
        near = np.clip(command, measured - envelope.lead, measured + envelope.lead)
        return np.clip(near, envelope.low, envelope.high)

    def _differs(self, a: Vector, b: Vector) -> bool:
        return bool((np.abs(a - b) > _ROUNDING * self._span).any())

    def _send(self, wish: Vector) -> Vector:
        """Make ``wish`` [A] the last command; nothing leaves but through here."""
        envelope, before = self._envelope, self.sent
        command = before + np.clip(wish - before, -envelope.rate, envelope.rate)
        command = np.clip(command, envelope.low, envelope.high)
        # The sum is rounded: a step may be too long by the last bit of the command.
        command = np.where(np.abs(command - before) > envelope.rate, np.nextafter(command, before), command)
        motion = np.abs(command - np.where(envelope.keeps, before, envelope.rest))
        self.moving = bool((motion > _STANDSTILL / 2 * self._span).any())
        self.sent = command
        return command.copy()
