"""Half-cheetah that has to run in a direction or at a speed it isn't told (Finn et al. 2017, section 5.3).

gymnasium's MuJoCo model, as rllab ran it (cbfinn/maml_rl): a control step is one step of the simulation (0.01 s;
gymnasium takes five), an episode is 200 of them. All rollouts share one model; Python threads step their data, as in
`sim2real.envs.vector`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gymnasium.envs.mujoco
import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim2real.envs.threads import Threads
from sim2real.meta_rl_types import FamilySpec

POSITION_NOISE, VELOCITY_NOISE = 0.01, 0.1
"""Standard deviations of the start around rest, as in rllab."""
CONTROL_COST = 0.05
FASTEST = 2.0
"""Largest speed asked for (in m/s)."""


@functools.cache
def cheetah_model() -> mujoco.MjModel:
    """gymnasium's model of the half-cheetah."""
    return mujoco.MjModel.from_xml_path(str(Path(gymnasium.envs.mujoco.__file__).parent / "assets/half_cheetah.xml"))


@dataclass(frozen=True)
class HalfCheetah:
    """Direction: forward or backward, +1 or -1. Velocity: drawn from [0, 2] m/s."""

    goal: Literal["direction", "velocity"] = "direction"
    """What tells one task from another."""
    horizon: int = 200
    """Steps of an episode; 2 s."""
    threads: int = 2
    """Threads that step the rollouts; results do not depend on it."""

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.threads < 1:
            raise ValueError(f"horizon and threads have to be at least 1, got {self.horizon} and {self.threads}")

    @property
    def task(self) -> FamilySpec:
        name = f"half_cheetah_{self.goal}"
        return FamilySpec(name, 20, "gaussian", 6, self.horizon, action_low=(-1.0,) * 6, action_high=(1.0,) * 6)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Directions (+1 or -1) or speeds (in m/s): [n, 1]."""
        draw = torch.rand(n, 1, generator=generator)
        return FASTEST * draw if self.goal == "velocity" else torch.where(draw < 0.5, -1.0, 1.0)

    def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> HalfCheetahBatch:
        """Cheetahs with these tasks; starts are drawn from ``generator``."""
        return HalfCheetahBatch(self, tasks, rollouts, generator)


class HalfCheetahBatch:
    """B x R cheetahs; see `sim2real.meta_rl_types.TaskBatch`. Episodes never end early."""

    def __init__(self, family: HalfCheetah, tasks: Tensor, rollouts: int, generator: torch.Generator) -> None:
        self.family, self.generator = family, generator
        self.shape = (len(tasks), rollouts)
        self._goal = tasks.double().numpy().repeat(rollouts, 0)[:, 0]
        self._model = cheetah_model()
        self._data = [mujoco.MjData(self._model) for _ in range(len(self._goal))]
        self._torso = self._model.body("torso").id
        self._threads = Threads(family.threads, len(self._data))
        self._observation = np.zeros((len(self._data), family.task.observation))
        self._speed = np.zeros(len(self._data))

    def reset(self) -> Tensor:
        m, n = self._model, len(self._data)
        start = torch.randn(n, m.nq + m.nv, generator=self.generator, dtype=torch.float64).numpy()

        def begin(i: int) -> None:
            data = self._data[i]
            mujoco.mj_resetData(m, data)
            data.qpos += POSITION_NOISE * start[i, : m.nq]
            data.qvel += VELOCITY_NOISE * start[i, m.nq :]
            mujoco.mj_step1(m, data)
            self._read(i)

        self._threads.each(begin)
        return self._tensor(self._observation)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        sent = actions.detach().double().clamp(-1, 1).numpy().reshape(len(self._data), -1)

        def advance(i: int) -> None:
            # Split in this order, so that the state read is that after the step.
            data = self._data[i]
            data.ctrl[:] = sent[i]
            mujoco.mj_step2(self._model, data)
            mujoco.mj_step1(self._model, data)
            self._read(i)

        self._threads.each(advance)
        reward = self._progress() - CONTROL_COST * np.square(sent).sum(-1)
        return self._tensor(self._observation), self._tensor(reward), torch.zeros(self.shape, dtype=torch.bool)

    def _progress(self) -> NDArray[np.float64]:
        """Speed in the direction asked for, or what it is off the speed asked for (in m/s, negated): [B R]."""
        directed = self.family.goal == "direction"
        progress: NDArray[np.float64] = self._goal * self._speed if directed else -np.abs(self._speed - self._goal)
        return progress

    def _read(self, i: int) -> None:
        data, torso = self._data[i], self._torso
        mujoco.mj_subtreeVel(self._model, data)
        self._speed[i] = data.subtree_linvel[torso, 0]
        row = self._observation[i]
        row[:8], row[8:17], row[17:] = data.qpos[1:], data.qvel, data.subtree_com[torso]

    def _tensor(self, x: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(x.reshape(*self.shape, *x.shape[1:])).float()
