"""The baseline without an encoder: a query has the label of the support example that is nearest to it, pixel by pixel.

What is learned is one number, the scale of the distances in a softmax: it says how sure to be and changes no answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sim2real.agents.conditioned import only_classification, prediction_loss, ways_of
from sim2real.agents.episodic import EpisodicConfig
from sim2real.agents.similarity import Scale, similarity
from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch
from sim2real.types import Metrics


@dataclass(frozen=True)
class NearestNeighbourConfig:
    """Settings of the baseline."""

    training: EpisodicConfig = field(default_factory=lambda: EpisodicConfig(learning_rate=1e-2))
    """How the scale is fitted."""


class NearestNeighbour(nn.Module):
    """Euclidean distance between inputs; a `MetaLearner`. Raises ``ValueError`` for a regression."""

    any_ways = True
    """It takes tasks of other numbers of classes than it was trained on."""

    def __init__(self, config: NearestNeighbourConfig, spec: FewShotSpec) -> None:
        super().__init__()
        only_classification(spec, "nearest neighbours")
        self.spec = spec
        self.scale = Scale(0.01, learn=True)

    def loss(self, batch: TaskBatch) -> tuple[Tensor, Metrics]:
        """Mean cross-entropy."""
        return prediction_loss(self.logits(batch.support, batch.query.inputs), batch.query.targets, self.spec)

    def logits(self, support: Examples, inputs: Tensor) -> Tensor:
        """Scaled -||x - x_i||^2 of the nearest x_i of each class: [B, n, W]."""
        near = similarity(inputs.flatten(2), support.inputs.flatten(2), "squared_euclidean")
        member = one_hot(support.targets, ways_of(support.targets)).bool()
        nearest = near[..., None].masked_fill(~member[:, None], -torch.inf).amax(2)
        return self.scale(nearest)  # type: ignore[no-any-return]

    def adapt(self, support: Examples) -> NearestNeighbourPredictor:
        """Keep the support sets of B tasks."""
        return NearestNeighbourPredictor(self, support)


@dataclass(frozen=True)
class NearestNeighbourPredictor:
    """The support sets of B tasks."""

    learner: NearestNeighbour
    support: Examples

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> dict[str, Tensor]:
        """[B, n, *input_shape] -> ``adapted`` [B, n, W]."""
        return {"adapted": self.learner.logits(self.support, inputs)}
