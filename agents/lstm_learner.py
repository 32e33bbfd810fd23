"""The black-box learner: an LSTM reads the support set as a sequence of (x, y) pairs, then a query x, and answers.

Hochreiter et al. 2001, Santoro et al. 2016 (the label comes with its example here, not one step later: there is a
support set, and queries do not follow each other). Every query starts from the state after the support set, so a
prediction depends on its query alone. What is learned is both how to learn and how to predict; nothing in the forward
pass knows of distances or gradients.

Tasks list their examples class by class, and an LSTM would learn to count: `Episodic` shuffles them in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sim2real.agents.conditioned import ConditionedConfig, ConditionedLearner, Context, numbers
from sim2real.few_shot_types import FewShotSpec


@dataclass(frozen=True)
class LSTMLearnerConfig(ConditionedConfig):
    """Settings of the black-box learner."""

    units: int = 256
    """Units of a layer of the LSTM."""
    layers: int = 1
    """Layers of the LSTM."""

    def __post_init__(self) -> None:
        if self.units < 1 or self.layers < 1:
            raise ValueError(f"units and layers have to be at least 1, got {self.units} and {self.layers}")


class LSTMLearner(ConditionedLearner):
    """Reads pairs of embedded example and label (one-hot, or the numbers), then queries with a blank for the label."""

    def __init__(self, config: LSTMLearnerConfig, spec: FewShotSpec) -> None:
        super().__init__(config, spec)
        size, outputs = self.embed.size, spec.output_size
        # Untrained embeddings of any two drawings are nearly one vector: the LSTM learns to ignore them, and nothing
        # trains the encoder. Without what a batch has in common, learning begins at once.
        self.embed.layers.append(nn.BatchNorm1d(size, affine=False))
        # One more input says whether the label is there: a blank must not look like the number 0.
        self.lstm = nn.LSTM(size + outputs + 1, config.units, config.layers, batch_first=True)
        self.head = nn.Linear(config.units, outputs)

    def condition(self, embedded: Tensor, targets: Tensor, ways: int) -> Context:
        """The state after the support set: h and c, each [B, layers, units]."""
        known = torch.cat([numbers(targets, self.spec), torch.ones_like(embedded[..., :1])], -1)
        pairs = torch.cat([embedded, known], -1)
        h, c = self.lstm(pairs)[1]
        return h.transpose(0, 1), c.transpose(0, 1)

    def answer(self, context: Context, embedded: Tensor) -> Tensor:
        """[B, Q, O], every query from the same state."""
        tasks, queries, _ = embedded.shape
        blank = embedded.new_zeros((tasks, queries, self.spec.output_size + 1))
        asked = torch.cat([embedded, blank], -1).reshape(tasks * queries, 1, -1)
        # [B, L, H] -> [L, B * Q, H]
        h, c = (s.transpose(0, 1)[:, :, None].expand(-1, -1, queries, -1).flatten(1, 2).contiguous() for s in context)
        return self.head(self.lstm(asked, (h, c))[0]).reshape(tasks, queries, -1)  # type: ignore[no-any-return]
