"""Exploration for deterministic policies, as a policy around a policy."""

from __future__ import annotations

import numpy as np

from sim2real.types import Demonstrator, FloatArray, Obs, Policy, PolicyState


class DemonstratedPolicy:
    """The hand-written policy of an environment."""

    def __init__(self, env: Demonstrator) -> None:
        self._env = env

    def initial_state(self, n: int) -> PolicyState:
        """There is none."""
        return ()

    def act(self, obs: Obs, state: PolicyState, *, deterministic: bool) -> tuple[FloatArray, PolicyState]:
        """[N, A] in [-1, 1], float32."""
        return self._env.demonstrate(obs), state


class ExploringPolicy:
    """With ``random_probability`` a uniform action, else the policy's plus Gaussian noise (Plappert et al. 2018).

    The memory of a recurrent policy reads the action that was executed: the caller feeds it back as
    ``previous_action``.
    """

    def __init__(
        self, policy: Policy, *, noise: float, random_probability: float, generator: np.random.Generator
    ) -> None:
        self._policy, self._noise, self._random_probability = policy, noise, random_probability
        self._generator = generator

    def initial_state(self, n: int) -> PolicyState:
        return self._policy.initial_state(n)

    def act(self, obs: Obs, state: PolicyState, *, deterministic: bool) -> tuple[FloatArray, PolicyState]:
        """[N, A] in [-1, 1], float32."""
        action, state = self._policy.act(obs, state, deterministic=True)
        if deterministic:
            return action, state
        noisy = np.clip(action + self._noise * self._generator.standard_normal(action.shape), -1.0, 1.0)
        uniform = self._generator.uniform(-1.0, 1.0, action.shape)
        use = self._generator.random((len(action), 1)) < self._random_probability
        return np.where(use, uniform, noisy).astype(np.float32), state
