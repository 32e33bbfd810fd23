"""Fetch tasks as a family: a task is one draw of the dynamics, kept for as many episodes as somebody acts in it.

Starts, goals and noise differ from episode to episode; masses, frictions, delays and gains do not, and are not shown.
So whoever wants to do better than on average has to find them out. Built on `sim2real.envs.vector`, whose dynamics
sets and episodes these are.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim2real.envs.dynamics import PARAMETERS
from sim2real.envs.dynamics_sets import load_dynamics
from sim2real.envs.vector import FetchVectorEnv
from sim2real.meta_rl_types import FamilySpec, Interface
from sim2real.types import Obs, TaskSpec


@functools.lru_cache(maxsize=4)
def _environments(task: str, dynamics: str, n: int, threads: int) -> FetchVectorEnv:
    """Made once for each size: a model of its own for every environment takes time and about 9 MiB."""
    return FetchVectorEnv(task, n, dynamics, threads=threads, held_out=True)


@dataclass(frozen=True)
class FetchDynamics:
    """Tasks that differ in nothing but their dynamics."""

    robot_task: str = "FetchReach"
    """FetchReach, FetchPush, ...; see ``sim2real list``."""
    dynamics: str = "train"
    """Set of dynamics that tasks are drawn from; no surrogate robot."""
    reward: Literal["dense", "sparse"] = "dense"
    """dense: minus the distance to the goal (in metres); sparse: -1 a step until it is reached."""
    episodes: int = 2
    """Episodes of a trial."""
    threads: int = 2
    """Threads that step the rollouts; results do not depend on it."""

    def __post_init__(self) -> None:
        load_dynamics(self.dynamics).check_trainable()
        if self.episodes < 1 or self.threads < 1:
            raise ValueError(f"episodes and threads have to be at least 1, got {self.episodes} and {self.threads}")

    @property
    def _spec(self) -> TaskSpec:
        return _environments(self.robot_task, self.dynamics, 1, 1).task

    @property
    def task(self) -> FamilySpec:
        """The robot's task as a family: observation and goal side by side, actions in [-1, 1]."""
        spec = self._spec
        sizes = spec.sizes
        limits = (1.0,) * sizes["action"]
        return FamilySpec(
            f"{self.robot_task}_dynamics",
            sizes["observation"] + sizes["goal"],
            "gaussian",
            sizes["action"],
            spec.horizon,
            self.episodes,
            tuple(-x for x in limits),
            limits,
        )

    @property
    def interface(self) -> Interface:
        """That of the robot task."""
        spec, dynamics = self._spec, load_dynamics(self.dynamics)
        names = tuple(parameter.name for parameter in PARAMETERS)
        return Interface(spec, spec.input_terms[:2], dynamics.to_dict(), dynamics.delays(), names, simulated=True)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Dynamics in the order and the units of `PARAMETERS`: [n, parameters], float64."""
        dynamics = load_dynamics(self.dynamics).of(self.robot_task)
        uniform = torch.rand(n, len(PARAMETERS), generator=generator, dtype=torch.float64).numpy()
        return torch.from_numpy(np.stack([dynamics.sample(u) for u in uniform]))

    def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> FetchDynamicsBatch:
        """Robots under these dynamics; what else is random is drawn from ``generator``. Ends the batch of the same
        size before it: they share environments."""
        return FetchDynamicsBatch(self, tasks, rollouts, generator)


class FetchDynamicsBatch:
    """B x R robots; see `sim2real.meta_rl_types.TaskBatch`. Episodes never end early.

    Observations are what a policy of this package reads, in order: observation, then desired goal.
    """

    def __init__(self, family: FetchDynamics, tasks: Tensor, rollouts: int, generator: torch.Generator) -> None:
        self.family, self.shape = family, (len(tasks), rollouts)
        n = len(tasks) * rollouts
        self._env = _environments(family.robot_task, family.dynamics, n, family.threads)
        self._imposed = tasks.numpy().repeat(rollouts, 0)
        self._seed: int | None = int(torch.randint(2**31, (), generator=generator))

    def reset(self) -> Tensor:
        self._env.imposed = self._imposed
        # Seeded once: the episodes of a trial follow each other.
        observation, info = self._env.reset(seed=self._seed)
        self._seed, self._success = None, info["is_success"]
        return self._read(observation)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sent = actions.detach().float().flatten(0, 1).numpy()
        observation, reward, _, _, info = self._env.step(sent)
        self._success = info["is_success"]
        if self.family.reward == "dense":
            reward = -np.linalg.norm(observation["achieved_goal"] - observation["desired_goal"], axis=-1)
        return self._read(observation), self._tensor(reward), torch.zeros(self.shape, dtype=torch.bool)

    def success(self) -> Tensor:
        """Whether the goal is reached now: [B, R]."""
        return torch.from_numpy(np.asarray(self._success, bool).reshape(self.shape))

    def _read(self, observation: Obs) -> Tensor:
        return self._tensor(np.concatenate([observation["observation"], observation["desired_goal"]], -1))

    def _tensor(self, x: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(x.reshape(*self.shape, *x.shape[1:])).float()
