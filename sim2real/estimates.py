"""Numbers with their uncertainty: proportions, means, and the test of a paired difference. Intervals are 95 %."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim2real.types import FloatArray

Z95 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval from ``n`` episodes; NaN where nothing can be said."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """``{"value", "low", "high", "n"}``; NaN becomes null, which JSON has."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {**{key: number if math.isfinite(number) else None for key, number in numbers.items()}, "n": self.n}

    def row(self, setting: str, metric: str) -> dict[str, Any]:
        """The same as a row of a table that names its setting and metric."""
        return {"setting": setting, "metric": metric, **self.to_json()}


def wilson(successes: int, n: int) -> Estimate:
    """Proportion with Wilson's score interval (Wilson 1927): right also near 0 and 1, where +-std is not."""
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    p, z2 = successes / n, Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At p = 0 and p = 1 one bound is p itself, which rounding misses by a hair.
    return Estimate(p, max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half)), n)


def mean_interval(values: FloatArray) -> Estimate:
    """Mean of the finite entries of ``values [B]``, +- Student's quantile times its standard error; one entry has no
    interval."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = float(values.mean())
    if len(values) == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    half = student_quantile(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half, len(values))


def student_quantile(freedom: float) -> float:
    """97.5 % quantile of Student's t, for any real ``freedom`` >= 1, to 1e-4: its density integrated by trapezoids."""
    # t = sqrt(df) tan(angle) makes the heavy tail finite; what lies beyond is below 1e-9 for any freedom.
    angles = np.linspace(0.0, min(math.pi / 2, 8 / math.sqrt(freedom)), 4001)
    constant = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    density = constant * np.cos(angles) ** (freedom - 1)
    area = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(angles))])
    return math.sqrt(freedom) * math.tan(float(np.interp(0.475, area, angles)))


def mcnemar(only_a: int, only_b: int) -> float:
    """p-value of McNemar's test (1947), exact and two-sided: how likely so uneven a split of the pairs in which only
    one of two succeeded is by chance."""
    discordant, fewer = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(discordant, k) for k in range(fewer + 1))
    return min(1.0, float(2 * tail / 2**discordant))
