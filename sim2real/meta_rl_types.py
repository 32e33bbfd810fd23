"""What task families, meta-learners and their evaluation exchange: batched tensors over tasks and rollouts.

Shape letters: B tasks, R rollouts of each, T steps, D observation elements, A action elements or choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from sim2real.types import NO_DELAYS, Delays, Element, Source, TaskSpec, Term

Parameters = Mapping[str, Tensor]
"""Weights of a policy by name: one set, or one for each task with B as the leading axis."""


@dataclass(frozen=True)
class FamilySpec:
    """What a policy for a family of tasks is built for."""

    name: str
    observation: int
    """Elements of an observation, D."""
    action_kind: Literal["gaussian", "discrete"]
    """gaussian: actions are A real numbers; discrete: one of A choices."""
    action: int
    """Elements of an action, or number of choices, A."""
    horizon: int
    """Steps of an episode."""
    episodes: int = 1
    """Episodes of a trial: how often a learner that remembers meets the same task."""
    action_low: tuple[float, ...] = ()
    """Smallest action that has an effect (in the action's unit); empty where actions are choices."""
    action_high: tuple[float, ...] = ()
    """Largest one."""


class TaskBatch(Protocol):
    """B tasks with R rollouts each, stepped together. All episodes begin with `reset`."""

    def reset(self) -> Tensor:
        """First observations ``[B, R, D]`` of the next episode of every rollout, under the same tasks."""
        ...

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Observations ``[B, R, D]``, rewards ``[B, R]`` and whether the episode ended ``[B, R]`` (bool).

        ``actions`` is ``[B, R, A]``, or int64 ``[B, R]`` for choices. The horizon is the caller's; once an episode has
        ended, its observation stays and its rewards are 0 until the next reset.
        """
        ...


@runtime_checkable
class Judged(Protocol):
    """A `TaskBatch` that knows success."""

    def success(self) -> Tensor:
        """Whether the goal is fulfilled now: [B, R] (bool)."""
        ...


class TaskFamily(Protocol):
    """A distribution over tasks that share observations and actions."""

    @property
    def task(self) -> FamilySpec: ...

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` tasks: ``[n, ...]``, the numbers that tell one task from another."""
        ...

    def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> TaskBatch:
        """Environments of these tasks; what is random in them is drawn from ``generator``."""
        ...


@dataclass(frozen=True)
class Interface:
    """What whoever runs a policy outside of its family has to know: names, units and times."""

    task: TaskSpec
    """Actions, control period, and the horizon of an episode."""
    terms: tuple[Term, ...]
    """The elements of the family's observation, in order."""
    dynamics: Mapping[str, Any] | None = None
    """The set of dynamics that tasks are drawn from, in full, where that is what tells tasks apart."""
    delays: Delays = field(default_factory=lambda: NO_DELAYS)
    parameters: tuple[str, ...] = ()
    """Names of the numbers that tell one task from another; empty where they have none."""
    simulated: bool = False
    """Whether ``task`` is one that `sim2real run --robot sim` knows."""


@runtime_checkable
class Described(Protocol):
    """A `TaskFamily` that says more of its interface than how many numbers there are."""

    @property
    def interface(self) -> Interface: ...


def interface_of(family: TaskFamily) -> Interface:
    """The family's own, or numbered elements told by the task, one step a second."""
    return family.interface if isinstance(family, Described) else numbered(family.task)


def numbered(task: FamilySpec, control_dt: float = 1.0, source: Source = "task") -> Interface:
    """Elements called ``observation_0``, ... and ``action_0``, ... or ``choice_0``, ..., of no named unit."""
    choices = task.action_kind == "discrete"
    # One choice is 1 and the others 0, on the scale of [-1, 1], so that a runner's first previous action is none.
    low, high = ((-1.0,) * task.action, (1.0,) * task.action) if choices else (task.action_low, task.action_high)
    name, unit = ("choice", "1") if choices else ("action", "")
    observation = tuple(Element(f"observation_{i}", "") for i in range(task.observation))
    spec = TaskSpec(
        name=task.name,
        horizon=task.horizon,
        control_dt=control_dt,
        observation=observation,
        goal=(),
        action=tuple(Element(f"{name}_{i}", unit) for i in range(task.action)),
        action_scale=tuple((b - a) / 2 for a, b in zip(low, high, strict=True)),
        dynamics_names=(),
        success_threshold=0.0,
        action_offset=tuple((b + a) / 2 for a, b in zip(low, high, strict=True)),
    )
    return Interface(spec, (Term("observation", source, observation),))


@dataclass(frozen=True)
class Trajectories:
    """R rollouts of T steps under each of B tasks. ``action[..., t]`` is taken in ``observation[..., t, :]``."""

    observation: Tensor
    """[B, R, T, D]"""
    action: Tensor
    """[B, R, T, A], or int64 [B, R, T] for choices."""
    reward: Tensor
    """[B, R, T]; 0 in the padding."""
    mask: Tensor
    """[B, R, T] 1 where the step happened, 0 after the episode's end."""
    log_prob: Tensor
    """[B, R, T] of the actions under the policy that took them."""
    success: Tensor | None = None
    """[B, R] 1 where the goal was fulfilled at the end; None where the family knows no success."""

    @property
    def returns(self) -> Tensor:
        """Undiscounted return of every rollout: [B, R]."""
        return self.reward.sum(-1)

    @property
    def steps(self) -> int:
        """Steps that happened."""
        return int(self.mask.sum())

    def first(self, rollouts: int) -> Trajectories:
        """The first ``rollouts`` of each task."""
        fields = (self.observation, self.action, self.reward, self.mask, self.log_prob)
        return Trajectories(*(x[:, :rollouts] for x in fields))

    def split(self, tasks: int) -> list[Trajectories]:
        """Pieces of at most ``tasks`` tasks."""
        fields = (self.observation, self.action, self.reward, self.mask, self.log_prob)
        return [Trajectories(*piece) for piece in zip(*(torch.split(x, tasks) for x in fields), strict=True)]

    def outcome(self) -> dict[str, Tensor]:
        """Metric -> mean over the rollouts of each task, [B]: ``return`` and, where it is known, ``success``."""
        success = {} if self.success is None else {"success": self.success.mean(1)}
        return {"return": self.returns.mean(1), **success}


Outcomes = Mapping[str, Mapping[str, Tensor]]
"""Setting (``step_0``, ``trial``, ``episode_1``, ...) -> metric (``return``) -> one number a task, [B]."""


class MetaPolicy(Protocol):
    """What was learned over many tasks and adapts to one it has not seen."""

    @property
    def headline(self) -> str:
        """The setting whose ``return`` says how good it is."""
        ...

    def meet(
        self, family: TaskFamily, tasks: Tensor, generator: torch.Generator, *, episodes: int | None = None
    ) -> Outcomes:
        """Adapt to each of the tasks ``[B, ...]`` by acting in it, and say how that went.

        ``episodes``: what it may see of a task before it has adapted, once more for every further step; null: as it
        was trained.
        """
        ...
