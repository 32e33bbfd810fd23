"""What one parameter is drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

Kind = Literal["fixed", "uniform", "log_uniform", "inverse_uniform", "normal", "exponential"]
KINDS: tuple[str, ...] = ("uniform", "log_uniform", "inverse_uniform", "normal", "exponential")
SCALES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "uniform": (float, float),
    "log_uniform": (math.log, math.exp),
    "inverse_uniform": (lambda x: -1 / x, lambda y: -1 / y),  # the sign keeps the order
}
"""Where a distribution over intervals is uniform: a rising function and its inverse."""


@dataclass(frozen=True)
class Distribution:
    """A distribution that is sampled by its quantile function, so that one uniform number makes one value."""

    kind: Kind
    intervals: tuple[tuple[float, float], ...]
    """``uniform``, ``log_uniform``, ``inverse_uniform``: disjoint intervals in rising order. ``fixed``: one interval of
    width 0. ``normal``: one pair (mean, standard deviation). ``exponential``: one pair (0, mean)."""

    @property
    def scale(self) -> tuple[Callable[[float], float], Callable[[float], float]]:
        """The scale on which it is uniform, and its inverse; the plain one for what is not uniform on any."""
        return SCALES.get(self.kind, SCALES["uniform"])

    @property
    def varies(self) -> bool:
        if self.kind in ("normal", "exponential"):
            return self.intervals[0][1] > 0
        return self.span[0] < self.span[1]

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest value; two standard deviations of a normal, three means of an exponential."""
        low, high = self.intervals[0]
        if self.kind == "normal":
            return low - 2 * high, low + 2 * high
        if self.kind == "exponential":
            return 0.0, 3 * high
        return low, self.intervals[-1][1]

    def quantile(self, u: float) -> float:
        """The value below which a fraction ``u`` in [0, 1) of the draws lies."""
        a, b = self.intervals[0]
        if self.kind == "fixed":
            return a
        if self.kind == "normal":
            return a + b * NormalDist().inv_cdf(max(u, 1e-12))
        if self.kind == "exponential":
            return -b * math.log1p(-u)
        return self._piecewise(u)

    def _piecewise(self, u: float) -> float:
        forward, backward = self.scale
        ends = [(forward(low), forward(high)) for low, high in self.intervals]
        rest = u * sum(high - low for low, high in ends)
        for low, high in ends:
            if rest < high - low:
                return backward(low + rest)
            rest -= high - low
        return self.intervals[-1][1]

    def spec(self) -> Any:
        """The YAML entry that makes this distribution."""
        if self.kind == "fixed":
            return self.intervals[0][0]
        if self.kind == "exponential":
            return {self.kind: self.intervals[0][1]}
        pairs = [list(pair) for pair in self.intervals]
        return {self.kind: pairs[0] if len(pairs) == 1 else pairs}


def fixed(value: float) -> Distribution:
    """The distribution that always gives ``value``."""
    return Distribution("fixed", ((value, value),))
