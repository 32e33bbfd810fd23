"""Does the memory identify the system? What can be read from it, what it is worth, and how it takes a change.

* A linear reader (ridge, cross-validated over episodes) predicts each dynamics parameter from the memory z_t, at every
  step; the control is the same reader on the current observation o_t alone, which needs no memory.
* Success when the memory is reset, or frozen, at step t.
* Success when the dynamics are drawn anew in the middle of the episode, with the memory as it is and with a memory that
  is reset at that moment; and how well the readers then find the new parameters and still find the old ones.

Parameters are mu, in [-1, 1] over the training range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.bootstrap import change, success_interval
from sim2real.estimates import Estimate
from sim2real.evaluate import Evaluation
from sim2real.linear_probe import held_out, r_squared, r_squared_draws
from sim2real.memory import Intervention, Trace
from sim2real.types import FloatArray

Array = NDArray[np.float64]
STEPS = 25
"""Most steps of an episode at which the memory is read."""
IDENTIFIED = 0.1
"""Least R² that counts as identified, beside being above the control's at 95 %."""
SETTLED = 0.9
"""A parameter is found by the first step at which R² is this share of its highest."""


def read_steps(horizon: int) -> list[int]:
    """Steps at which the memory is read, the last one among them."""
    return list(range(horizon - 1, -1, -math.ceil(horizon / STEPS)))[::-1]


def intervention_steps(horizon: int) -> list[int]:
    """Steps at which the memory is reset or frozen: eighths of the episode."""
    return sorted({round(horizon * k / 8) for k in range(7)})


def change_steps(horizon: int) -> list[int]:
    """Steps at which the dynamics change."""
    return sorted({max(1, round(horizon * share)) for share in (0.125, 0.25, 0.5, 0.75)})


@dataclass(frozen=True)
class Reading:
    """What a linear reader tells about P parameters at K steps."""

    value: Array
    """[K, P] R² on held-out episodes."""
    draws: Array
    """[K, R, P] of the same over resampled episodes."""

    def interval(self, k: int, p: int) -> dict[str, Any]:
        """R² of one step and parameter with its 95 % interval."""
        return _interval(float(self.value[k, p]), self.draws[k, :, p])


def read(features: FloatArray, mu: FloatArray, steps: Sequence[int]) -> Reading:
    """Read ``mu [B, T, P]`` from ``features [B, T, F]`` at each of ``steps``."""
    values, draws = [], []
    for t in steps:
        predictions = held_out(features[:, t], mu[:, t])
        values.append(r_squared(mu[:, t], predictions))
        draws.append(r_squared_draws(mu[:, t], predictions))
    return Reading(np.stack(values), np.stack(draws))


def identification(trace: Trace, names: Sequence[str], dt: float) -> list[dict[str, Any]]:
    """What the memory tells about each parameter that varies, best known first.

    ``gain`` is R² from memory minus R² from the observation at the step where the memory's is highest.
    """
    steps = read_steps(trace.mu.shape[1])
    varying = [p for p in range(len(names)) if np.ptp(trace.mu[:, 0, p]) > 1e-9]
    mu = trace.mu[:, :, varying]
    memory, observation = read(trace.memory, mu, steps), read(trace.observation, mu, steps)
    found = []
    for p, name in enumerate(names[p] for p in varying):
        peak = int(memory.value[:, p].argmax())
        gain = _interval(
            float(memory.value[peak, p] - observation.value[peak, p]),
            memory.draws[peak, :, p] - observation.draws[peak, :, p],
        )
        identified = memory.value[peak, p] >= IDENTIFIED and gain["low"] > 0
        by = next(k for k in range(peak + 1) if memory.value[k, p] >= SETTLED * memory.value[peak, p] or k == peak)
        found.append(
            {
                "name": name,
                "memory": [memory.interval(k, p) for k in range(len(steps))],
                "observation": [observation.interval(k, p) for k in range(len(steps))],
                "peak_step": steps[peak],
                "peak": memory.interval(peak, p),
                "control": observation.interval(peak, p),
                "gain": gain,
                "identified": bool(identified),
                "by_step": steps[by] if identified else None,
                "by_seconds": round(steps[by] * dt, 6) if identified else None,
            }
        )
    return sorted(found, key=lambda row: -row["peak"]["value"])


