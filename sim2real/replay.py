"""Whole-episode replay on a device, and hindsight goals as pure functions of tensors.

Episodes are stored padded, ``[C, T+1, D]``, so that no sequence ever crosses an episode's end and no index puzzles
arise. Hindsight relabelling (Andrychowicz et al. 2017, section 3.3): a goal reached later in the same episode replaces
the goal that was asked for, and the reward is computed again with the environment's own function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sim2real.types import Episodes, FloatArray, State, TaskSpec

Strategy = Literal["future", "final", "episode"]
Priority = Literal["uniform", "energy"]
Reward = Callable[[Tensor, Tensor], Tensor]
"""Rewards [...], 0 where the goal is fulfilled and -1 elsewhere, of achieved and desired goals [..., G]."""


class EpisodeBatch:
    """B whole episodes of a replay, read where they lie: nothing is copied until it is asked for.

    Fields, with the time alignment of `Episodes`: ``observation``, ``state`` [T+1, D], ``achieved_goal`` [T+1, G],
    ``desired_goal`` [G], ``previous_action`` [T+1, A] (zeros at t = 0, so ``action[t] = previous_action[t + 1]``),
    ``mask`` [T], ``dynamics`` [P].
    """

    def __init__(self, data: dict[str, Tensor], index: Tensor) -> None:
        self._data, self.index = data, index

    def whole(self, field: str) -> Tensor:
        """Every step: [B, ...]."""
        return self._data[field][self.index]

    def at(self, field: str, t: Tensor) -> Tensor:
        """Steps ``t [B, ...]`` only: [B, ..., width]."""
        rows = self.index.reshape(-1, *[1] * (t.dim() - 1))
        return self._data[field][rows, t]

    def action(self, t: Tensor) -> Tensor:
        """a_t: [B, ..., A]."""
        return self.at("previous_action", t + 1)

    def length(self) -> Tensor:
        """[B] number of steps that happened."""
        return self.whole("mask").sum(1).long()


class EpisodeReplay:
    """Ring buffer of whole episodes on ``device``."""

    def __init__(self, capacity: int, task: TaskSpec, *, priority: Priority, device: torch.device) -> None:
        self.capacity, self.device, self._priority = capacity, device, priority
        size, steps = task.sizes, task.horizon
        shapes = {
            "observation": (steps + 1, size["observation"]),
            "state": (steps + 1, size["observation"]),
            "achieved_goal": (steps + 1, size["goal"]),
            "desired_goal": (size["goal"],),
            "previous_action": (steps + 1, size["action"]),
            "mask": (steps,),
            "dynamics": (size["dynamics"],),
        }
        self._data = {name: torch.zeros((capacity, *shape), device=device) for name, shape in shapes.items()}
        self._weight = torch.zeros((capacity, steps), device=device)
        self._next = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, episodes: Episodes) -> None:
        """Store N episodes over the oldest ones.

        Raises:
            ValueError: N is larger than the capacity.
        """
        n = len(episodes)
        if n > self.capacity:
            raise ValueError(f"{n} episodes do not fit a replay of {self.capacity}: raise capacity or lower num_envs")
        index = ((self._next + torch.arange(n)) % self.capacity).to(self.device)
        for name, data in self._data.items():
            value = _previous(episodes.action) if name == "previous_action" else getattr(episodes, name)
            data[index] = torch.as_tensor(np.asarray(value, np.float32)).to(self.device)
        self._weight[index] = self._weights(self._data["achieved_goal"][index]) * self._data["mask"][index]
        self._next = (self._next + n) % self.capacity
        self._size = min(self.capacity, self._size + n)

    def _weights(self, achieved_goal: Tensor) -> Tensor:
        return energy(achieved_goal) if self._priority == "energy" else torch.ones_like(achieved_goal[:, 1:, 0])

    def sample(self, batch: int, generator: torch.Generator) -> EpisodeBatch:
        """B episodes drawn with replacement in proportion to the priority of their steps together."""
        weight = self._weight[: self._size].sum(1)
        return EpisodeBatch(self._data, torch.multinomial(weight, batch, replacement=True, generator=generator))

    def sample_steps(self, batch: EpisodeBatch, steps: int, generator: torch.Generator) -> Tensor:
        """Times of K transitions of every episode, drawn in proportion to their priority: [B, K]."""
        return torch.multinomial(self._weight[batch.index], steps, replacement=True, generator=generator)

    def state_dict(self) -> State:
        """The filled part of the buffer and the place of the next write."""
        filled = {name: data[: self._size] for name, data in self._data.items()}
        return {"data": filled, "weight": self._weight[: self._size], "next": self._next, "size": self._size}

    def load_state_dict(self, state: State) -> None:
        self._next, self._size = int(state["next"]), int(state["size"])
        for name, data in self._data.items():
            data[: self._size] = state["data"][name].to(self.device)
        self._weight[: self._size] = state["weight"].to(self.device)


def _previous(action: FloatArray) -> FloatArray:
    """a_{t-1} for every observation: [N, T, A] -> [N, T+1, A], zeros at t = 0."""
    return np.concatenate([np.zeros_like(action[:, :1]), action], 1)


def energy(achieved_goal: Tensor, *, lookahead: int = 10, floor: float = 0.002, ceiling: float = 0.15) -> Tensor:
    """Priority of transitions: how far the achieved goal is displaced over the next steps (in metres), clipped.

    In the spirit of energy-based prioritisation (Zhao and Tresp 2018), for transitions instead of episodes: most early
    episodes never touch the object, most steps of the others come after it was last touched, and hindsight makes the
    goals of both trivial. The floor keeps every transition in play; the ceiling keeps an object that falls off the
    table from dominating.

    Args:
        achieved_goal: [B, T+1, G]
        lookahead: steps.

    Returns:
        [B, T]
    """
    steps = achieved_goal.shape[1] - 1
    later = (torch.arange(steps, device=achieved_goal.device) + lookahead).clamp(max=steps)
    displacement: Tensor = torch.linalg.vector_norm(achieved_goal[:, later] - achieved_goal[:, :-1], dim=-1)
    return floor + displacement.clamp(max=ceiling)


def hindsight_index(
    t: Tensor, length: Tensor, *, strategy: Strategy, num_goals: int, generator: torch.Generator
) -> Tensor:
    """Index into ``achieved_goal[T+1]`` of the goal that hindsight gives to the transition t -> t+1.

    ``future`` is uniform on t+1..L, ``episode`` on 0..L, ``final`` is L, the episode's length in steps.

    Args:
        t: [B, K] time of the transition.
        length: [B] number of steps that happened.

    Returns:
        [B, K, num_goals]
    """
    last = length[:, None, None].expand(*t.shape, num_goals)
    if strategy == "final":
        return last
    first = t[..., None] + 1 if strategy == "future" else torch.zeros_like(t)[..., None]
    # Padding steps (t >= L) are masked by the loss; keep their index legal.
    first = torch.minimum(first, last)
    u = torch.rand(last.shape, device=t.device, generator=generator)
    return torch.minimum(first + (u * (last - first + 1)).long(), last)


def relabel(
    batch: EpisodeBatch,
    t: Tensor,
    *,
    strategy: Strategy,
    per_step: bool,
    probability: float,
    num_goals: int,
    keep_fulfilled: float,
    reward: Reward,
    generator: torch.Generator,
) -> Tensor:
    """Goals for the transitions at ``t``: hindsight with ``probability``, else the goal that was asked for.

    With ``per_step`` every transition draws its own goals (Plappert et al. 2018); otherwise one draw serves the whole
    episode, as in Peng et al. 2017 (algorithm 1), seen from its first step.

    Of hindsight goals that are fulfilled before the transition already, only the share ``keep_fulfilled`` is used. An
    object that nobody touches makes them all so: their value is 0 wherever the arm goes, and leaving the object alone
    looks as good as bringing it to its goal.

    Args:
        t: [B, K] times of the transitions.

    Returns:
        [B, K, num_goals, G]
    """
    when = t if per_step else torch.zeros_like(t[:, :1])
    index = hindsight_index(when, batch.length(), strategy=strategy, num_goals=num_goals, generator=generator)
    hindsight = batch.at("achieved_goal", index)
    original = batch.whole("desired_goal")[:, None, None].expand_as(hindsight)
    use = torch.rand(index.shape, device=t.device, generator=generator) < probability
    if keep_fulfilled < 1.0:
        present = batch.at("achieved_goal", when)[:, :, None].expand_as(hindsight)
        kept = torch.rand(index.shape, device=t.device, generator=generator) < keep_fulfilled
        use &= kept | (reward(present, hindsight) < 0)
    goals = torch.where(use[..., None], hindsight, original)
    return goals.expand(*t.shape, *goals.shape[2:])


def relabelled_reward(batch: EpisodeBatch, t: Tensor, goals: Tensor, reward: Reward) -> Tensor:
    """Reward of the transitions t -> t+1 under ``goals``: the environment's own function of what t+1 achieved.

    Args:
        t: [B, K]
        goals: [B, K, n, G]

    Returns:
        [B, K, n]
    """
    achieved = batch.at("achieved_goal", t + 1)
    return reward(achieved[:, :, None].expand_as(goals), goals).to(goals.dtype)


def relabelled_return(
    batch: EpisodeBatch, t: Tensor, goals: Tensor, reward: Reward, *, steps: int, gamma: float
) -> tuple[Tensor, Tensor]:
    """Discounted rewards of ``steps`` transitions from ``t`` on, fewer where the episode ends, and when they end.

    Args:
        t: [B, K]
        goals: [B, K, n, G]

    Returns:
        [B, K, n] and the times of the observations after the last of these transitions, [B, K]
    """
    length = batch.length()[:, None]
    end = torch.maximum(torch.minimum(t + steps, length), t + 1)
    total = relabelled_reward(batch, t, goals, reward)
    for k in range(1, steps):
        happened = (t + k < end)[..., None]
        total = total + gamma**k * happened * relabelled_reward(batch, torch.minimum(t + k, end - 1), goals, reward)
    return total, end
