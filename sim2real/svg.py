"""A few drawing functions for charts as inline SVG. Colours are CSS classes, so that a page can have light and dark.

Series k has the classes ``s0`` to ``s4`` and a marker of its own, so that no chart depends on telling colours apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

SERIES = 5
Point = tuple[float, float]


class Scale:
    """Maps data in [low, high] to pixels in [start, end], linearly or by logarithm."""

    def __init__(self, low: float, high: float, start: float, end: float, *, log: bool = False) -> None:
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def __call__(self, value: float) -> float:
        low, high, x = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (x - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round numbers (1, 2 or 5 times a power of ten apart) in [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(
        step
        # 20 for a width of nearly `most` times ten powers: rounding may find a number at both ends.
        for step in (power * f for f in (1, 2, 5, 10, 20))
        if math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) < most
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    slack = 1e-6 * (high - low)
    values = (round(k * step, 12) for k in range(first, last + 1))
    # Far from zero the division rounds by more than its margin, and the last number may lie outside.
    return [value for value in values if low - slack <= value <= high + slack]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` numbers 1, 2 or 5 times a power of ten in [low, high], 0 < low < high."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d * (1 + 1e-9) <= high * (1 + 2e-9)]
        if len(found) <= most:
            return found if found else [low, high]
    every = math.ceil(len(found) / most)
    return found[::every]


def short(value: float) -> str:
    """A number for an axis: 250k, 1.5M, 0.05, 1e-4."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}".replace("e-0", "e-")


class Chart:
    """Collects shapes on ``width`` x ``height`` pixels and joins them to an SVG element."""

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width, self.height = width, height
        self._parts = [
            f'<svg viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-label="{escape(label)}" '
            f'xmlns="http://www.w3.org/2000/svg"><title>{escape(label)}</title>'
        ]

    def line(self, points: Sequence[Point], style: str) -> None:
        """A line through ``points`` (in pixels) with CSS class ``style``."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(f'<polyline class="{style}" points="{path}"/>')

    def area(self, lower: Sequence[Point], upper: Sequence[Point], style: str) -> None:
        """The area between two lines."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in [*lower, *reversed(upper)])
        self._parts.append(f'<polygon class="{style}" points="{path}"/>')

    def rectangle(
        self, x: float, y: float, width: float, height: float, style: str, *, hint: str = "", opacity: float = 1.0
    ) -> None:
        """A filled rectangle with ``hint`` shown by the mouse; (x, y) is its upper left corner."""
        title = f"<title>{escape(hint)}</title>" if hint else ""
        self._parts.append(
            f'<rect class="{style}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" '
            f'fill-opacity="{_n(opacity)}">{title}</rect>'
        )

    def text(self, x: float, y: float, text: str, style: str = "label") -> None:
        """``style`` also anchors: ``start``, ``middle`` or ``end``, as in ``"label end"``."""
        self._parts.append(f'<text class="{style}" x="{_n(x)}" y="{_n(y)}">{escape(text)}</text>')

    def marker(self, x: float, y: float, series: int, *, size: float = 4.0, hint: str = "") -> None:
        """The marker of a series, with ``hint`` shown by the mouse."""
        style, k = f"mark s{series % SERIES}", series % SERIES
        title = f"<title>{escape(hint)}</title>" if hint else ""
        if k == 0:
            self._parts.append(f'<circle class="{style}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(size)}">{title}</circle>')
            return
        sides, turn = {1: (4, 0.125), 2: (4, 0.0), 3: (3, 0.25), 4: (3, 0.75)}[k]  # square, diamond, triangles
        angles = [2 * math.pi * (turn + i / sides) for i in range(sides)]
        corners = " ".join(f"{_n(x + 1.3 * size * math.cos(a))},{_n(y - 1.3 * size * math.sin(a))}" for a in angles)
        self._parts.append(f'<polygon class="{style}" points="{corners}">{title}</polygon>')

    def x_axis(self, scale: Scale, y: float, values: Sequence[float], *, grid_to: float | None = None) -> None:
        """Tick labels under ``y``; with ``grid_to``, lines up to there."""
        for value in values:
            if grid_to is not None:
                self.line([(scale(value), y), (scale(value), grid_to)], "grid")
            self.text(scale(value), y + 15, short(value), "tick middle")

    def y_axis(self, scale: Scale, x: float, values: Sequence[float], *, grid_to: float) -> None:
        """Tick labels left of ``x``, grid lines to the right until ``grid_to``."""
        for value in values:
            self.line([(x, scale(value)), (grid_to, scale(value))], "grid")
            self.text(x - 7, scale(value) + 4, short(value), "tick end")

    def render(self) -> str:
        return "".join([*self._parts, "</svg>"])


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
