"""The algorithm of learners that are trained by gradient descent on one loss a task batch (episodic training)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sim2real.agents.descent import descend
from sim2real.errors import at_least
from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch, TaskSource
from sim2real.seeding import component_seed, torch_generator
from sim2real.types import Metrics, State


@dataclass(frozen=True)
class EpisodicConfig:
    """Settings of the outer loop."""

    tasks_per_update: int = 1
    """Tasks of a batch, the meta-batch."""
    learning_rate: float = 1e-3
    """Adam's step."""
    halve_every: int | None = None
    """Tasks after which the step is halved, again and again; null keeps it."""
    weight_decay: float = 0.0
    """Adam's L2 penalty."""
    max_grad_norm: float | None = None
    """Largest norm of the gradient; null for any."""

    def __post_init__(self) -> None:
        at_least(self, 1, "tasks_per_update")
        if self.halve_every is not None and self.halve_every < 1:
            raise ValueError(f"halve_every has to be at least 1 (or null), got {self.halve_every}")


class EpisodicLearner(Protocol):
    """A torch module that knows its loss; also a `MetaLearner`."""

    def loss(self, batch: TaskBatch) -> tuple[Tensor, Metrics]:
        """A scalar to descend, and what to log."""
        ...


class Episodic:
    """Algorithm: draw a batch of tasks, take one step of Adam on the learner's loss on it.

    Sources list the support examples class by class; here they come in an order that is drawn anew for every batch, so
    that a learner that reads a sequence does not learn where in it which class is.
    """

    def __init__(
        self, learner: nn.Module, config: EpisodicConfig, source: TaskSource, *, seed: int, device: str
    ) -> None:
        self.config, self.source, self.device = config, source, torch.device(device)
        source.to(self.device)
        self._learner: Any = learner.to(self.device)
        self.optimizer = torch.optim.Adam(
            learner.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, foreach=True
        )
        self._order = torch_generator(seed, "order of the support set")
        self._tasks = 0
        self._batch: TaskBatch | None = None

    @property
    def policy(self) -> Any:
        """The learner, in evaluation mode."""
        return self._learner.eval()

    def collect(self) -> tuple[int, Metrics]:
        """Draw the tasks of the next update."""
        drawn = self.source.sample(self.config.tasks_per_update)
        order = torch.randperm(drawn.support.inputs.shape[1], generator=self._order).to(self.device)
        shuffled = Examples(drawn.support.inputs[:, order], drawn.support.targets[:, order])
        self._batch = replace(drawn, support=shuffled)
        return len(drawn), {}

    def update(self) -> Metrics:
        """One step on the tasks that were drawn."""
        if self._batch is None:
            raise RuntimeError("update() uses the tasks that collect() draws; call that first")
        batch, self._batch = self._batch, None
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        loss: Tensor
        metrics: Metrics
        loss, metrics = self._learner.train().loss(batch)
        descend(self.optimizer, loss, max_norm=self.config.max_grad_norm)
        self._tasks += len(batch)
        return metrics

    def _learning_rate(self) -> float:
        halve_every = self.config.halve_every
        halvings = 0 if halve_every is None else self._tasks // halve_every
        return self.config.learning_rate * 0.5**halvings

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs; taken between two iterations."""
        return {
            "learner": self._learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "source": self.source.state_dict(),
            "order": self._order.get_state(),
            "tasks": self._tasks,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`."""
        self._learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.source.load_state_dict(state["source"])
        self._order.set_state(state["order"].cpu())
        self._tasks = int(state["tasks"])


def episodic(learner: Callable[[Any, FewShotSpec], nn.Module]) -> Callable[..., Episodic]:
    """``build(config, source, seed=, device=)`` of a learner whose config has a field ``training``."""

    def build(config: Any, source: TaskSource, *, seed: int, device: str) -> Episodic:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(component_seed(seed, "weights"))
            module = learner(config, source.task)
        return Episodic(module, config.training, source, seed=seed, device=device)

    return build
