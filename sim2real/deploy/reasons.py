"""Why the safety filter did not send what the policy said."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """One finding of one control step. Those in `HOLDS` kept the policy's action from being sent."""

    WAITING = "waiting"
    """No usable reading has come since the start or the last re-arm."""
    FAR_FROM_START = "far_from_start"
    """The robot does not stand where the policy may be started."""
    MISSING = "missing"
    """The robot gave no reading; the last one is used while it is fresh enough."""
    REPEATED = "repeated"
    """The reading was seen before; it is used again while it is fresh enough."""
    STALE = "stale"
    """The newest good reading is older than the policy may act on."""
    TIMEOUT = "timeout"
    """The newest good reading is so old that the filter latched."""
    OUT_OF_ORDER = "out_of_order"
    """The reading is older than one that came before it."""
    BAD_STAMP = "bad_stamp"
    """The reading's stamp is not finite, or lies in the future."""
    BAD_READING = "bad_reading"
    """Elements are missing, unknown, not numbers, not finite, or implausibly large."""
    OUT_OF_RANGE = "out_of_range"
    """An element is outside the range that the configuration gives it."""
    FROZEN = "frozen"
    """New stamps, but not one sensor has changed while motion was commanded."""
    CLOCK = "clock"
    """The time given is not finite, went backwards, or stands still."""
    EARLY = "early"
    """Called again within half a control period: the last command is repeated, the policy does not step."""
    OVERTAKEN = "overtaken"
    """The decision took longer than a reading may be old, or the watchdog held the robot meanwhile: it holds."""
    STARTED = "started"
    """The policy begins, with empty memory."""
    GAP = "gap"
    """The policy has not stepped for so long that its memory was reset."""
    MODEL_FAILED = "model_failed"
    """The policy could not be computed, or its memory would not be finite any more."""
    BAD_ACTION = "bad_action"
    """The policy's action is not finite, or has the wrong shape."""
    ACTION_OUT_OF_LIMITS = "action_out_of_limits"
    """The policy's action is outside the limits that its contract promises."""
    CLIPPED = "clipped"
    """The action was clipped to the configuration's narrower limits."""
    MEASURED_LIMITED = "measured_limited"
    """A position target was brought nearer to the measured position."""
    RATE_LIMITED = "rate_limited"
    """The change since the last command was reduced."""
    RAMP = "ramp"
    """The action was reduced because the policy has just started."""
    FAULTS = "faults"
    """Too many faults in a short time: the filter latched."""
    LATCHED = "latched"
    """Nothing but the hold is sent until the filter is re-armed."""


HOLDS = frozenset(
    {
        Reason.WAITING,
        Reason.FAR_FROM_START,
        Reason.STALE,
        Reason.TIMEOUT,
        Reason.OUT_OF_ORDER,
        Reason.BAD_STAMP,
        Reason.BAD_READING,
        Reason.OUT_OF_RANGE,
        Reason.FROZEN,
        Reason.CLOCK,
        Reason.EARLY,
        Reason.OVERTAKEN,
        Reason.MODEL_FAILED,
        Reason.BAD_ACTION,
        Reason.ACTION_OUT_OF_LIMITS,
        Reason.FAULTS,
        Reason.LATCHED,
    }
)
"""Reasons for which the hold is sent, or the last command repeated, instead of the policy's action."""

FAULTS = frozenset(
    {
        Reason.BAD_STAMP,
        Reason.BAD_READING,
        Reason.OUT_OF_RANGE,
        Reason.FROZEN,
        Reason.CLOCK,
        Reason.MODEL_FAILED,
        Reason.BAD_ACTION,
        Reason.ACTION_OUT_OF_LIMITS,
    }
)
"""Reasons that say that something is broken: a few of them in a short time latch the filter. Lateness is not among
them: it has a limit of its own, the timeout."""
