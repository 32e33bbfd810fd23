"""The LSTM meta-learner (Ravi & Larochelle 2017, "Optimization as a Model for Few-Shot Learning", algorithm 1).

A small network, the learner, is trained on a task's support set by an update rule that is itself learned, together with
the learner's first parameters (`learned_optimizer`). The loss after the last update, on the query set, is what the rule
descends. The learner's gradients are constants to it (`LearnedOptimizer.forward`), so no second derivatives are taken.

Batch norm, as the authors: while meta-training each batch is normalised by its own statistics; on a new task the
learner is evaluated with running statistics that were gathered on that task's support set and are forgotten with it.
The two differ, most with one shot, so either may be chosen for either (`train_statistics`, `test_statistics`);
``query`` at test makes a prediction depend on the other queries (transductive).

Deviations: parameters of batch norm are updated like all others, and the gradient is not divided by the batch size once
more, as the authors' code does.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sim2real.agents.conditioned import prediction_loss
from sim2real.agents.embedding import Embedding, EmbeddingConfig
from sim2real.agents.episodic import EpisodicConfig
from sim2real.agents.few_shot_losses import LOSSES
from sim2real.agents.functional import Parameters, for_tasks, task_losses
from sim2real.agents.learned_optimizer import LearnedOptimizer
from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch
from sim2real.types import Metrics

Statistics = Literal["support", "query"]


@dataclass(frozen=True)
class MetaLSTMConfig:
    """Settings of the LSTM meta-learner."""

    filters: int = 32
    """Filters of each of the learner's four convolutions, for images."""
    hidden: tuple[int, ...] = (40, 40)
    """Units of the learner's hidden layers, for vectors."""
    updates: int = 12
    """Updates T of the learner on a support set."""
    units: int = 20
    """Units of the LSTM that reads loss and gradient."""
    input_bias: tuple[float, float] = (-5.0, -4.0)
    """Range of the first b_I, before the sigmoid: the first step size is about e^b_I."""
    train_statistics: Statistics = "query"
    """Batch norm of the query set while meta-training: its own statistics, or those of the support set."""
    test_statistics: Statistics = "support"
    """The same on new tasks; ``query`` is transductive."""
    momentum: float = 0.9
    """Weight of the latest update's batch in the running statistics (the authors: 0.9 for 1 shot, 0.95 for 5)."""
    training: EpisodicConfig = field(default_factory=lambda: EpisodicConfig(max_grad_norm=0.25))
    """How it is meta-trained."""

    def __post_init__(self) -> None:
        if self.updates < 1 or self.units < 1:
            raise ValueError(f"updates and units have to be at least 1, got {self.updates} and {self.units}")


