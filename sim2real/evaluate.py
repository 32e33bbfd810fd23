"""The one evaluator: training, ``sim2real evaluate``, reports and exported bundles all count success here.

Episodes are paired: episode k of a seed has the same start, goal, dynamics and noise for every policy, so two
policies are compared episode by episode (`compare`). Success is judged at the last step. The share of episodes that
are already solved at reset is reported beside it as the base rate: a policy that does nothing scores that much.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.collect import rollout
from sim2real.estimates import Estimate, mcnemar, mean_interval, wilson
from sim2real.tables import text_table
from sim2real.types import Episodes, FloatArray, GoalVectorEnv, Policy, TaskSpec

_PROPORTIONS = ("success", "base_rate")
_PER_EPISODE = (*_PROPORTIONS, "return", "action_rate", "final_distance", "time_to_success")


@dataclass(frozen=True)
class Bin:
    """Success among the episodes whose parameter lies in [low, high] (in the parameter's unit)."""

    low: float
    high: float
    success: Estimate


@dataclass(frozen=True)
class Evaluation:
    """B episodes, one number each; entry k is episode k of ``seed``."""

    task: TaskSpec
    seed: int
    success: FloatArray
    """[B] 1 where the goal is fulfilled at the last step; NaN in environments that know no success."""
    base_rate: FloatArray
    """[B] 1 where it already was at reset; NaN in environments that do not say so."""
    episode_return: FloatArray
    """[B] sum of rewards."""
    action_rate: FloatArray
    """[B] mean of |a_t - a_(t-1)| over t >= 1 and the elements, a in [-1, 1]: the jerkiness of the commands."""
    initial_distance: FloatArray
    """[B] goal distance at reset (in metres); NaN without a goal."""
    final_distance: FloatArray
    """[B] goal distance at the last step (in metres)."""
    time_to_success: FloatArray
    """[B] when the goal was reached for good (in seconds); NaN where the episode ends in failure."""
    dynamics_values: FloatArray
    """[B, P] in the parameters' physical units."""

    def __len__(self) -> int:
        return len(self.success)

    def summary(self) -> dict[str, Estimate]:
        """Every metric over all episodes: Wilson intervals for proportions, normal ones for means."""
        return {
            name: _proportion(values) if name in _PROPORTIONS else mean_interval(values)
            for name, values in self._columns().items()
        }

    def scalars(self) -> dict[str, float]:
        """The finite values of `summary` and the bounds of success, flat, as a training log wants them."""
        summary = self.summary()
        values = {name: estimate.value for name, estimate in summary.items()}
        values |= {"success_low": summary["success"].low, "success_high": summary["success"].high}
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def rows(self, setting: str) -> list[dict[str, Any]]:
        """JSON rows ``{"setting", "metric", "value", "low", "high", "n"}``, one a metric."""
        return [estimate.row(setting, name) for name, estimate in self.summary().items()]

    def per_parameter(self, bins: int = 5) -> dict[str, tuple[Bin, ...]]:
        """Success by parameter, in about ``bins`` bins that hold equally many episodes (fewer where values repeat).

        A parameter that had one value throughout is left out.
        """
        return {
            name: tuple(
                Bin(low, high, _proportion(self.success[index]))
                for low, high, index in parameter_bins(self.dynamics_values[:, p], bins)
            )
            for p, name in enumerate(self.task.dynamics_names)
            if np.ptp(self.dynamics_values[:, p]) > 0
        }

    def episode_rows(self) -> list[dict[str, Any]]:
        """One dict an episode: its number, its metrics (None where undefined) and its dynamics."""
        columns = {"episode": np.arange(len(self)), **self._columns()}
        columns |= {name: self.dynamics_values[:, p] for p, name in enumerate(self.task.dynamics_names)}
        table = np.stack([np.asarray(column, np.float64) for column in columns.values()], 1)
        integers = {"episode", *_PROPORTIONS}
        return [
            {
                name: (int(x) if name in integers else float(x)) if math.isfinite(x) else None
                for name, x in zip(columns, row, strict=True)
            }
            for row in table
        ]

    def _columns(self) -> dict[str, FloatArray]:
        columns = (
            self.success,
            self.base_rate,
            self.episode_return,
            self.action_rate,
            self.final_distance,
            self.time_to_success,
        )
        return dict(zip(_PER_EPISODE, columns, strict=True))


def evaluate(
    policy: Policy,
    env: GoalVectorEnv,
    *,
    episodes: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score ``policy`` on episodes 0 .. ``episodes`` - 1 of ``seed``, deterministic.

    The result does not depend on ``env.num_envs``; surplus episodes of the last batch are dropped. ``env`` is left at
    the end of that batch. ``progress`` is told after every batch how many episodes are done.

    Raises:
        ValueError: ``episodes`` is not positive.
    """
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}; it must be at least 1")
    parts, done = [], 0
    while done < episodes:
        batch = rollout(env, policy, deterministic=True, seed=seed if done == 0 else None)
        parts.append(summarise(batch, env.task, seed=seed))
        done += env.num_envs
        if progress is not None:
            progress(min(done, episodes))
    return join(parts, episodes)


def summarise(episodes: Episodes, task: TaskSpec, *, seed: int) -> Evaluation:
    """Reduce whole episodes to one number a metric and episode; the padding of shorter episodes does not count."""
    rows, lengths = np.arange(len(episodes)), episodes.mask.sum(1).astype(int)
    distance = np.linalg.norm(episodes.achieved_goal - episodes.desired_goal[:, None], axis=-1)
    if not task.goal:
        distance = np.full_like(distance, np.nan)
    change = np.abs(np.diff(episodes.action, axis=1)).mean(-1)
    both = episodes.mask[:, 1:]  # steps t >= 1 that happened: their predecessor happened too
    pairs = both.sum(1)
    return Evaluation(
        task=task,
        seed=seed,
        success=episodes.success[rows, lengths],
        base_rate=episodes.success[:, 0],
        episode_return=(episodes.reward * episodes.mask).sum(1),
        action_rate=np.where(pairs > 0, (change * both).sum(1) / np.maximum(pairs, 1), np.nan),
        initial_distance=distance[:, 0],
        final_distance=distance[rows, lengths],
        time_to_success=_settling_step(episodes.success, lengths) * task.control_dt,
        dynamics_values=episodes.dynamics_values,
    )


def _settling_step(success: FloatArray, lengths: NDArray[np.int_]) -> FloatArray:
    """First step from which ``success [B, T+1]`` holds up to step ``lengths [B]``; NaN where it does not at the end."""
    steps = np.arange(success.shape[1])
    failed = ~(success >= 0.5) & (steps <= lengths[:, None])  # NaN, unknown, is no success either
    last_failure = np.where(failed, steps, -1).max(1)
    return np.where(last_failure == lengths, np.nan, last_failure + 1.0)


def join(parts: Sequence[Evaluation], episodes: int) -> Evaluation:
    """The first ``episodes`` episodes of parts that follow each other."""
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])[:episodes]
        for field in fields(Evaluation)
        if field.name not in ("task", "seed")
    }
    return Evaluation(task=parts[0].task, seed=parts[0].seed, **arrays)


def _proportion(values: FloatArray) -> Estimate:
    """Share of ones in ``values [B]``, of which NaN are left out."""
    known = values[np.isfinite(values)]
    return wilson(int(known.sum()), len(known))


def parameter_bins(values: FloatArray, bins: int = 5) -> list[tuple[float, float, NDArray[np.int_]]]:
    """(low, high, episodes) of about ``bins`` bins of ``values [B]`` that hold equally many of them (fewer where values
    repeat); every episode is in exactly one."""
    distinct = np.unique(values)
    if len(distinct) <= bins:  # a discrete parameter: one bin a value
        return [(float(value), float(value), np.flatnonzero(values == value)) for value in distinct]
    parts: list[tuple[float, float, NDArray[np.int_]]] = []
    # A range with a hole, such as everything outside the training range, is binned on each side of the hole.
    holes = np.flatnonzero(np.diff(distinct) > 0.2 * np.ptp(distinct))
    for segment in np.split(distinct, holes + 1):
        inside = np.flatnonzero((values >= segment[0]) & (values <= segment[-1]))
        count = max(1, round(bins * len(inside) / len(values)))
        parts += [(low, high, inside[index]) for low, high, index in _quantile_bins(values[inside], count)]
    return parts


def _quantile_bins(values: FloatArray, bins: int) -> list[tuple[float, float, NDArray[np.int_]]]:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    edges = np.repeat(edges, 2) if len(edges) == 1 else edges
    # Bins are [low, high), the last one closed, so that every episode is in exactly one.
    index = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    groups = [np.flatnonzero(index == k) for k in range(len(edges) - 1)]
    ends = itertools.pairwise(edges)
    return [(float(low), float(high), group) for (low, high), group in zip(ends, groups, strict=True) if len(group)]


@dataclass(frozen=True)
class Comparison:
    """Policy a against policy b on the same episodes."""

    difference: Estimate
    """Success rate of a minus that of b, with a bootstrap interval over paired episodes."""
    only_a: int
    """Episodes that only a solved."""
    only_b: int
    p_value: float
    """Exact McNemar test, two-sided: how likely so uneven a split of the discordant episodes is by chance."""


def compare(a: Evaluation, b: Evaluation, *, resamples: int = 10_000) -> Comparison:
    """Paired comparison of two policies' success on the same episodes (McNemar 1947, exact binomial form).

    Raises:
        ValueError: the episodes differ, so that a pair would not be a pair; or success is not known.
    """
    _check_paired(a, b)
    if not np.isfinite([a.success, b.success]).all():
        raise ValueError(f"{a.task.name} does not say what success is (no is_success in info); compare returns")
    n, difference = len(a), a.success - b.success
    only_a, only_b = int((difference > 0).sum()), int((difference < 0).sum())
    # An episode is one of three kinds, so resampling episodes is a multinomial draw of the three counts.
    counts = np.array([only_a, only_b, n - only_a - only_b])
    draws = np.random.default_rng(0).multinomial(n, counts / n, resamples)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, [0.025, 0.975])
    estimate = Estimate((only_a - only_b) / n, float(low), float(high), n)
    return Comparison(estimate, only_a, only_b, mcnemar(only_a, only_b))


def _check_paired(a: Evaluation, b: Evaluation) -> None:
    def episodes(e: Evaluation) -> str:
        return f"{len(e)} episodes of {e.task.name}, seed {e.seed}"

    same = (a.task.name, a.seed, len(a)) == (b.task.name, b.seed, len(b))
    if not same:
        raise ValueError(f"not the same episodes: {episodes(a)} against {episodes(b)}; evaluate both alike")
    starts = np.array_equal(a.initial_distance, b.initial_distance, equal_nan=True)  # NaN: a task without a goal
    if not (starts and np.array_equal(a.dynamics_values, b.dynamics_values)):
        raise ValueError(
            f"{episodes(a)} differ in start or dynamics between the two; evaluate both on one dynamics set"
        )


def format_table(evaluations: Mapping[str, Evaluation]) -> str:
    """Plain text, one line a setting (``train``, ``unseen``, ...), for a terminal."""
    header = ("setting", "episodes", "success [95 %]", "base rate", "return", "action rate", "distance (m)", "time (s)")
    lines: list[tuple[str, ...]] = [header]
    for setting, evaluation in evaluations.items():
        s = evaluation.summary()
        success = (
            f"{s['success'].value:.3f} [{s['success'].low:.3f}, {s['success'].high:.3f}]" if s["success"].n else "-"
        )
        others = (f"{s[name].value:.3f}" if s[name].n else "-" for name in _PER_EPISODE[1:])
        lines.append((setting, str(len(evaluation)), success, *others))
    return text_table(lines)
