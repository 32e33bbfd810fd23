"""Trials: several episodes in one unknown task, met by a policy that remembers (Duan et al. 2016, RL², section 2.2).

What a policy reads at a step is the observation and what happened one step ago: action, reward, and whether that step
ended its episode. The first step of a trial reads zeros for these; later episodes read the last step of the one before,
so a trial is one sequence and memory has only one beginning.

An episode that ends before its horizon stays where it is until then, without reward: an absorbing state. So all trials
are equally long; `mask` says which steps were decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from sim2real.meta_rl_types import FamilySpec, TaskBatch


@dataclass(frozen=True)
class Trials:
    """B trials of L = episodes * horizon steps."""

    inputs: Tensor
    """[B, L, I] what the policy read."""
    action: Tensor
    """[B, L, A], or int64 [B, L] for choices."""
    outputs: Tensor
    """[B, L, H] what described the distribution that the action was drawn from."""
    reward: Tensor
    """[B, L]"""
    mask: Tensor
    """[B, L] 1 where the step happened, 0 after the end of an episode."""

    def returns(self, episodes: int) -> Tensor:
        """Undiscounted return of every episode: [B, episodes]."""
        return self.reward.view(len(self.reward), episodes, -1).sum(-1)


class Remembers(Protocol):
    """Acts step by step; its memory goes in and comes out."""

    def initial_state(self, n: int) -> Any:
        """Memory of n trials before their first step."""
        ...

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """[B, I] and memory -> [B, H] and memory."""
        ...


def input_size(task: FamilySpec) -> int:
    """Numbers that a policy reads at a step, I."""
    return task.observation + task.action + 2


def encode(task: FamilySpec, observation: Tensor, action: Tensor, reward: Tensor, done: Tensor) -> Tensor:
    """Observation [B, D], and action, reward [B] and end of episode [B] of the step before: [B, I]."""
    embedded = one_hot(action, task.action).to(observation.dtype) if task.action_kind == "discrete" else action
    return torch.cat([observation, embedded, reward[:, None], done.to(observation.dtype)[:, None]], -1)


def first_input(task: FamilySpec, observation: Tensor) -> Tensor:
    """What is read at the first step of a trial: nothing has happened before. [B, D] -> [B, I]."""
    return torch.cat([observation, observation.new_zeros(len(observation), task.action + 2)], -1)


@torch.no_grad()
def play(
    policy: Remembers, env: TaskBatch, task: FamilySpec, episodes: int, draw: Callable[[Tensor], Tensor]
) -> Trials:
    """A trial of ``episodes`` episodes in each of B tasks, one player in each.

    Args:
        draw: outputs of the policy [B, H] -> actions.
    """
    columns: list[tuple[Tensor, ...]] = []
    last: tuple[Tensor, Tensor, Tensor] | None = None
    for _ in range(episodes):
        observation = env.reset()[:, 0]
        if last is None:
            state = policy.initial_state(len(observation))
        alive = torch.ones_like(observation[:, 0], dtype=torch.bool)
        for t in range(task.horizon):
            inputs = first_input(task, observation) if last is None else encode(task, observation, *last)
            outputs, state = policy.step(inputs, state)
            action = draw(outputs)
            following, reward, done = env.step(action[:, None])
            columns.append((inputs, action, outputs, reward[:, 0], alive.to(observation.dtype)))
            alive = alive & ~done[:, 0]
            ended = ~alive if t + 1 < task.horizon else torch.ones_like(alive)
            last = action, reward[:, 0], ended
            observation = following[:, 0]
    return Trials(*(torch.stack(column, 1) for column in zip(*columns, strict=True)))
