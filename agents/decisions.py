"""What a policy does without luck: the most likely action, as a bundle sends it and as its network reads it back.

An action in a bundle is a vector in [-1, 1]. The classes here turn a network's outputs into one, and back into what
families of tasks take and memories read; as tensors, and as operations for the NumPy backend.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sim2real.meta_rl_types import FamilySpec
from sim2real.operations import Operation, operation


class Choice(nn.Module):
    """The choice with the largest logit, as a vector with a 1 in its place and zeros elsewhere."""

    def forward(self, logits: Tensor) -> Tensor:
        """[n, A] -> [n, A]."""
        best = logits.argmax(-1, keepdim=True)
        return (torch.arange(logits.shape[-1], device=logits.device) == best).to(logits.dtype)

    def read(self, action: Tensor) -> Tensor:
        """A network reads choices as they are sent."""
        return action

    def taken(self, action: Tensor) -> Tensor:
        """[n, A] -> number of the choice, int64 [n]."""
        return action.argmax(-1)

    def operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        """`forward` for the NumPy backend."""
        return [operation("choose", [source], [result])]

    def read_operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        """`read` for the NumPy backend."""
        return [operation("concat", [source], [result])]


class Bounded(nn.Module):
    """The mean, within the limits beyond which an action has no further effect; -1 and 1 are the limits."""

    scale: Tensor
    offset: Tensor

    def __init__(self, low: tuple[float, ...], high: tuple[float, ...]) -> None:
        super().__init__()
        least, most = torch.tensor(low), torch.tensor(high)
        self.register_buffer("scale", (most - least) / 2)
        self.register_buffer("offset", (most + least) / 2)

    def forward(self, mean: Tensor) -> Tensor:
        """In the family's unit [n, A] -> in [-1, 1]."""
        return ((mean - self.offset) / self.scale).clamp(-1, 1)

    def read(self, action: Tensor) -> Tensor:
        """In [-1, 1] [n, A] -> in the family's unit."""
        return action * self.scale + self.offset

    def taken(self, action: Tensor) -> Tensor:
        """A family takes what a network reads."""
        return self.read(action)

    def operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        """`forward` for the NumPy backend; its tensors start with ``prefix``."""
        return [
            operation("normalise", [source], [result], mean=f"{prefix}.offset", std=f"{prefix}.scale", clip=1.0),
        ]

    def read_operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        """`read` for the NumPy backend."""
        return [operation("affine", [source], [result], scale=f"{prefix}.scale", offset=f"{prefix}.offset")]


Decision = Choice | Bounded


def decision_of(task: FamilySpec) -> Decision:
    """For a family's actions."""
    return Choice() if task.action_kind == "discrete" else Bounded(task.action_low, task.action_high)
