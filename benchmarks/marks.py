"""From learning curves to "how much sooner": pure functions of curves, with what is not known kept as a range.

A curve is a list of points ``{"samples", "seconds", "success"}`` in the order they were measured. A run that was
stopped before it reached a mark would have reached it later than its end, or never: a range without an upper end.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

MARKS = (0.5, 0.8, 0.9, 0.95)
"""Success rates whose time is reported."""
Point = Mapping[str, float]
Quantity = Literal["samples", "seconds"]


@dataclass(frozen=True)
class Range:
    """A number that is known to lie in [low, high]; high is infinite where nothing bounds it."""

    low: float
    high: float

    def to_json(self) -> list[float | None]:
        """``[low, high]`` to four digits; None for an infinite end."""
        return [float(f"{x:.4g}") if math.isfinite(x) else None for x in (self.low, self.high)]


def first_at(points: Sequence[Point], mark: float) -> Point | None:
    """The first point whose success is at least ``mark``."""
    return next((point for point in points if point["success"] >= mark), None)


def reached(curve: Mapping[str, Any], mark: float, quantity: Quantity) -> Range:
    """Samples or seconds that one run needed. ``curve[quantity]`` is where it ended."""
    point = first_at(curve["points"], mark)
    if point is None:
        return Range(curve[quantity], math.inf)
    return Range(point[quantity], point[quantity])


def median_reached(curves: Sequence[Mapping[str, Any]], mark: float, quantity: Quantity) -> Range:
    """The median over runs. It grows with each of its arguments, so the medians of the ends bound it; runs that never
    reached the mark leave it exact as long as they are in the slower half."""
    ranges = [reached(curve, mark, quantity) for curve in curves]
    return Range(statistics.median(r.low for r in ranges), statistics.median(r.high for r in ranges))


def times_faster(ours: Range, peer: Range) -> Range:
    """``peer / ours``. [0, inf] where neither reached the mark."""
    low = 0.0 if math.isinf(ours.high) else peer.low / ours.high
    return Range(low, peer.high / ours.low if ours.low > 0 else math.inf)


def best(ranges: Sequence[Range]) -> Range:
    """The smallest of several: the peer to beat."""
    return Range(min(r.low for r in ranges), min(r.high for r in ranges))
