"""How policies transfer: success of several kinds of policy on the same episodes of several sets of dynamics.

Everything here works on evaluations that are done: ``[S, B]`` successes of S seeds of a kind on B common episodes of a
setting. The result is one JSON-ready mapping, from which the page is drawn (`sim2real.transfer_page`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.bootstrap import Gap, change, gap, mean_over_seeds, success_interval
from sim2real.estimates import Estimate, mcnemar
from sim2real.evaluate import Evaluation, parameter_bins
from sim2real.linear_probe import FOLDS, fold_of, held_out
from sim2real.types import FloatArray

Scores = Mapping[str, Mapping[str, Sequence[Evaluation]]]
"""Kind of policy -> setting -> one evaluation a seed, all of the same episodes."""
MEANS = ("return", "final_distance", "time_to_success", "action_rate")
WORST = 0.1
"""Share of the episodes that count as the worst dynamics."""
LEAST_WORST = 10
"""Fewest episodes that the worst tenth must hold to be worth a number."""


def success_of(evaluations: Sequence[Evaluation]) -> FloatArray:
    """[S, B]"""
    return np.stack([evaluation.success for evaluation in evaluations])


def rows(scores: Scores) -> list[dict[str, Any]]:
    """Rows ``{"setting", "metric", "value", "low", "high", "n"}``; the setting is ``KIND/DYNAMICS``, n the episodes."""
    return [
        estimate.row(f"{kind}/{setting}", metric)
        for kind, settings in scores.items()
        for setting, evaluations in settings.items()
        for metric, estimate in summary(evaluations).items()
    ]


def summary(evaluations: Sequence[Evaluation]) -> dict[str, Estimate]:
    """Every metric of a kind in one setting, with intervals over seeds and episodes (one seed: over episodes)."""
    first = evaluations[0]
    found = {
        "success": success_interval(success_of(evaluations)),
        "base_rate": success_interval(first.base_rate[None]),
    }
    worst = worst_episodes(evaluations)
    if len(worst):
        found["worst_decile_success"] = success_interval(success_of(evaluations)[:, worst])
    names = {"return": "episode_return"}
    for metric in MEANS:
        values = np.stack([getattr(evaluation, names.get(metric, metric)) for evaluation in evaluations])
        found[metric] = mean_over_seeds(values)
    return found


def worst_episodes(evaluations: Sequence[Evaluation]) -> NDArray[np.int_]:
    """The tenth of the episodes whose dynamics are the hardest for these policies; empty where dynamics do not vary or
    the tenth holds fewer than `LEAST_WORST`.

    Hardness is predicted from the dynamics (ranks and their squares) by ridge regression that was fitted without the
    episode's fold: taking the episodes that did fail would give 0 by construction, this gives an honest rate. Each fold
    gives its worst tenth: across folds, one that succeeded often would be predicted low, as the others' mean is.
    """
    values = evaluations[0].dynamics_values
    varying = values[:, np.ptp(values, axis=0) > 0]
    if varying.shape[1] == 0 or WORST * len(values) < LEAST_WORST:
        return np.zeros(0, np.int_)
    ranks = 2 * varying.argsort(0).argsort(0) / (len(values) - 1) - 1
    predicted = held_out(np.concatenate([ranks, ranks**2], 1), success_of(evaluations).mean(0)[:, None])[:, 0]
    folds = [np.flatnonzero(fold_of(len(values)) == k) for k in range(FOLDS)]
    worst = [fold[predicted[fold].argsort(kind="stable")[: round(WORST * len(fold))]] for fold in folds]
    return np.sort(np.concatenate(worst))


def comparisons(scores: Scores) -> list[dict[str, Any]]:
    """Each pair of kinds in each setting: success of ``a`` minus that of ``b``, and whether it is resolved."""
    found = []
    for a, b in itertools.combinations(scores, 2):
        for setting in scores[a]:
            first, second = scores[a][setting], scores[b][setting]
            check_pairs(first, second)
            found.append({"setting": setting, "a": a, "b": b, **_gap_row(gap(success_of(first), success_of(second)))})
            if len(first) == len(second) == 1:
                difference = first[0].success - second[0].success
                found[-1]["p_value"] = mcnemar(int((difference > 0).sum()), int((difference < 0).sum()))
    return found


def leave_one_out(scores: Scores, base: str, settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """What each group of parameters costs: success without its randomisation minus success with all of it.

    Args:
        scores: all kinds and settings.
        base: the setting that varies everything.
        settings: group -> setting in which it is held at nominal.
    """
    found = []
    for kind, evaluations in scores.items():
        whole = success_of(evaluations[base])
        for group, setting in settings.items():
            without = success_of(evaluations[setting])
            found.append(
                {
                    "kind": kind,
                    "base": base,
                    "group": group,
                    "success": success_interval(without).to_json(),
                    **_gap_row(change(without, whole)),
                }
            )
    return found


def parameter_curves(scores: Scores, units: Mapping[str, str], ranges: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Success by each parameter in each setting, the others varying too, in bins of equally many episodes.

    Args:
        scores: all kinds and settings.
        units: unit of each parameter.
        ranges: parameter -> (low, high, logarithmic) of its training range.
    """
    found = []
    for kind, settings in scores.items():
        for setting, evaluations in settings.items():
            values, success = evaluations[0].dynamics_values, success_of(evaluations)
            for p, name in enumerate(evaluations[0].task.dynamics_names):
                if np.ptp(values[:, p]) == 0:
                    continue
                bins = [
                    {"low": low, "high": high, "success": success_interval(success[:, index], resamples=1000).to_json()}
                    for low, high, index in parameter_bins(values[:, p])
                ]
                curve = {"kind": kind, "setting": setting, "parameter": name, "unit": units.get(name, "")}
                found.append({**curve, "trained": ranges.get(name), "bins": bins})
    return found


def grid_point(kind: str, values: Mapping[str, float], evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """Success of a kind with one or two parameters held at ``values``."""
    success = success_interval(success_of(evaluations), resamples=1000).to_json()
    return {"kind": kind, "values": dict(values), "success": success}


def episode_rows(scores: Scores, sources: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """One dict an episode of every policy and setting; ``sources`` names the policies of a kind."""
    return [
        {"kind": kind, "policy": source, "setting": setting, **row}
        for kind, settings in scores.items()
        for setting, evaluations in settings.items()
        for source, evaluation in zip(sources[kind], evaluations, strict=True)
        for row in evaluation.episode_rows()
    ]


def check_pairs(a: Sequence[Evaluation], b: Sequence[Evaluation]) -> None:
    """Raise ``ValueError`` unless all evaluations are of the same episodes."""
    first = a[0]
    for other in (*a, *b):
        same = first.seed == other.seed and np.array_equal(first.initial_distance, other.initial_distance)
        if not (same and np.array_equal(first.dynamics_values, other.dynamics_values)):
            raise ValueError("not the same episodes: evaluate all policies with one seed and one number of episodes")


def _gap_row(found: Gap) -> dict[str, Any]:
    shown = found.over_seeds or found.over_episodes
    over_seeds = found.over_seeds.to_json() if found.over_seeds else None
    return {
        **shown.to_json(),
        "over_episodes": found.over_episodes.to_json(),
        "over_seeds": over_seeds,
        "resolved": found.resolved,
    }
