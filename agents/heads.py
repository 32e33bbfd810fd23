"""What the numbers that a stochastic policy's network puts out mean: a distribution over actions.

Pure functions of one tensor ``outputs [..., H]``, so that they work under ``torch.func`` transforms and over any
leading axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from sim2real.meta_rl_types import FamilySpec


class Head(Protocol):
    """A family of distributions over actions. Actions are [..., A], or int64 [...] for choices."""

    @property
    def outputs(self) -> int:
        """Numbers that describe a distribution, H."""
        ...

    def sample(self, outputs: Tensor, generator: torch.Generator) -> Tensor: ...

    def mode(self, outputs: Tensor) -> Tensor:
        """The most likely action."""
        ...

    def log_prob(self, outputs: Tensor, action: Tensor) -> Tensor:
        """[...]"""
        ...

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old || new): [...]"""
        ...

    def entropy(self, outputs: Tensor) -> Tensor:
        """In nats: [...]"""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Independent normal distributions; ``outputs`` holds the A means, then the A logarithms of deviations."""

    size: int
    """Elements of an action, A."""
    min_std: float = 1e-6
    """Smaller deviations count as this."""

    @property
    def outputs(self) -> int:
        return 2 * self.size

    def split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log deviations, [..., A] each."""
        mean, log_std = outputs.chunk(2, -1)
        return mean, log_std.clamp(min=math.log(self.min_std))

    def sample(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        mean, log_std = self.split(outputs)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + log_std.exp() * noise

    def mode(self, outputs: Tensor) -> Tensor:
        return self.split(outputs)[0]

    def log_prob(self, outputs: Tensor, action: Tensor) -> Tensor:
        mean, log_std = self.split(outputs)
        z = (action - mean) * (-log_std).exp()
        return -(0.5 * z.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        mean, log_std = self.split(old)
        new_mean, new_log_std = self.split(new)
        ratio = (2 * (log_std - new_log_std)).exp()
        distance = ((mean - new_mean) * (-new_log_std).exp()).square()
        return (new_log_std - log_std + 0.5 * (ratio + distance - 1)).sum(-1)

    def entropy(self, outputs: Tensor) -> Tensor:
        return (self.split(outputs)[1] + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


@dataclass(frozen=True)
class Categorical:
    """One of A choices; ``outputs`` are logits."""

    size: int
    """Number of choices, A."""

    @property
    def outputs(self) -> int:
        return self.size

    def sample(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        # The largest of logits plus Gumbel noise is a draw from the softmax, for any leading axes.
        uniform = torch.rand(outputs.shape, generator=generator, dtype=outputs.dtype, device=outputs.device)
        exponential = -torch.log(uniform.clamp(min=torch.finfo(outputs.dtype).tiny))
        return (outputs - exponential.log()).argmax(-1)

    def mode(self, outputs: Tensor) -> Tensor:
        return outputs.argmax(-1)

    def log_prob(self, outputs: Tensor, action: Tensor) -> Tensor:
        return functional.log_softmax(outputs, -1).gather(-1, action[..., None])[..., 0]

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        log_old = functional.log_softmax(old, -1)
        return (log_old.exp() * (log_old - functional.log_softmax(new, -1))).sum(-1)

    def entropy(self, outputs: Tensor) -> Tensor:
        log_p = functional.log_softmax(outputs, -1)
        return -(log_p.exp() * log_p).sum(-1)


def head_of(task: FamilySpec) -> Head:
    """The distribution over a family's actions."""
    return Categorical(task.action) if task.action_kind == "discrete" else Gaussian(task.action)