def disturbances(intact: Evaluation, disturbed: Mapping[Intervention, Evaluation]) -> list[dict[str, Any]]:
    """Success under each intervention on the memory, and its difference from the same episodes without."""
    return [
        {"kind": what.kind, "step": what.step, **_against(evaluation, intact)} for what, evaluation in disturbed.items()
    ]


def changes(
    intact: Evaluation, changed: Mapping[int, Evaluation], reset: Mapping[int, Evaluation]
) -> list[dict[str, Any]]:
    """Success when the dynamics change at a step, and the same with the memory reset at that moment.

    ``reset_gain`` is what forgetting everything at the change brings: above 0, the memory holds on to what is no longer
    true.
    """
    return [
        {
            "step": step,
            **_against(evaluation, intact),
            "reset": success_interval(reset[step].success[None]).to_json(),
            "reset_gain": _difference(reset[step], evaluation),
        }
        for step, evaluation in changed.items()
    ]


def recovery(trace: Trace, changed: Trace, step: int, chosen: Sequence[int]) -> dict[str, Any]:
    """Mean R² of the parameters ``chosen`` as the memory of changed episodes shows them to readers that were fitted on
    unchanged ones: the parameters from before the change, those after it, and, for comparison, those of episodes
    without change.

    Args:
        trace: B episodes without change.
        changed: the same episodes, whose dynamics change at ``step``.
        step: first step under the new dynamics.
        chosen: numbers of the parameters.
    """
    steps, picked = read_steps(trace.mu.shape[1]), list(chosen)
    before, after = changed.mu[:, step - 1, picked], changed.mu[:, -1, picked]
    curves: dict[str, list[float]] = {"unchanged": [], "before": [], "after": []}
    for t in steps:
        target = trace.mu[:, t, picked]
        curves["unchanged"].append(float(r_squared(target, held_out(trace.memory[:, t], target)).mean()))
        told = held_out(trace.memory[:, t], target, at=changed.memory[:, t])
        curves["before"].append(float(r_squared(before, told).mean()))
        curves["after"].append(float(r_squared(after, told).mean()))
    return {"step": step, "steps": steps, **curves}


def rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``{"setting", "metric", "value", "low", "high", "n"}`` of everything in a probe's content."""
    found: list[dict[str, Any]] = [{"setting": "intact", "metric": "success", **content["intact"]}]
    for row in content["parameters"]:
        found += [
            {"setting": row["name"], "metric": metric, **row[key], "n": content["episodes"]}
            for metric, key in (("r2_memory", "peak"), ("r2_observation", "control"), ("r2_gain", "gain"))
        ]
    for row in content["disturbances"]:
        found.append({"setting": f"memory {row['kind']} at {row['step']}", "metric": "success", **row["success"]})
    for row in content["changes"]:
        found.append({"setting": f"dynamics change at {row['step']}", "metric": "success", **row["success"]})
        setting = f"dynamics change and memory reset at {row['step']}"
        found.append({"setting": setting, "metric": "success", **row["reset"]})
    return found


def _against(evaluation: Evaluation, intact: Evaluation) -> dict[str, Any]:
    return {
        "success": success_interval(evaluation.success[None]).to_json(),
        "difference": _difference(evaluation, intact),
    }


def _difference(a: Evaluation, b: Evaluation) -> dict[str, Any]:
    found = change(a.success[None], b.success[None])
    return {**found.over_episodes.to_json(), "resolved": found.resolved != "no"}


def _interval(value: float, draws: Array) -> dict[str, Any]:
    low, high = np.quantile(draws, [0.025, 0.975])
    estimate = Estimate(value, float(low), float(high), 0).to_json()
    return {key: estimate[key] for key in ("value", "low", "high")}
