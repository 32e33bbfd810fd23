"""Trials: several episodes in one unknown task, met by a policy that remembers (Duan et al. 2016, RL², section 2.2).

What a policy reads at a step is the observation and what happened one step ago: action, reward, and whether that step
ended its episode; on request also the observation before, so that one input holds a whole transition. The first step of
a trial reads zeros for these; later episodes read the last step of the one before, so a trial is one sequence and
memory has only one beginning.

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

from sim2real.meta_rl_types import FamilySpec, Judged, TaskBatch


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
    success: Tensor | None = None
    """[B, episodes] 1 where the goal was fulfilled at the end; None where the family knows no success."""

    def returns(self, episodes: int) -> Tensor:
        """Undiscounted return of every episode: [B, episodes]."""
        return self.reward.view(len(self.reward), episodes, -1).sum(-1)

    def outcomes(self, episodes: int) -> dict[str, dict[str, Tensor]]:
        """Settings ``trial``, ``episode_1``, ... -> ``return`` and, where it is known, ``success`` -> [B]."""
        found = {"trial": {"return": self.returns(episodes).sum(1)}}
        found |= {f"episode_{k + 1}": {"return": r} for k, r in enumerate(self.returns(episodes).T)}
        if self.success is not None:
            found["trial"]["success"] = self.success.mean(1)
            for k, solved in enumerate(self.success.T):
                found[f"episode_{k + 1}"]["success"] = solved
        return found

    def to(self, device: torch.device) -> Trials:
        """The same on ``device``."""
        success = None if self.success is None else self.success.to(device)
        inputs, action, outputs = self.inputs.to(device), self.action.to(device), self.outputs.to(device)
        return Trials(inputs, action, outputs, self.reward.to(device), self.mask.to(device), success)


class Remembers(Protocol):
    """Acts step by step; its memory goes in and comes out."""

    def initial_state(self, n: int) -> Any:
        """Memory of n trials before their first step."""
        ...

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        """[B, I] and memory -> [B, H] and memory."""
        ...


@dataclass(frozen=True)
class Encoder:
    """Makes one vector of what a policy reads at a step: the observation, then what happened one step ago."""

    task: FamilySpec
    transition: bool
    """Whether the observation before is read, too; it comes last."""

    @property
    def size(self) -> int:
        """Numbers read at a step, I."""
        return self.task.observation * (1 + self.transition) + self.task.action + 2

    def first(self, observation: Tensor) -> Tensor:
        """At the first step of a trial: nothing has happened before. [B, D] -> [B, I]."""
        nothing = observation.new_zeros(len(observation), self.size - self.task.observation)
        return torch.cat([observation, nothing], -1)

    def __call__(self, observation: Tensor, before: Tensor, action: Tensor, reward: Tensor, done: Tensor) -> Tensor:
        """Observation [B, D]; of the step before observation [B, D], action, reward [B], end of episode [B]: [B, I]."""
        chosen = one_hot(action, self.task.action) if self.task.action_kind == "discrete" else action
        parts = [observation, chosen.to(observation.dtype), reward[:, None], done.to(observation.dtype)[:, None]]
        return torch.cat([*parts, before] if self.transition else parts, -1)


@torch.no_grad()
def play(policy: Remembers, env: TaskBatch, encode: Encoder, episodes: int, draw: Callable[[Tensor], Tensor]) -> Trials:
    """A trial of ``episodes`` episodes in each of B tasks, one player in each.

    Args:
        draw: outputs of the policy [B, H] -> actions.
    """
    columns: list[tuple[Tensor, ...]] = []
    solved: list[Tensor] = []
    last: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
    for _ in range(episodes):
        observation = env.reset()[:, 0]
        if last is None:
            state = policy.initial_state(len(observation))
        alive = torch.ones_like(observation[:, 0], dtype=torch.bool)
        for t in range(encode.task.horizon):
            inputs = encode.first(observation) if last is None else encode(observation, *last)
            outputs, state = policy.step(inputs, state)
            action = draw(outputs)
            following, reward, done = env.step(action[:, None])
            columns.append((inputs, action, outputs, reward[:, 0], alive.to(observation.dtype)))
            alive = alive & ~done[:, 0]
            ended = ~alive if t + 1 < encode.task.horizon else torch.ones_like(alive)
            last = observation, action, reward[:, 0], ended
            observation = following[:, 0]
        if isinstance(env, Judged):
            solved.append(env.success()[:, 0].to(observation.dtype))
    inputs, action, outputs, reward, mask = (torch.stack(column, 1) for column in zip(*columns, strict=True))
    return Trials(inputs, action, outputs, reward, mask, torch.stack(solved, 1) if solved else None)
