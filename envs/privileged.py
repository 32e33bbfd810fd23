"""The vector mu of dynamics parameters that a critic may see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim2real.envs.dynamics import PARAMETERS, exists
from sim2real.envs.dynamics_sets import load_dynamics
from sim2real.envs.task import Task

MU_LIMIT = 10.0
"""|mu| is cut here: a value far outside the training range, such as 0 on a logarithmic axis, must stay finite."""


@dataclass(frozen=True)
class Privileged:
    """The parameters that vary in ``train``, each scaled to [-1, 1] over its range there (on the scale on which it is
    drawn uniformly), whatever set an episode's dynamics come from."""

    indices: tuple[int, ...]
    names: tuple[str, ...]
    log: NDArray[np.bool_]
    inverse: NDArray[np.bool_]
    middle: NDArray[np.float64]
    half: NDArray[np.float64]

    def scale(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values ``[N, len(PARAMETERS)]`` in their units -> mu ``[N, P]``; outside [-1, 1] beyond the training
        range."""
        x = values[:, self.indices]
        positive = np.maximum(x, 1e-300)
        x = np.where(self.log, np.log(positive), np.where(self.inverse, -1.0 / positive, x))
        return np.clip((x - self.middle) / self.half, -MU_LIMIT, MU_LIMIT)


def privileged(task: Task) -> Privileged:
    """mu of a task: what exists there, varies in ``train`` and can make a difference."""
    train = load_dynamics("train").of(task.name)
    indices = [
        i
        for i, p in enumerate(PARAMETERS)
        if train.distributions[i].varies and exists(p, task.features) and not p.inert
    ]
    chosen = [train.distributions[i] for i in indices]
    ends = np.array([[d.scale[0](x) for x in d.span] for d in chosen])
    return Privileged(
        indices=tuple(indices),
        names=tuple(PARAMETERS[i].name for i in indices),
        log=np.array([d.kind == "log_uniform" for d in chosen]),
        inverse=np.array([d.kind == "inverse_uniform" for d in chosen]),
        middle=ends.mean(1),
        half=(ends[:, 1] - ends[:, 0]) / 2,
    )
