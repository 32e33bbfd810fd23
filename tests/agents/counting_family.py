"""A family that proves the plumbing of trials: observations and rewards say which step of which trial this is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sim2real.meta_rl_types import FamilySpec


@dataclass(frozen=True)
class Counting:
    """A task is the step (from 1) at which its episodes end. The observation is (episode, step); a step pays
    100 * episode + step + 1, so what is read one step later tells exactly which step was before."""

    @property
    def task(self) -> FamilySpec:
        return FamilySpec("counting", 2, "discrete", 3, horizon=4, episodes=3)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randint(2, 5, (n,), generator=generator)

    def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> CountingBatch:
        return CountingBatch(tasks, rollouts)


class CountingBatch:
    def __init__(self, ends: Tensor, rollouts: int) -> None:
        self.ends = ends[:, None].expand(-1, rollouts)
        self.episode, self.count = -1, torch.zeros_like(self.ends)

    def reset(self) -> Tensor:
        self.episode, self.count = self.episode + 1, torch.zeros_like(self.ends)
        return self._observation()

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        running = self.count < self.ends
        reward = (100.0 * self.episode + self.count + 1) * running
        self.count = self.count + running.long()
        return self._observation(), reward, self.count >= self.ends

    def _observation(self) -> Tensor:
        return torch.stack([torch.full_like(self.count, self.episode), self.count], -1).float()


class CountingPolicy:
    """Its memory is the number of steps since it was made empty; it keeps every input."""

    def __init__(self) -> None:
        self.begun = 0

    def initial_state(self, n: int) -> Tensor:
        self.begun += 1
        return torch.zeros(n)

    def step(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        # The outputs are (steps remembered, 0, 0): what `play` stores shows the memory at every step.
        outputs = torch.stack([state, torch.zeros_like(state), torch.zeros_like(state)], -1)
        return outputs, state + 1
