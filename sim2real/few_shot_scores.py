"""One function that scores every few-shot learner: adapt to a task's support set, predict its queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim2real.few_shot_types import MetaLearner, TaskSource
from sim2real.types import FloatArray

CHUNK = 50
"""Tasks adapted to together; a constant, because the sequence of tasks and the last bits depend on it."""


@torch.no_grad()
def score_tasks(
    learner: MetaLearner,
    source: TaskSource,
    tasks: int,
    *,
    device: torch.device,
    progress: Callable[[int], None] | None = None,
) -> dict[str, dict[str, FloatArray]]:
    """Setting -> ``error`` (mean squared, regression) or ``accuracy`` (share, classification) -> [tasks].

    Settings are the learner's steps; one that adapts in a single pass has the setting ``accuracy`` or ``error``.
    ``progress`` is told after every chunk how many tasks are done.
    """
    source.to(device)
    metric, of = ("accuracy", _accuracy) if source.task.kind == "classification" else ("error", _error)
    found: dict[str, list[Any]] = {}
    for begin in range(0, tasks, CHUNK):
        batch = source.sample(min(CHUNK, tasks - begin))
        for setting, outputs in learner.adapt(batch.support).predict(batch.query.inputs).items():
            found.setdefault(setting, []).append(of(outputs, batch.query.targets).double().cpu().numpy())
        if progress is not None:
            progress(min(begin + CHUNK, tasks))
    return {
        metric if setting == "adapted" else setting: {metric: np.concatenate(parts)} for setting, parts in found.items()
    }


def _error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean((1, 2))


def _accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(-1) == targets).double().mean(1)
