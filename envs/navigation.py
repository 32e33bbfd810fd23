"""2D navigation of Finn et al. 2017 (MAML), section 5.3: a point that has to find a goal it can't see.

Batched tensors: one call steps all rollouts of all tasks. Paper and released code (cbfinn/maml_rl) differ, and the
published returns are the code's: its reward is the negative distance (the paper says squared), and an action of 1 is
the largest velocity, 0.1, because rllab normalised actions (`unit_actions`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sim2real.errors import at_least
from sim2real.meta_rl_types import FamilySpec

SPEED = 0.1
"""Largest velocity along each axis (in units a step)."""


@dataclass(frozen=True)
class Navigation:
    """Goals drawn from ``[-0.5, 0.5]^2``; an episode begins in (0, 0) and ends close to the goal."""

    reward: Literal["distance", "squared_distance"] = "distance"
    """Negated: what the released code pays, or what the paper says."""
    unit_actions: bool = True
    """Whether actions in [-1, 1] are scaled to velocities, as in the code; otherwise actions are velocities."""
    horizon: int = 100
    """Steps of an episode."""
    tolerance: float = 0.01
    """The episode ends this close to the goal along both axes; 0: never."""

    def __post_init__(self) -> None:
        at_least(self, 1, "horizon")

    @property
    def task(self) -> FamilySpec:
        limit = 1.0 if self.unit_actions else SPEED
        return FamilySpec(
            "navigation", 2, "gaussian", 2, self.horizon, action_low=(-limit,) * 2, action_high=(limit,) * 2
        )

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Goals: [n, 2]."""
        return torch.rand(n, 2, generator=generator) - 0.5

    def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> NavigationBatch:
        """Points that look for the goals ``tasks [B, 2]``; nothing in them is random."""
        return NavigationBatch(self, tasks, rollouts)


class NavigationBatch:
    """B x R points; see `sim2real.meta_rl_types.TaskBatch`."""

    def __init__(self, family: Navigation, goals: Tensor, rollouts: int) -> None:
        self.family, self.goals, self.rollouts = family, goals[:, None], rollouts

    def reset(self) -> Tensor:
        """See `sim2real.meta_rl_types.TaskBatch`; every point in (0, 0)."""
        shape = (len(self.goals), self.rollouts)
        self._position = self.goals.new_zeros(*shape, 2)
        self._ended = torch.zeros(shape, dtype=torch.bool, device=self.goals.device)
        return self._position

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `sim2real.meta_rl_types.TaskBatch`; actions are displacements, cut to the fastest."""
        velocity = (actions * SPEED if self.family.unit_actions else actions).clamp(-SPEED, SPEED)
        running = ~self._ended
        self._position = self._position + velocity * running[..., None]
        offset = self._position - self.goals
        squared = offset.square().sum(-1)
        cost = squared if self.family.reward == "squared_distance" else squared.sqrt()
        self._ended = self._ended | (offset.abs() < self.family.tolerance).all(-1)
        return self._position, -cost * running, self._ended
