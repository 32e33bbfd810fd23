"""Environments that take seconds or prove plumbing; shared by the tests of collection, replay and agents."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim2real.types import Element, FloatArray, State, TaskSpec


def toy_task(
    *, horizon: int, observation: int, goal: int, action: int, dynamics: int, threshold: float = 0.1
) -> TaskSpec:
    """A task of the given sizes with made-up element names."""

    def elements(prefix: str, n: int) -> tuple[Element, ...]:
        return tuple(Element(f"{prefix}_{i}", "m") for i in range(n))

    return TaskSpec(
        name="Toy",
        horizon=horizon,
        control_dt=0.04,
        observation=elements("obs", observation),
        goal=elements("goal", goal),
        action=elements("act", action),
        action_scale=(1.0,) * action,
        dynamics_names=tuple(f"mu_{i}" for i in range(dynamics)),
        success_threshold=threshold,
    )


class PointReach:
    """A point on a line that must stand on the goal at the end; the sign of its motor is hidden from the policy.

    ``x <- x + 0.3 sign a``. With ``hidden_sign`` the sign is drawn for every episode and is the dynamics vector: only
    a policy that remembers what its last action did can reach the goal.
    """

    def __init__(self, num_envs: int, *, hidden_sign: bool, seed: int = 0, horizon: int = 8) -> None:
        self.num_envs, self.hidden_sign = num_envs, hidden_sign
        self.task = toy_task(horizon=horizon, observation=1, goal=1, action=1, dynamics=1, threshold=0.15)
        self._seed, self._episode = seed, 0

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, FloatArray], dict[str, Any]]:
        if seed is not None:
            self._seed, self._episode = seed, 0
        first = self._episode
        self._episode += self.num_envs
        draws = [np.random.default_rng([self._seed, first + i]).uniform(-1, 1, 3) for i in range(self.num_envs)]
        self._x, self._goal, sign = np.split(np.asarray(draws), 3, axis=1)
        self._sign = np.where(sign > 0, 1.0, -1.0) if self.hidden_sign else np.ones_like(sign)
        return self._obs(), {"is_success": self._success(), "dynamics_values": self._sign}

    def step(self, actions: FloatArray) -> tuple[dict[str, FloatArray], FloatArray, Any, Any, dict[str, Any]]:
        self._x = np.clip(self._x + 0.3 * self._sign * np.clip(actions, -1, 1), -1.5, 1.5)
        no = np.zeros(self.num_envs, bool)
        reward = self.compute_reward(self._x, self._goal)
        return self._obs(), reward, no, no, {"is_success": self._success()}

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any = None) -> Any:
        return -1.0 * (((achieved_goal - desired_goal) ** 2).sum(-1) > 0.15**2)

    def state_dict(self) -> State:
        return {"seed": self._seed, "episode": self._episode}

    def load_state_dict(self, state: State) -> None:
        self._seed, self._episode = int(state["seed"]), int(state["episode"])

    def close(self) -> None:
        pass

    def _success(self) -> FloatArray:
        return np.asarray(self.compute_reward(self._x, self._goal) == 0, np.float64)

    def _obs(self) -> dict[str, FloatArray]:
        return {
            "observation": self._x,
            "state": self._x,
            "achieved_goal": self._x,
            "desired_goal": self._goal,
            "dynamics": self._sign,
        }


class Counting:
    """Observation = (episode, step, last action): proves alignment and the reset of memories without any learning."""

    def __init__(self, num_envs: int, *, horizon: int = 5) -> None:
        self.num_envs = num_envs
        self.task = toy_task(horizon=horizon, observation=3, goal=1, action=1, dynamics=1)
        self._episode = -1

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, FloatArray], dict[str, Any]]:
        self._episode += 1
        self._step, self._action = 0, np.zeros((self.num_envs, 1))
        return self._obs(), {
            "is_success": np.zeros(self.num_envs),
            "dynamics_values": np.full((self.num_envs, 1), 7.0),
        }

    def step(self, actions: FloatArray) -> tuple[dict[str, FloatArray], FloatArray, Any, Any, dict[str, Any]]:
        self._step += 1
        self._action = np.asarray(actions, float)
        no = np.zeros(self.num_envs, bool)
        return self._obs(), np.full(self.num_envs, -float(self._step)), no, no, {"is_success": np.zeros(self.num_envs)}

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any = None) -> Any:
        return -1.0 * (((achieved_goal - desired_goal) ** 2).sum(-1) > 0.05**2)

    def state_dict(self) -> State:
        return {"episode": self._episode}

    def load_state_dict(self, state: State) -> None:
        self._episode = int(state["episode"])

    def close(self) -> None:
        pass

    def _obs(self) -> dict[str, FloatArray]:
        n = self.num_envs
        count = np.concatenate([np.full((n, 1), self._episode), np.full((n, 1), self._step), self._action], 1)
        env = np.arange(n, dtype=float)[:, None]
        return {
            "observation": count.astype(float),
            "state": count.astype(float),
            "achieved_goal": env + 0.1 * self._step,
            "desired_goal": env,
            "dynamics": np.full((n, 1), 0.5),
        }


class CountingPolicy:
    """Carries a count and the last action it sent, and asserts that the environment and the rollout agree."""

    def initial_state(self, n: int) -> tuple[int, FloatArray]:
        return 0, np.zeros((n, 1), np.float32)

    def act(self, obs: Any, state: Any, *, deterministic: bool) -> tuple[FloatArray, Any]:
        count, sent = state
        np.testing.assert_array_equal(obs["observation"][:, 1], count)
        np.testing.assert_array_equal(obs["previous_action"], sent)
        np.testing.assert_allclose(obs["observation"][:, 2:], sent)
        action = np.full((len(sent), 1), 0.1 * (count + 1), np.float32)
        return action, (count + 1, action)
