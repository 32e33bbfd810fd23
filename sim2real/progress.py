"""Progress of a run for a person: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

QUIET_SECONDS = 10.0
"""Least time between two plain lines of progress (in seconds)."""


class ProgressReport:
    """Shows samples of the budget, the rate of this session, the time left, and the latest numbers."""

    def __init__(
        self,
        samples: int,
        total_samples: int,
        max_seconds: float | None,
        stream: TextIO | None = None,
        unit: str = "samples",
        *,
        patient: bool = False,
    ) -> None:
        """With ``patient``, the first plain line is held back, too: what is soon over says nothing."""
        self._total, self._max_seconds = total_samples, max_seconds
        self._first, self._begin = samples, time.monotonic()
        self._last_line = self._begin if patient else float("-inf")
        self._stream, self._unit = stream or sys.stdout, unit
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if self._stream.isatty():
            self._bar, self._task = _start_bar(self._stream, total_samples)

    def update(self, samples: int, seconds: float, numbers: Mapping[str, float] | None = None) -> None:
        """``seconds`` of training so far, over all sessions; ``numbers`` are shown beside the rate."""
        now = time.monotonic()
        text = self._text(samples, seconds, now, numbers or {})
        if self._bar is not None:
            self._bar.update(self._task, completed=min(samples, self._total), text=text)
        elif now - self._last_line >= QUIET_SECONDS:
            self._last_line = now
            self.say(f"{min(samples / self._total, 1.0):4.0%}  {text}")

    def say(self, text: str) -> None:
        """A line that stays."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _text(self, samples: int, seconds: float, now: float, numbers: Mapping[str, float]) -> str:
        rate = (samples - self._first) / max(now - self._begin, 1e-9)
        left = (self._total - samples) / rate if rate > 0 else None
        if self._max_seconds is not None:
            limit = self._max_seconds - seconds
            left = limit if left is None else min(left, limit)
        eta = "?" if left is None else duration(max(left, 0.0))
        return "  ".join(
            [f"{samples:,}/{self._total:,} {self._unit}", f"{rate:,.0f}/s", f"ETA {eta}", *_numbers(numbers)]
        )


@contextlib.contextmanager
def counting(total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Gives a function that is told how many of ``total`` are done and shows it on stderr, if it takes a while."""
    report, begin = ProgressReport(0, total, None, sys.stderr, unit, patient=True), time.monotonic()
    try:
        yield lambda done: report.update(done, time.monotonic() - begin)
    finally:
        report.close()


def duration(seconds: float) -> str:
    """``h:mm:ss``, or ``m:ss`` below an hour."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _numbers(numbers: Mapping[str, float]) -> list[str]:
    return [f"{name} {value:.3g}" for name, value in numbers.items()]


def _start_bar(stream: TextIO, total: int) -> tuple[Progress, TaskID]:
    columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.fields[text]}"))
    bar = Progress(*columns, console=Console(file=stream), refresh_per_second=2)
    task = bar.add_task("", total=total, text="starting")
    bar.start()
    return bar, task
