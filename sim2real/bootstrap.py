"""Intervals for several training seeds that were scored on the same episodes. All are 95 %.

A success rate over S seeds and B common episodes has two sources of chance: which seeds were trained and which episodes
were drawn. Two questions follow, and both are answered:

* `over_episodes`: how would *these* policies do on other episodes? Seeds are kept, episodes are resampled.
* `over_seeds`: how would the *recipe* do, trained with other seeds? Seeds and episodes are both resampled with
  replacement, every seed on the same resampled episodes (the hierarchical bootstrap for crossed data; Owen 2007, "The
  pigeonhole bootstrap").

With few seeds the raw hierarchical bootstrap is wrong in both directions: S seeds resampled spread less than S seeds
drawn anew, and noise within episodes is counted twice. So its interval keeps its lean to one side, and is stretched
until it is as wide as theory says: Student's quantile with Satterthwaite's (1946) degrees of freedom times the standard
error from the two-way analysis of variance. ``tests/test_bootstrap.py`` measures the coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sim2real.estimates import Estimate, mean_interval, student_quantile, wilson
from sim2real.types import FloatArray

RESAMPLES = 4000
Array = NDArray[np.float64]
Resolved = Literal["recipe", "policies", "no"]
"""Whether a difference is more than chance at 95 %: for the ``recipe`` (any seeds), for these ``policies`` only (seeds
too few or too different to say more), or ``no``."""


@dataclass(frozen=True)
class Gap:
    """A minus B on the same episodes."""

    over_episodes: Estimate
    """For these policies."""
    over_seeds: Estimate | None
    """For the recipes; None where a side has one seed only."""

    @property
    def resolved(self) -> Resolved:
        if not _excludes_zero(self.over_episodes):
            return "no"
        return "recipe" if self.over_seeds and _excludes_zero(self.over_seeds) else "policies"


def success_interval(success: FloatArray, *, resamples: int = RESAMPLES) -> Estimate:
    """Success rate of ``success [S, B]`` (0 or 1): Wilson's interval for one seed, `over_seeds` for several."""
    outcomes = np.asarray(success, np.float64)
    if len(outcomes) == 1:
        return wilson(int(outcomes.sum()), outcomes.size)
    return over_seeds([outcomes], [1.0], resamples=resamples, bounds=(0.0, 1.0))


def mean_over_seeds(values: FloatArray) -> Estimate:
    """Mean of ``values [S, B]`` of S seeds on B common episodes, +- Student's quantile of the two-way standard error.

    `mean_interval` over the episodes for one seed, and where values are not finite (the time to a success that never
    came): what is known of an episode is averaged first, and nothing is said of other seeds.
    """
    table: Array = np.asarray(values, np.float64)
    if min(table.shape) == 1 or not np.isfinite(table).all():
        return mean_interval(_mean_of_finite(table))
    error, freedom = _standard_error([table], [1.0])
    mean, half = float(table.mean()), error * student_quantile(freedom)
    return Estimate(mean, mean - half, mean + half, table.shape[1])


def gap(a: FloatArray, b: FloatArray, *, resamples: int = RESAMPLES) -> Gap:
    """Success of a [Sa, B] minus that of b [Sb, B] on the same B episodes; the seeds of a and b are not paired."""
    parts, weights = [np.asarray(x, np.float64) for x in (a, b)], [1.0, -1.0]
    episodes = over_episodes(parts, weights, resamples=resamples)
    several = all(len(part) > 1 for part in parts)
    return Gap(episodes, over_seeds(parts, weights, resamples=resamples, bounds=(-1.0, 1.0)) if several else None)


def change(a: FloatArray, b: FloatArray, *, resamples: int = RESAMPLES) -> Gap:
    """Success of a [S, B] minus that of b [S, B], the same seeds on the same episodes under two settings."""
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    episodes = over_episodes([difference], [1.0], resamples=resamples)
    several = len(difference) > 1
    return Gap(episodes, over_seeds([difference], [1.0], resamples=resamples, bounds=(-1.0, 1.0)) if several else None)


