"""What the robot said, what the policy said, what was sent, and why: one JSON line a control step.

The first line names the columns. Numbers that JSON lacks are the strings ``NaN``, ``Infinity`` and ``-Infinity``, so
that every JSON reader takes the file and `read_step_log` gives back exactly what happened.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.contract import Contract
from sim2real.deploy.input_guard import number
from sim2real.deploy.robot import Reading
from sim2real.deploy.safety import Decision
from sim2real.errors import UserError

SCHEMA, VERSION = "sim2real-steps", 1


class StepLog:
    """Writes a step log. Every line is handed to the system at once, so what a killed process has done is on file."""

    def __init__(self, path: str | Path, contract: Contract, **extra: Any) -> None:
        """Start a new file, never over an old one, which may be what is left of an accident; ``extra`` goes into its
        first line (robot, bundle, dry run, ...)."""
        self._names = contract.readings
        try:
            self._file = Path(path).open("x", encoding="utf-8", buffering=1)  # noqa: SIM115 - open for the life of the log
        except OSError as error:
            raise UserError(f"can't write the step log {path}: {error.strerror}") from None
        header = {
            "schema": {"name": SCHEMA, "version": VERSION},
            "task": contract.task,
            "control_dt": contract.control_dt,
            "readings": list(contract.readings),
            "action": list(contract.action),
            **extra,
        }
        self._write(header)

    def add(self, now: float, reading: Reading | None, decision: Decision, *, seconds: float = math.nan) -> None:
        """One control step.

        Args:
            now: the robot's clock when the reading was there (in seconds).
            reading: what the robot gave, good or bad.
            decision: what came of it.
            seconds: time that the step's work took.
        """
        values: Mapping[str, Any] = reading.values if reading and isinstance(reading.values, Mapping) else {}
        line: dict[str, Any] = {
            "now": _encode(now),
            "stamp": _encode(reading.stamp) if reading else None,
            "readings": [_encode(values[name]) if name in values else None for name in self._names],
            "raw": None if decision.raw_action is None else [_encode(v) for v in decision.raw_action],
            "sent": decision.command.tolist(),
            "may_send": decision.may_send,
            "reasons": [str(reason) for reason in decision.reasons],
            "latched": decision.latched,
            "seconds": _encode(seconds),
        }
        if decision.detail:
            line["detail"] = decision.detail
        self._write(line)

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> StepLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class StepRecords:
    """A step log of S steps, R readings and A action elements, ready to be replayed."""

    header: Mapping[str, Any]
    """The first line: ``task``, ``control_dt``, ``readings``, ``action`` and what the writer added."""
    now: NDArray[np.float64]
    """[S] the robot's clock when the reading was there (in seconds)."""
    stamp: NDArray[np.float64]
    """[S] of the reading; NaN where there was none."""
    present: NDArray[np.bool_]
    """[S] whether there was a reading."""
    readings: NDArray[np.float64]
    """[S, R] raw; NaN where an element was missing, or NaN."""
    raw: NDArray[np.float64]
    """[S, A] what the policy said; NaN where it was not asked."""
    sent: NDArray[np.float64]
    """[S, A] what was sent, or would have been (``may_send``, a dry run)."""
    reasons: Sequence[Sequence[str]]
    latched: NDArray[np.bool_]

    def reading(self, step: int) -> Reading | None:
        """What the robot gave at this step."""
        if not self.present[step]:
            return None
        named = zip(self.header["readings"], self.readings[step].tolist(), strict=True)
        return Reading(float(self.stamp[step]), dict(named))


def read_step_log(path: str | Path) -> StepRecords:
    """Read what `StepLog` wrote; a last line that was cut off is left out.

    Raises:
        UserError: it is no step log, or one of another version.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"can't read the step log {path}: {error}") from None
    try:
        header, *steps = [json.loads(line) for line in lines[:-1]]  # what follows the last newline was cut off
        if header["schema"] != {"name": SCHEMA, "version": VERSION}:
            raise ValueError(f"its schema is {header['schema']}, expected {SCHEMA} {VERSION}")
        return _records(header, steps)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a step log of `sim2real run --log`: {error}") from None


def _records(header: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> StepRecords:
    readings, actions = len(header["readings"]), len(header["action"])

    def matrix(key: str, width: int) -> NDArray[np.float64]:
        rows = [[math.nan] * width if step[key] is None else list(map(number, step[key])) for step in steps]
        return np.array(rows, np.float64).reshape(len(steps), width)

    return StepRecords(
        header=header,
        now=np.array([number(step["now"]) for step in steps]),
        stamp=np.array([number(step["stamp"]) for step in steps]),
        present=np.array([step["stamp"] is not None for step in steps], bool),
        readings=matrix("readings", readings),
        raw=matrix("raw", actions),
        sent=matrix("sent", actions),
        reasons=[step["reasons"] for step in steps],
        latched=np.array([step["latched"] for step in steps], bool),
    )


def _encode(value: Any) -> float | str:
    """A number that JSON can hold; NaN for what is no number."""
    plain = number(value)
    if math.isfinite(plain):
        return plain
    return "NaN" if math.isnan(plain) else "Infinity" if plain > 0 else "-Infinity"
