"""Few-shot learners that condition on the support set in one forward pass, and the algorithm that trains them.

Prototypical networks, matching networks and the black-box LSTM differ in what they make of embedded examples only. That
is a subclass of `ConditionedLearner`: `condition` on the support set, `answer` queries. Encoder, loss, adaptation and
training are here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sim2real.agents.embedding import Embedding, EmbeddingConfig
from sim2real.agents.episodic import EpisodicConfig
from sim2real.agents.few_shot_losses import LOSSES
from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch
from sim2real.types import Metrics

Context = tuple[Tensor, ...]
"""What a learner keeps of B support sets, each tensor with a leading axis of tasks."""


@dataclass(frozen=True)
class ConditionedConfig:
    """What learners of this kind share."""

    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    """The encoder of inputs."""
    training: EpisodicConfig = field(default_factory=EpisodicConfig)
    """How it is trained."""


class ConditionedLearner(nn.Module):
    """Base of the learners that adapt by a forward pass; a `MetaLearner`."""

    def __init__(self, config: ConditionedConfig, spec: FewShotSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embed = Embedding(config.embedding, spec.input_shape)

    def condition(self, embedded: Tensor, targets: Tensor, ways: int) -> Context:
        """What `answer` needs to know of the support set: embedded [B, S, D], targets as in `Examples`, of so many
        classes."""
        raise NotImplementedError

    def answer(self, context: Context, embedded: Tensor) -> Tensor:
        """Logits or numbers [B, Q, O] for embedded queries [B, Q, D]."""
        raise NotImplementedError

    def forward(self, support: Tensor, targets: Tensor, query: Tensor) -> Tensor:
        """Inputs [B, S, ...], targets, inputs [B, Q, ...] -> [B, Q, O]; in training, batch norm sees all of them."""
        both = self.embed(torch.cat([support, query], 1))
        seen, asked = both.split([support.shape[1], query.shape[1]], 1)
        return self.answer(self.condition(seen, targets, self.ways_of(targets)), asked)

    def loss(self, batch: TaskBatch) -> tuple[Tensor, Metrics]:
        """Mean loss over all queries of all tasks: cross-entropy or squared error."""
        outputs = self(batch.support.inputs, batch.support.targets, batch.query.inputs)
        return prediction_loss(outputs, batch.query.targets, self.spec)

    @torch.no_grad()
    def adapt(self, support: Examples) -> ConditionedPredictor:
        """Read the support sets of B tasks."""
        ways = self.ways_of(support.targets)
        return ConditionedPredictor(self, self.condition(self.embed(support.inputs), support.targets, ways))

    def ways_of(self, targets: Tensor) -> int:
        """Classes of a support set [B, S] that has examples of each: most learners of this kind take any number."""
        return ways_of(targets) if self.spec.kind == "classification" else 1


@dataclass(frozen=True)
class ConditionedPredictor:
    """A learner with what it knows of B tasks."""

    learner: ConditionedLearner
    context: Context

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> dict[str, Tensor]:
        """[B, n, *input_shape] -> ``adapted`` [B, n, O]."""
        return {"adapted": self.learner.answer(self.context, self.learner.embed(inputs))}


def prediction_loss(outputs: Tensor, targets: Tensor, spec: FewShotSpec) -> tuple[Tensor, Metrics]:
    """Mean loss of outputs [B, Q, O], and metrics."""
    loss = LOSSES[spec.kind](outputs, targets).mean()
    metrics: Metrics = {"loss/query": loss.detach()}
    if spec.kind == "classification":
        metrics["loss/accuracy"] = (outputs.detach().argmax(-1) == targets).float().mean()
    return loss, metrics


def numbers(targets: Tensor, spec: FewShotSpec) -> Tensor:
    """Targets as a network reads them: labels one-hot [B, S, ways], numbers as they are."""
    return one_hot(targets, spec.ways).float() if spec.kind == "classification" else targets


def ways_of(targets: Tensor) -> int:
    """Classes of a support set [B, S] that has examples of each: learners that take any number read it from there."""
    return int(targets.amax()) + 1


def only_classification(spec: FewShotSpec, what: str) -> None:
    """Raise ``ValueError`` for tasks without classes."""
    if spec.kind != "classification":
        raise ValueError(
            f"{what} classify; {spec.name} is a {spec.kind}: take maml, lstm_learner, neural_process or meta_lstm"
        )
