"""Watching a policy's memory and interfering with it, from outside: the policy carries its state in the open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sim2real.types import FloatArray, Obs, Policy, PolicyState

Kind = Literal["reset", "frozen"]
KINDS: tuple[Kind, ...] = ("reset", "frozen")


@dataclass(frozen=True)
class Intervention:
    """What happens to the memory in every episode."""

    kind: Kind
    """``reset``: it forgets everything once, before step `step`. ``frozen``: from then on every step starts from the
    memory of that moment, so that nothing more is remembered; frozen at 0 it is a policy without memory."""
    step: int


class Disturbed:
    """A policy whose memory suffers an `Intervention`."""

    def __init__(self, policy: Policy, intervention: Intervention) -> None:
        self._policy, self._what = policy, intervention

    def initial_state(self, n: int) -> PolicyState:
        state = self._policy.initial_state(n)
        return 0, state, state

    def act(self, obs: Obs, state: PolicyState, *, deterministic: bool) -> tuple[FloatArray, PolicyState]:
        """See `Policy.act`; the state also holds the time and the memory before the intervention."""
        t, inner, held = state
        if t == self._what.step:
            inner = self._policy.initial_state(len(obs["observation"])) if self._what.kind == "reset" else inner
            held = inner
        use = held if self._what.kind == "frozen" and t >= self._what.step else inner
        action, new = self._policy.act(obs, use, deterministic=deterministic)
        return action, (t + 1, new, held)


class Watched:
    """A policy that notes, in every step of one rollout, what it saw, what it remembered and what the dynamics were."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._notes: list[tuple[FloatArray, FloatArray, FloatArray]] = []

    def initial_state(self, n: int) -> PolicyState:
        self._notes = []
        return self._policy.initial_state(n)

    def act(self, obs: Obs, state: PolicyState, *, deterministic: bool) -> tuple[FloatArray, PolicyState]:
        """See `Policy.act`."""
        action, state = self._policy.act(obs, state, deterministic=deterministic)
        self._notes.append((_float32(obs["observation"]), memory_output(state), _float32(obs["dynamics"])))
        return action, state

    def trace(self) -> Trace:
        """What was noted since the rollout began."""
        seen, remembered, mu = (np.stack(parts, 1) for parts in zip(*self._notes, strict=True))
        return Trace(seen, remembered, mu)


@dataclass(frozen=True)
class Trace:
    """What a policy saw and remembered in B episodes of T steps."""

    observation: FloatArray
    """[B, T, D]"""
    memory: FloatArray
    """[B, T, H] output of the memory after it read the observation of that step."""
    mu: FloatArray
    """[B, T, P] dynamics, each in [-1, 1] over the training range."""


def join_traces(parts: list[Trace], episodes: int) -> Trace:
    """The first ``episodes`` of traces that follow each other."""
    observation, memory, mu = (
        np.concatenate([getattr(part, name) for part in parts])[:episodes] for name in ("observation", "memory", "mu")
    )
    return Trace(observation, memory, mu)


def memory_output(state: Any) -> FloatArray:
    """[N, H] of a policy's state: its first tensor [1, N, H] is the output of an LSTM or GRU, or the history itself.

    Raises:
        ValueError: the state is empty; the policy has no memory.
    """
    if len(state) == 0:
        raise ValueError("the policy has no memory: its state is empty")
    return _float32(state[0][0])


def _float32(x: Any) -> FloatArray:
    return np.asarray(x, np.float32)
