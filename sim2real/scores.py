"""What a meta-learner is worth: one number a test task, by setting (after so many steps or episodes) and metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim2real.estimates import Estimate, mean_interval
from sim2real.tables import text_table
from sim2real.types import FloatArray


@dataclass(frozen=True)
class Scores:
    """Results on B test tasks, the same ones in every setting, so that settings can be compared task by task."""

    values: Mapping[str, Mapping[str, FloatArray]]
    """Setting (``step_0``, ``episode_1``, ``trial``, ...) -> metric (``return``, ``accuracy``, ...) -> [B]."""

    def summary(self) -> dict[str, dict[str, Estimate]]:
        """Mean over the tasks with its 95 % interval, by setting and metric; NaN where a task's number is not finite:
        who diverged on it must not be scored on the others alone."""
        return {
            setting: {metric: _estimate(values) for metric, values in metrics.items()}
            for setting, metrics in self.values.items()
        }

    def rows(self) -> list[dict[str, Any]]:
        """JSON rows ``{"setting", "metric", "value", "low", "high", "n"}``."""
        return [
            estimate.row(setting, metric)
            for setting, metrics in self.summary().items()
            for metric, estimate in metrics.items()
        ]

    def scalars(self, setting: str) -> dict[str, float]:
        """Means in one setting, flat, as a training log wants them; with the bounds of each (``return_low``). What is
        not known is left out: the interval of one task, everything where a task diverged."""
        numbers: dict[str, float] = {}
        for metric, estimate in self.summary()[setting].items():
            numbers |= {metric: estimate.value, f"{metric}_low": estimate.low, f"{metric}_high": estimate.high}
        return {name: value for name, value in numbers.items() if math.isfinite(value)}

    def table(self) -> str:
        """Plain text, one line a setting, for a terminal."""
        metrics = list(dict.fromkeys(metric for by_metric in self.values.values() for metric in by_metric))
        lines = [("setting", "tasks", *(f"{metric} [95 %]" for metric in metrics))]
        for setting, estimates in self.summary().items():
            tasks = max(estimate.n for estimate in estimates.values())
            cells = (_cell(estimates[metric]) if metric in estimates else "-" for metric in metrics)
            lines.append((setting, str(tasks), *cells))
        return text_table(lines)


def _estimate(values: FloatArray) -> Estimate:
    if np.isfinite(values).all():
        return mean_interval(values)
    return Estimate(math.nan, math.nan, math.nan, len(values))


def _cell(e: Estimate) -> str:
    if e.n and math.isnan(e.value):
        return "not finite"
    digits = 3 if abs(e.value) < 10 else 1
    if e.n < 2:
        return f"{e.value:.{digits}f}" if e.n else "-"
    return f"{e.value:.{digits}f} [{e.low:.{digits}f}, {e.high:.{digits}f}]"
