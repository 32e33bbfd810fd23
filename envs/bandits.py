"""Bernoulli bandits, many at once: Duan et al. 2016 (RL²), section 3.1.

A task is the probability of each arm to pay 1, drawn from U[0, 1]; an episode is one pull; there is nothing to observe.
Everything is a tensor over bandits; nothing loops over them. The uniform number that decides a reward is drawn whether
or not the arm pays, one a bandit and step: two strategies on the same seed meet the same bandits and the same luck.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sim2real.meta_rl_types import FamilySpec


@dataclass(frozen=True)
class Bandits:
    """TaskFamily of Bernoulli bandits."""

    arms: int = 5
    """Arms of a bandit, k."""
    pulls: int = 10
    """Pulls of a trial, n."""

    def __post_init__(self) -> None:
        if self.arms < 1 or self.pulls < 1:
            raise ValueError(f"arms and pulls have to be at least 1, got {self.arms} and {self.pulls}")

    @property
    def task(self) -> FamilySpec:
        return FamilySpec("bandits", 1, "discrete", self.arms, horizon=1, episodes=self.pulls)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Probabilities that an arm pays: [n, k]."""
        return torch.rand(n, self.arms, generator=generator, device=generator.device)

    def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> BanditBatch:
        """``rollouts`` players at each of the bandits ``tasks [B, k]``."""
        return BanditBatch(tasks, rollouts, generator)


class BanditBatch:
    """TaskBatch: B bandits, R players at each. The observation is a constant 0."""

    def __init__(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> None:
        self.generator = generator
        self._means = tasks[:, None].expand(-1, rollouts, -1)
        self._nothing = tasks.new_zeros(len(tasks), rollouts, 1)
        self._end = torch.ones(len(tasks), rollouts, dtype=torch.bool, device=tasks.device)

    def reset(self) -> Tensor:
        """Nothing to see: zeros [B, R, 1]."""
        return self._nothing

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pull the arms ``actions [B, R]``: rewards of 0 or 1; every pull ends its episode."""
        chance = torch.rand(actions.shape, generator=self.generator, device=actions.device)
        means = self._means.gather(2, actions[..., None])[..., 0]
        return self._nothing, (chance < means).to(means.dtype), self._end
