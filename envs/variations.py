"""Sets of dynamics made from others: one group of parameters held at nominal, one parameter at one value.

Every parameter of an episode has a uniform number of its own, so the episodes of a set and of a variation of it agree
in everything but what the variation changes: their difference is the effect of that alone.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim2real.envs.distribution import Distribution, fixed
from sim2real.envs.dynamics import INDEX, PARAMETERS, exists
from sim2real.envs.dynamics_sets import DynamicsError, DynamicsSet
from sim2real.errors import unknown

GROUPS: dict[str, tuple[str, ...]] = {
    "fixed_timestep": ("*period_jitter", "*timestep*"),
    "no_noise": ("*_noise", "*_bias"),
    "fixed_mass": ("*mass*",),
    "fixed_friction": ("*friction*",),
}
"""What can be left out (Peng et al. 2017, table III) -> patterns of the parameters' names."""
REACH = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
"""Where a parameter is tried, its range being [-1, 1]: as far beyond either end as from the middle to the end."""


@dataclass(frozen=True)
class DynamicsChange:
    """Other dynamics from a control step of every episode on, drawn independently of those before."""

    step: int
    """First control step under the new dynamics, at least 1."""
    dynamics: DynamicsSet

    def values(self, before: NDArray[np.float64], task: str, seed: int, episode: int) -> NDArray[np.float64]:
        """[len(PARAMETERS)] of an episode from `step` on. The table stays at its height: goals lie on it."""
        # Stream 5: an environment's own streams of an episode are 0 to 4.
        after = self.dynamics.of(task).sample(np.random.default_rng([seed, episode, 5]).random(len(PARAMETERS)))
        after[INDEX["table_height"]] = before[INDEX["table_height"]]
        return after


def without(dynamics: DynamicsSet, group: str) -> DynamicsSet:
    """``dynamics`` with one of `GROUPS`, or one parameter, held at nominal. The name is ``dynamics:group``.

    Raises:
        DynamicsError: unknown group or parameter.
    """
    if group not in GROUPS and group not in INDEX:
        raise DynamicsError(unknown("group or parameter to hold at nominal", group, (*GROUPS, *INDEX)))
    names = members(group) if group in GROUPS else (group,)
    changed = with_values(dynamics, {name: PARAMETERS[INDEX[name]].nominal for name in names})
    return dataclasses.replace(changed, name=f"{dynamics.name}:{group}")


def members(group: str) -> tuple[str, ...]:
    """Parameters of one of `GROUPS`."""
    return tuple(name for name in INDEX if any(fnmatch.fnmatch(name, pattern) for pattern in GROUPS[group]))


def with_values(dynamics: DynamicsSet, values: Mapping[str, float]) -> DynamicsSet:
    """``dynamics`` with some parameters fixed at ``values`` (in their units)."""
    for name, value in values.items():
        if name not in INDEX:
            raise DynamicsError(unknown("parameter", name, INDEX))
        p = PARAMETERS[INDEX[name]]
        if not p.low <= value <= p.high:
            raise DynamicsError(f"{name} at {value:g} leaves the allowed values [{p.low:g}, {p.high:g}] {p.unit}")
    setting = ", ".join(f"{name}={value:.4g}" for name, value in values.items())
    return dataclasses.replace(
        dynamics,
        name=f"{dynamics.name} {setting}",
        distributions=_fixed(dynamics.distributions, values),
        tasks={task: _fixed(section, values) for task, section in dynamics.tasks.items()},
    )


def _fixed(distributions: Sequence[Distribution], values: Mapping[str, float]) -> tuple[Distribution, ...]:
    return tuple(
        fixed(values[p.name]) if p.name in values else d for p, d in zip(PARAMETERS, distributions, strict=True)
    )


def active(dynamics: DynamicsSet, features: frozenset[str]) -> tuple[str, ...]:
    """Parameters that ``dynamics`` (of one task) varies or holds away from nominal, where a task has ``features`` and
    they can make a difference."""
    return tuple(
        p.name
        for p, d in zip(PARAMETERS, dynamics.distributions, strict=True)
        if (d.varies or d.span[0] != p.nominal) and exists(p, features) and not p.inert
    )


def span(dynamics: DynamicsSet, name: str) -> tuple[float, float, bool]:
    """Range of a parameter in ``dynamics`` (in its unit), and whether it is logarithmic. What is held away from nominal
    ranges from nominal to there.

    Raises:
        DynamicsError: unknown parameter, or one that stays at nominal and so has no range.
    """
    if name not in INDEX:
        raise DynamicsError(unknown("parameter", name, INDEX))
    distribution, nominal = dynamics[name], PARAMETERS[INDEX[name]].nominal
    if not distribution.varies and distribution.span[0] == nominal:
        raise DynamicsError(f"{name} stays at its nominal {nominal:g} under {dynamics.name}; there is no range to try")
    low, high = distribution.span if distribution.varies else sorted((nominal, distribution.span[0]))
    return low, high, distribution.kind == "log_uniform"


def levels(dynamics: DynamicsSet, name: str) -> list[float]:
    """Values of a parameter at `REACH` of its range in ``dynamics``, cut where physical sense ends (in its unit)."""
    low, high, log = span(dynamics, name)
    forward, backward = (math.log, math.exp) if log else (float, float)
    middle, half = (forward(low) + forward(high)) / 2, (forward(high) - forward(low)) / 2
    p = PARAMETERS[INDEX[name]]
    return sorted({round(min(max(backward(middle + x * half), p.low), p.high), 12) for x in REACH})
