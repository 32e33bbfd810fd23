"""Bodies that have to run in a direction or at a speed they aren't told (Finn et al. 2017, section 5.3).

gymnasium's MuJoCo models, as rllab ran them (cbfinn/maml_rl): a control step is one step of the simulation, an episode
is 200 of them. All rollouts of a family share one model; Python threads step their data, as in `sim2real.envs.vector`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import gymnasium.envs.mujoco
import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim2real.envs.threads import Threads
from sim2real.meta_rl_types import FamilySpec, Interface, numbered

Array = NDArray[np.float64]
POSITION_NOISE, VELOCITY_NOISE = 0.01, 0.1
"""Standard deviations of the start around rest, as in rllab."""


class Body(Protocol):
    """What runs. Its methods are called from several threads, each time with the data of one rollout."""

    name: str
    model: mujoco.MjModel
    observation: int
    """Elements of an observation."""
    fastest: float
    """Largest speed asked for (in m/s)."""
    start: Array
    """Positions of the joints at rest."""
    speed_bonus: float
    """Paid every step where a speed is asked for, on top of the negated error."""

    def begin(self, data: mujoco.MjData) -> None:
        """Compute what `observe` and `bonus` read from positions and velocities that were just written."""
        ...

    def advance(self, data: mujoco.MjData) -> None:
        """One step under ``data.ctrl``; afterwards everything read belongs to the state after it."""
        ...

    def observe(self, data: mujoco.MjData, row: Array) -> None:
        """Write an observation into ``row``."""
        ...

    def bonus(self, data: mujoco.MjData) -> float:
        """What is paid beside progress: costs, negated."""
        ...

    def fallen(self, data: mujoco.MjData) -> bool:
        """Whether the episode ends here."""
        ...


def load_model(file: str) -> mujoco.MjModel:
    """One of gymnasium's models, by file name."""
    return mujoco.MjModel.from_xml_path(str(Path(gymnasium.envs.mujoco.__file__).parent / "assets" / file))


@dataclass(frozen=True)
class Locomotion:
    """Direction: forward or backward, +1 or -1. Velocity: drawn evenly from 0 to the body's fastest."""

    goal: Literal["direction", "velocity"] = "direction"
    """What tells one task from another."""
    horizon: int = 200
    """Steps of an episode."""
    threads: int = 2
    """Threads that step the rollouts; results do not depend on it."""

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.threads < 1:
            raise ValueError(f"horizon and threads have to be at least 1, got {self.horizon} and {self.threads}")

    @property
    def body(self) -> Body:
        """What runs."""
        raise NotImplementedError

    @property
    def task(self) -> FamilySpec:
        """Observations of the body, actions in [-1, 1], one for each motor."""
        body, actions = self.body, self.body.model.nu
        return FamilySpec(
            f"{body.name}_{self.goal}",
            body.observation,
            "gaussian",
            actions,
            self.horizon,
            action_low=(-1.0,) * actions,
            action_high=(1.0,) * actions,
        )

    @property
    def interface(self) -> Interface:
        """A body's sensors and motors, numbered."""
        return numbered(self.task, float(self.body.model.opt.timestep), "sensor")

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Directions (+1 or -1) or speeds (in m/s): [n, 1]."""
        draw = torch.rand(n, 1, generator=generator)
        return self.body.fastest * draw if self.goal == "velocity" else torch.where(draw < 0.5, -1.0, 1.0)

    def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> LocomotionBatch:
        """Bodies with these tasks; starts are drawn from ``generator``."""
        return LocomotionBatch(self, tasks, rollouts, generator)


class LocomotionBatch:
    """B x R bodies; see `sim2real.meta_rl_types.TaskBatch`."""

    def __init__(self, family: Locomotion, tasks: Tensor, rollouts: int, generator: torch.Generator) -> None:
        self.family, self.body, self.generator = family, family.body, generator
        self.shape = (len(tasks), rollouts)
        n = len(tasks) * rollouts
        self._goal = tasks.double().numpy().repeat(rollouts, 0)[:, 0]
        self._data = [mujoco.MjData(self.body.model) for _ in range(n)]
        self._threads = Threads(family.threads, n)
        self._observation = np.zeros((n, self.body.observation))
        self._speed, self._bonus = np.zeros(n), np.zeros(n)
        self._ended = np.zeros(n, np.bool_)

    def reset(self) -> Tensor:
        """See `sim2real.meta_rl_types.TaskBatch`; every body near rest."""
        model = self.body.model
        noise = torch.randn(len(self._data), model.nq + model.nv, generator=self.generator, dtype=torch.float64).numpy()
        self._ended[:] = False

        def begin(i: int) -> None:
            data = self._data[i]
            mujoco.mj_resetData(model, data)
            data.qpos[:] = self.body.start + POSITION_NOISE * noise[i, : model.nq]
            data.qvel[:] = VELOCITY_NOISE * noise[i, model.nq :]
            self.body.begin(data)
            self._read(i)

        self._threads.each(begin)
        return self._tensor(self._observation)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `sim2real.meta_rl_types.TaskBatch`; actions are cut to [-1, 1], who has fallen stays where it is."""
        sent = actions.detach().double().clamp(-1, 1).numpy().reshape(len(self._data), -1)
        running = ~self._ended

        def advance(i: int) -> None:
            if running[i]:
                self._data[i].ctrl[:] = sent[i]
                self.body.advance(self._data[i])
                self._read(i)
                self._ended[i] = self.body.fallen(self._data[i])

        self._threads.each(advance)
        reward = (self._progress() + self._bonus) * running
        return self._tensor(self._observation), self._tensor(reward), torch.from_numpy(self._ended.reshape(self.shape))

    def _progress(self) -> Array:
        """Speed in the direction asked for, or what it is off the speed asked for (in m/s, negated): [B R]."""
        if self.family.goal == "direction":
            directed: Array = self._goal * self._speed
            return directed
        error: Array = np.abs(self._speed - self._goal)
        return self.body.speed_bonus - error

    def _read(self, i: int) -> None:
        data = self._data[i]
        mujoco.mj_subtreeVel(self.body.model, data)
        self._speed[i] = data.subtree_linvel[1, 0]  # body 1 is the torso, and all hangs on it
        self._bonus[i] = self.body.bonus(data)
        self.body.observe(data, self._observation[i])

    def _tensor(self, x: Array) -> Tensor:
        return torch.from_numpy(x.reshape(*self.shape, *x.shape[1:])).float()
