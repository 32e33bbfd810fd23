"""Any environment of gymnasium with vector observations, as the vector environment that the evaluator knows."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from typing import Any

import gymnasium
import numpy as np

from sim2real.errors import UserError
from sim2real.foreign_interface import interface_of, values_of
from sim2real.types import FloatArray, State


class ForeignVectorEnv:
    """N copies that step one after the other; see `sim2real.types.GoalVectorEnv`.

    Episode k of a seed is ``env.reset(seed=s)`` with s drawn from both, so it is the same whatever N is, as far as the
    environment repeats itself. An episode that ends early keeps its last observation until the caller resets all.
    Success is ``info["is_success"]``, NaN where the environment does not say it.
    """

    def __init__(self, env_id: str, num_envs: int, seed: int = 0) -> None:
        self.num_envs = num_envs
        self._envs = [make(env_id) for _ in range(num_envs)]
        self.interface = interface_of(env_id, self._envs[0])
        self.task = self.interface.task
        self._scale, self._offset = np.array(self.task.action_scale), np.array(self.task.action_offset)
        self._seed, self._next_episode = seed, 0
        self._seen: list[dict[str, FloatArray]] = []
        self._success = np.full(num_envs, math.nan)
        self._terminated = self._truncated = np.ones(num_envs, np.bool_)

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, FloatArray], dict[str, Any]]:
        """Start the next N episodes; ``seed`` restarts the sequence of episodes at number 0."""
        if seed is not None:
            self._seed, self._next_episode = seed, 0
        self._terminated, self._truncated = np.zeros((2, self.num_envs), np.bool_)
        self._seen = []
        for i, env in enumerate(self._envs):
            episode = np.random.SeedSequence([self._seed, self._next_episode + i])
            obs, info = env.reset(seed=int(episode.generate_state(1)[0] >> 1))  # 31 bits: some take no more
            self._seen.append(values_of(self.interface, obs))
            self._success[i] = info.get("is_success", math.nan)
        self._next_episode += self.num_envs
        return self._observe(), {"dynamics_values": np.zeros((self.num_envs, 0)), "is_success": self._success.copy()}

    def step(self, actions: FloatArray) -> tuple[dict[str, FloatArray], FloatArray, Any, Any, dict[str, Any]]:
        """One control step with ``actions`` [N, A] in [-1, 1]; rewards of episodes that are over are 0."""
        rewards = np.zeros(self.num_envs)
        space = self.interface.action_space
        physical = np.asarray(actions, np.float64) * self._scale + self._offset
        for i in np.flatnonzero(~(self._terminated | self._truncated)):
            # Rounding may lead out of the limits by a hair, which some environments refuse.
            action = np.clip(physical[i].astype(space.dtype).reshape(space.shape), space.low, space.high)
            obs, rewards[i], self._terminated[i], self._truncated[i], info = self._envs[i].step(action)
            self._seen[i] = values_of(self.interface, obs)
            self._success[i] = info.get("is_success", math.nan)
        ended = self._terminated.copy(), self._truncated.copy()
        return self._observe(), rewards, *ended, {"is_success": self._success.copy()}

    def _observe(self) -> dict[str, FloatArray]:
        n, goal = self.num_envs, self.task.sizes["goal"]
        terms = {name: np.stack([seen[name] for seen in self._seen]) for name in self._seen[0]}
        terms.setdefault("observation", np.zeros((n, 0)))
        terms.setdefault("desired_goal", np.zeros((n, goal)))
        terms.setdefault("achieved_goal", np.full((n, goal), math.nan))
        return {**terms, "state": terms["observation"], "dynamics": np.zeros((n, 0))}

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any = None) -> Any:
        """The environment's own, for goal environments."""
        return self._envs[0].unwrapped.compute_reward(achieved_goal, desired_goal, info)

    def state_dict(self) -> State:
        """Where the sequence of episodes stands; taken between episodes."""
        return {"seed": self._seed, "next_episode": self._next_episode}

    def load_state_dict(self, state: State) -> None:
        """Continue a sequence of episodes with the next `reset`."""
        self._seed, self._next_episode = int(state["seed"]), int(state["next_episode"])

    def close(self) -> None:
        for env in self._envs:
            env.close()


def make(env_id: str) -> Any:
    """``gymnasium.make``, gymnasium-robotics' environments included. Raises ``UserError`` where that fails."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # gymnasium-robotics writes about Adroit environments every time
        import gymnasium_robotics

        gymnasium.register_envs(gymnasium_robotics)
        try:
            return gymnasium.make(env_id)
        except TypeError as error:  # such as sim2real/OwnArm-v0, which needs the arm's file
            raise UserError(
                f"can't make {env_id!r} by its id alone ({error}); for an arm, give its YAML file"
            ) from None
        except (gymnasium.error.Error, ImportError) as error:
            raise UserError(
                f"can't make {env_id!r}: {error} (an environment of your own package: PACKAGE:ID)"
            ) from None