class MetaLSTM(nn.Module):
    """The rule and the learner's first parameters; a `MetaLearner`.

    Tasks go through the learner together where it has no batch norm, one by one where it has (convolutions whose
    weights differ between tasks are slow, and running statistics are written in place).
    """

    def __init__(self, config: MetaLSTMConfig, spec: FewShotSpec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.network = _network(config, spec)
        self.rule = LearnedOptimizer(config.units, input_bias=config.input_bias)
        self._sizes = [p.numel() for p in self.network.parameters()]

    def loss(self, batch: TaskBatch) -> tuple[Tensor, Metrics]:
        """Query loss after the last update, mean over tasks; differentiable in rule and first parameters."""
        theta, buffers = self._learn(batch.support)[-1]
        outputs = self.outputs(theta, buffers, batch.query.inputs, self.config.train_statistics)
        return prediction_loss(outputs, batch.query.targets, self.spec)

    def adapt(self, support: Examples) -> MetaLSTMPredictor:
        """Train the learner on the support sets of B tasks."""
        with torch.no_grad():
            return MetaLSTMPredictor(self, self._learn(support))

    def _learn(self, support: Examples) -> list[tuple[Tensor, Parameters]]:
        """Parameters [B, P] and running statistics after 0, 1, ... updates."""
        tasks = len(support)
        first = torch.cat([p.flatten() for p in self.network.parameters()])
        theta = first.expand(tasks, -1)
        fresh = {name: value.clone() for name, value in for_tasks(dict(self.network.named_buffers()), tasks).items()}
        path, state = [(theta, fresh)], self.rule.initial_state(theta.flatten())
        for _ in range(self.config.updates):
            buffers = {name: value.clone() for name, value in path[-1][1].items()}
            loss, gradient = self._slope(theta.detach(), buffers, support)
            each = loss.repeat_interleave(theta.shape[1])
            flat, state = self.rule(theta.flatten(), gradient.flatten(), each, state)
            theta = flat.view_as(theta)
            path.append((theta, buffers))
        return path

    def _slope(self, theta: Tensor, buffers: Parameters, support: Examples) -> tuple[Tensor, Tensor]:
        """Support loss [B] and its gradient [B, P]; gathers the batch's statistics into ``buffers``."""
        self.network.train()
        criterion = LOSSES[self.spec.kind]

        def loss(parameters: Parameters, inputs: Tensor, targets: Tensor) -> Tensor:
            return criterion(functional_call(self.network, parameters, (inputs,)), targets)

        with torch.enable_grad():
            leaf = theta.requires_grad_()
            losses = self._over_tasks(loss)(self._by_name(leaf, buffers), support.inputs, support.targets)
            return losses.detach(), torch.autograd.grad(losses.sum(), leaf)[0]

    def outputs(self, theta: Tensor, buffers: Parameters, inputs: Tensor, statistics: Statistics) -> Tensor:
        """[B, Q, O], normalised by the support set's statistics in ``buffers`` or by those of ``inputs``."""
        self.network.train(statistics == "query")

        def outputs(parameters: Parameters, x: Tensor) -> Tensor:
            return functional_call(self.network, parameters, (x,))  # type: ignore[no-any-return]

        own = {name: value.clone() for name, value in buffers.items()}
        return self._over_tasks(outputs)(self._by_name(theta, own), inputs)

    def _over_tasks(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return task_losses(function, "loop" if len(self.spec.input_shape) == 3 else "vmap")

    def _by_name(self, theta: Tensor, buffers: Parameters) -> Parameters:
        """The learner's parameters by name, each with a leading task axis, and its buffers."""
        named = dict(self.network.named_parameters())
        parts = torch.split_with_sizes(theta, self._sizes, 1)
        shaped = {n: part.view(-1, *p.shape) for (n, p), part in zip(named.items(), parts, strict=True)}
        return {**shaped, **buffers}


@dataclass(frozen=True)
class MetaLSTMPredictor:
    """The learner's parameters on B tasks, after every update."""

    meta: MetaLSTM
    path: list[tuple[Tensor, Parameters]]

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> dict[str, Tensor]:
        """[B, n, *input_shape] -> ``step_0`` (not adapted) ... each [B, n, O].

        Before them, where the learner has batch norm, the last step under both kinds of statistics by their names.
        """
        meta, (theta, buffers) = self.meta, self.path[-1]
        kinds: tuple[Statistics, ...] = ("query", "support") if buffers else ()
        both = {f"{kind}_statistics": meta.outputs(theta, buffers, inputs, kind) for kind in kinds}
        steps = {
            f"step_{k}": meta.outputs(theta, buffers, inputs, meta.config.test_statistics)
            for k, (theta, buffers) in enumerate(self.path)
        }
        return both | steps


def _network(config: MetaLSTMConfig, spec: FewShotSpec) -> nn.Module:
    """The learner: four convolutions and a linear layer for images, a ReLU network for vectors."""
    if len(spec.input_shape) == 3:
        embed = Embedding(EmbeddingConfig(filters=config.filters), spec.input_shape)
        for module in embed.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum, module.eps = config.momentum, 1e-3
        return nn.Sequential(embed, nn.Linear(embed.size, spec.output_size))
    widths = [*spec.input_shape, *config.hidden]
    layers: list[nn.Module] = []
    for narrow, wide in itertools.pairwise(widths):
        layers += [nn.Linear(narrow, wide), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], spec.output_size))