def over_episodes(parts: list[Array], weights: list[float], *, resamples: int = RESAMPLES) -> Estimate:
    """``sum_k weights[k] mean(parts[k])`` with a percentile interval over resampled common episodes."""
    per_episode = sum(w * part.mean(0) for w, part in zip(weights, parts, strict=True))
    values, counts = np.unique(per_episode, return_counts=True)  # few values: resampling is a multinomial draw
    n = int(counts.sum())
    draws = np.random.default_rng(0).multinomial(n, counts / n, resamples) @ values / n
    low, high = np.quantile(draws, [0.025, 0.975])
    value = float(np.mean(per_episode))
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def over_seeds(
    parts: list[Array], weights: list[float], *, resamples: int = RESAMPLES, bounds: tuple[float, float]
) -> Estimate:
    """``sum_k weights[k] mean(parts[k])`` with an interval over seeds and episodes; see the head of this file.

    Args:
        parts: each [S_k, B], S_k >= 2 seeds on B common episodes; the seeds of two parts are independent.
        weights: one a part.
        resamples: draws of the bootstrap.
        bounds: the interval is cut here.
    """
    value = float(sum(w * part.mean() for w, part in zip(weights, parts, strict=True)))
    episodes = parts[0].shape[1]
    if episodes == 1:  # no spread to estimate anything from
        return _without_spread(value, episodes, bounds)
    error, freedom = _standard_error(parts, weights)
    draws = hierarchical_draws(parts, weights, resamples)
    low, high = np.quantile(draws, [0.025, 0.975])
    if high == low or error == 0.0:  # every seed did the same in every episode: Wilson's width is what is left
        return _without_spread(value, episodes, bounds)
    stretch = 2 * error * student_quantile(freedom) / (high - low)
    low, high = value + stretch * (low - value), value + stretch * (high - value)
    return Estimate(value, max(bounds[0], min(float(low), value)), min(bounds[1], max(float(high), value)), episodes)


def hierarchical_draws(parts: list[Array], weights: list[float], resamples: int) -> Array:
    """[resamples] values of the statistic with seeds and common episodes resampled with replacement."""
    rng = np.random.default_rng(0)
    # Episodes with the same outcomes for all seeds are interchangeable: one multinomial draw over the kinds.
    kinds, counts = np.unique(np.concatenate(parts), axis=1, return_counts=True)
    n = int(counts.sum())
    share = rng.multinomial(n, counts / n, resamples) / n
    seed_means = share @ kinds.T
    draws, first = np.zeros(resamples), 0
    for weight, part in zip(weights, parts, strict=True):
        s = len(part)
        chosen = rng.multinomial(s, np.full(s, 1 / s), resamples) / s
        draws += weight * (chosen * seed_means[:, first : first + s]).sum(1)
        first += s
    return draws


def _standard_error(parts: list[Array], weights: list[float]) -> tuple[float, float]:
    """Standard error of the statistic and its degrees of freedom.

    The seeds' part comes from the spread of seed means, which holds the noise within episodes too; the episodes' part
    from the spread of the statistic per episode, less that noise, which would be counted twice. Satterthwaite: each
    part has the freedom of what it is computed from.
    """
    b = parts[0].shape[1]
    variances, freedoms = [], []
    noise = 0.0
    for weight, part in zip(weights, parts, strict=True):
        s = len(part)
        residual = part - part.mean(1, keepdims=True) - part.mean(0) + part.mean()
        noise += weight**2 * float((residual**2).sum()) / ((s - 1) * (b - 1)) / (s * b)
        variances.append(weight**2 * float(part.mean(1).var(ddof=1)) / s)
        freedoms.append(s - 1)
    per_episode = np.sum([w * part.mean(0) for w, part in zip(weights, parts, strict=True)], axis=0)
    episodes = float(per_episode.var(ddof=1)) / b
    # Neither source alone can explain more than both together.
    total = max(sum(variances) + episodes - noise, sum(variances), episodes)
    if total == 0.0:
        return 0.0, 1.0
    pieces = [*zip(variances, freedoms, strict=True), (max(total - sum(variances), 0.0), b - 1)]
    return math.sqrt(total), total**2 / sum(variance**2 / df for variance, df in pieces)


def _mean_of_finite(values: FloatArray) -> FloatArray:
    """Mean over seeds [S, B] -> [B] of what is defined; NaN where nothing is."""
    finite = np.isfinite(values)
    count = finite.sum(0)
    total = np.where(finite, values, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def _without_spread(value: float, episodes: int, bounds: tuple[float, float]) -> Estimate:
    share = (value - bounds[0]) / (bounds[1] - bounds[0])
    unit = wilson(round(share * episodes), episodes)
    width = bounds[1] - bounds[0]
    return Estimate(value, bounds[0] + width * unit.low, bounds[0] + width * unit.high, episodes)


def _excludes_zero(estimate: Estimate) -> bool:
    return estimate.low > 0.0 or estimate.high < 0.0
