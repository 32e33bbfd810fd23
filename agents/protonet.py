"""Prototypical networks (Snell et al. 2017, "Prototypical Networks for Few-shot Learning", algorithm 1).

A class is the mean of its embedded support examples; a query's class probabilities are a softmax over how near it is
to them. Nothing in the network knows the number of ways, so it may be trained with more of them than it is tested with
(60, as in the paper) and be tested with any.

The metric is an option: squared Euclidean distance (the paper), cosine, and the dot product of the CS182 sheet. A dot
product and the Euclidean distance differ by the prototypes' squared norms alone. A cosine is multiplied by a learned
scale, without which its softmax could not be sure of anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sim2real.agents.conditioned import ConditionedConfig, ConditionedLearner, Context, only_classification
from sim2real.agents.similarity import Scale, Similarity, class_means, similarity
from sim2real.few_shot_types import FewShotSpec


@dataclass(frozen=True)
class ProtoNetConfig(ConditionedConfig):
    """Settings of prototypical networks."""

    metric: Similarity = "squared_euclidean"
    """How near a query is to a prototype."""


class ProtoNet(ConditionedLearner):
    """Scores a query by its similarity to the mean of each class. Raises ``ValueError`` for a regression."""

    any_ways = True
    """It takes tasks of other numbers of classes than it was trained on."""

    def __init__(self, config: ProtoNetConfig, spec: FewShotSpec) -> None:
        super().__init__(config, spec)
        only_classification(spec, "prototypical networks")
        self.metric = config.metric
        self.scale = Scale(10.0, learn=True) if config.metric == "cosine" else Scale(1.0, learn=False)

    def condition(self, embedded: Tensor, targets: Tensor, ways: int) -> Context:
        """The prototypes [B, W, D], equation 1."""
        return (class_means(embedded, targets, ways),)

    def answer(self, context: Context, embedded: Tensor) -> Tensor:
        """Logits whose softmax is equation 2: [B, Q, W]."""
        return self.scale(similarity(embedded, context[0], self.metric))  # type: ignore[no-any-return]
