"""Random tabular MDPs, many at once: Duan et al. 2016 (RL²), section 3.2, after Osband et al. 2013.

10 states, 5 actions; rewards N(mu(s, a), 1) with mu ~ N(1, 1); transitions from a flat Dirichlet; an episode begins in
the first state and lasts 10 steps. Everything is a tensor over MDPs; nothing loops over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sim2real.errors import at_least
from sim2real.meta_rl_types import FamilySpec

STATES, ACTIONS, HORIZON = 10, 5, 10
REWARD_MEAN, REWARD_STD = 1.0, 1.0
"""Of the distribution that mu(s, a) is drawn from."""


@dataclass(frozen=True)
class TabularMDPs:
    """TaskFamily of random MDPs."""

    episodes: int = 10
    """Episodes of a trial, n."""

    def __post_init__(self) -> None:
        at_least(self, 1, "episodes")

    @property
    def task(self) -> FamilySpec:
        return FamilySpec("tabular_mdps", STATES, "discrete", ACTIONS, horizon=HORIZON, episodes=self.episodes)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """MDPs [n, S, A, 1 + S]: mean reward mu(s, a), then the probabilities of the next state."""
        shape = (n, STATES, ACTIONS)
        rewards = REWARD_MEAN + REWARD_STD * torch.randn(*shape, 1, generator=generator, device=generator.device)
        # Exponential variables over their sum are a flat Dirichlet; 1 - u keeps the logarithm finite.
        uniform = torch.rand(*shape, STATES, generator=generator, device=generator.device)
        exponential = -torch.log1p(-uniform)
        return torch.cat([rewards, exponential / exponential.sum(-1, keepdim=True)], -1)

    def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> TabularBatch:
        """``rollouts`` players in each of the MDPs ``tasks [B, S, A, 1 + S]``."""
        return TabularBatch(tasks, rollouts, generator)


class TabularBatch:
    """TaskBatch: B MDPs, R players in each. The observation is the state, one-hot."""

    def __init__(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> None:
        self.generator = generator
        self._rewards = tasks[..., 0]
        self._cumulative = tasks[..., 1:].cumsum(-1)
        shape = (len(tasks), rollouts)
        self._mdp = torch.arange(len(tasks), device=tasks.device)[:, None].expand(shape)
        self._end = torch.zeros(shape, dtype=torch.bool, device=tasks.device)
        self.state = torch.zeros(shape, dtype=torch.int64, device=tasks.device)
        """[B, R] where the players are."""

    def reset(self) -> Tensor:
        """Everybody in the first state: [B, R, S]."""
        self.state = torch.zeros_like(self.state)
        return self._observation()

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take the actions ``actions [B, R]``. No episode ends before the horizon."""
        noise = torch.randn(actions.shape, generator=self.generator, device=actions.device)
        chance = torch.rand(actions.shape, generator=self.generator, device=actions.device)
        reward = self._rewards[self._mdp, self.state, actions] + noise
        passed = chance[..., None] >= self._cumulative[self._mdp, self.state, actions]
        # The last of the cumulative sums may round to less than 1.
        self.state = passed.sum(-1).clamp(max=STATES - 1)
        return self._observation(), reward, self._end

    def _observation(self) -> Tensor:
        return one_hot(self.state, STATES).to(self._rewards.dtype)
