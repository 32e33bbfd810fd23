"""The memory that all searches share: the best architecture so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sim2real.search_types import Architecture, ArchitectureSource, Scored, SearchSpec
from sim2real.types import Metrics


class BestFound(nn.Module):
    """The architecture with the highest reward, the earlier one of equals; before the first, every token's value 0."""

    numbers: Tensor
    """[T], int64."""
    reward: Tensor
    """Its reward, float64; minus infinity before the first."""

    def __init__(self, spec: SearchSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("numbers", torch.zeros(len(spec.tokens), dtype=torch.int64))
        self.register_buffer("reward", torch.tensor(-math.inf, dtype=torch.float64))

    def architecture(self) -> Architecture:
        """The best architecture so far."""
        return tuple(int(value) for value in self.numbers)

    def take(self, architectures: Sequence[Architecture], scored: Scored) -> Metrics:
        """Note what was scored; what to log of it."""
        for architecture, reward in zip(architectures, scored.rewards, strict=True):
            if reward > float(self.reward):
                self.numbers.copy_(torch.tensor(architecture))
                self.reward.fill_(float(reward))
        return {
            "collect/reward": float(scored.rewards.mean()),
            "collect/best": float(self.reward),
            "collect/trained": float(scored.trained),
        }


def build_found(config: object, spec: SearchSpec) -> BestFound:
    """The policy of a search that only remembers the best, before anything was found; no option decides about it."""
    return BestFound(spec)


def score(
    found: BestFound, source: ArchitectureSource, architectures: Sequence[Architecture]
) -> tuple[Scored, Metrics]:
    """Have architectures scored and the best of them remembered."""
    scored = source.score(architectures)
    return scored, found.take(architectures, scored)
