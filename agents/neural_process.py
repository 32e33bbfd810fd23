"""Conditional neural processes (Garnelo et al. 2018, "Conditional Neural Processes", section 2).

A prototype for numbers: every support pair (x, y) is encoded, the codes are averaged, and a decoder answers a query
from that average. Where prototypical networks keep a mean of each class, here is one mean of the task; like theirs it
does not depend on the order of the examples, takes any number of them, and adapts in one forward pass.

Deviation: the decoder puts out a number (squared error), not a mean and a deviation (likelihood), so that errors stand
beside those of the other learners.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sim2real.agents.conditioned import ConditionedConfig, ConditionedLearner, Context, numbers
from sim2real.errors import at_least
from sim2real.few_shot_types import FewShotSpec


@dataclass(frozen=True)
class NeuralProcessConfig(ConditionedConfig):
    """Settings of conditional neural processes."""

    units: int = 128
    """Units of the layers of encoder and decoder, and numbers in a code."""

    def __post_init__(self) -> None:
        at_least(self, 1, "units")


class NeuralProcess(ConditionedLearner):
    """Answers a query from the mean code of the support pairs."""

    def __init__(self, config: NeuralProcessConfig, spec: FewShotSpec) -> None:
        super().__init__(config, spec)
        size, units, outputs = self.embed.size, config.units, spec.output_size
        self.encode = nn.Sequential(nn.Linear(size + outputs, units), nn.ReLU(), nn.Linear(units, units))
        self.decode = nn.Sequential(
            nn.Linear(units + size, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, outputs)
        )

    def condition(self, embedded: Tensor, targets: Tensor, ways: int) -> Context:
        """The mean code [B, units], equations 1 and 2; labels are read one-hot."""
        pairs = torch.cat([embedded, numbers(targets, self.spec)], -1)
        return (self.encode(pairs).mean(1),)

    def answer(self, context: Context, embedded: Tensor) -> Tensor:
        """[B, Q, O], equation 3."""
        code = context[0][:, None].expand(-1, embedded.shape[1], -1)
        return self.decode(torch.cat([code, embedded], -1))  # type: ignore[no-any-return]
