"""What few-shot sources and learners share: a family of tasks, a batch of tasks, and the protocols of both sides.

Shape letters: B tasks, n examples of a task, W ways (classes of a task), O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from sim2real.types import State


@dataclass(frozen=True)
class FewShotSpec:
    """A family of tasks: what a few-shot learner is built for."""

    name: str
    """Name of the source, e.g. ``sinusoid``."""
    kind: Literal["regression", "classification"]
    input_shape: tuple[int, ...]
    """Shape of one input: (1,), (1, 28, 28)."""
    output_size: int
    """Numbers that a regression predicts; ways of a classification, W."""
    shots: int
    """Support examples of a task; in classification, of each class."""
    queries: int
    """Query examples of a task; in classification, of each class."""
    parameter_size: int = 0
    """Numbers that define a task, where they are known (`TaskBatch.parameters`)."""

    @property
    def ways(self) -> int:
        """Classes of a task; 1 in regression."""
        return self.output_size if self.kind == "classification" else 1

    @property
    def support_size(self) -> int:
        """Support examples of a task, all classes together."""
        return self.ways * self.shots

    @property
    def query_size(self) -> int:
        """Query examples of a task, all classes together."""
        return self.ways * self.queries


@dataclass(frozen=True)
class Examples:
    """Labelled examples of B tasks."""

    inputs: Tensor
    """[B, n, *input_shape]"""
    targets: Tensor
    """Regression: [B, n, O], float. Classification: [B, n], int64 in [0, W)."""

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, tasks: slice) -> Examples:
        return Examples(self.inputs[tasks], self.targets[tasks])

    def to(self, device: torch.device) -> Examples:
        return Examples(self.inputs.to(device), self.targets.to(device))


@dataclass(frozen=True)
class TaskBatch:
    """B tasks: what a learner may adapt to, and what it is scored on. Classes are in order in both: the first ``shots``
    support examples are of class 0, and so on."""

    support: Examples
    query: Examples
    parameters: Tensor
    """[B, P] what defines each task, P = ``FewShotSpec.parameter_size``; for figures and analysis."""

    def __len__(self) -> int:
        return len(self.support)

    def __getitem__(self, tasks: slice) -> TaskBatch:
        return TaskBatch(self.support[tasks], self.query[tasks], self.parameters[tasks])

    def to(self, device: torch.device) -> TaskBatch:
        return TaskBatch(self.support.to(device), self.query.to(device), self.parameters.to(device))


class TaskSource(Protocol):
    """Draws tasks. The sequence of tasks is a function of the seed the source was made with."""

    task: FewShotSpec

    def sample(self, tasks: int) -> TaskBatch:
        """The next ``tasks`` tasks, on the source's device."""
        ...

    def to(self, device: torch.device) -> None:
        """Keep what tasks are drawn from on ``device``; the tasks stay the same ones."""
        ...

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...


class Predictor(Protocol):
    """What a learner has made of the support sets of B tasks."""

    def predict(self, inputs: Tensor) -> Mapping[str, Tensor]:
        """Outputs [B, n, O] for ``inputs [B, n, *input_shape]``: numbers, or logits of the classes.

        One entry a setting, in order: ``step_0`` (not adapted), ``step_1`` ... for learners that adapt in steps,
        ``adapted`` alone for the others. The last one is the learner's best guess and decides its score.
        """
        ...


class MetaLearner(Protocol):
    """The ``policy`` of a few-shot algorithm."""

    def adapt(self, support: Examples) -> Predictor:
        """A predictor for the B tasks of ``support``. Leaves the learner as it is, and builds no graph for it."""
        ...
