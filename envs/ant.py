"""The ant of `sim2real.envs.locomotion`: 0.02 s a step, as in rllab (gymnasium's is half of that)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import mujoco
import numpy as np

from sim2real.envs.locomotion import Array, Body, Locomotion, load_model

TIMESTEP = 0.02
CONTROL_COST, CONTACT_COST, SURVIVAL = 0.005, 0.0005, 0.05
LOWEST, HIGHEST = 0.2, 1.0
"""Heights of the torso between which an episode goes on (in metres)."""


class FourLegs:
    """Observes positions, velocities, clipped contact forces, and the torso's rotation and the centre of mass."""

    name, fastest, speed_bonus = "ant", 3.0, 1.0

    def __init__(self) -> None:
        self.model = load_model("ant.xml")
        self.model.opt.timestep = TIMESTEP
        self.start: Array = self.model.numeric("init_qpos").data.copy()
        self.observation = self.model.nq + self.model.nv + 6 * self.model.nbody + 12

    def begin(self, data: mujoco.MjData) -> None:
        mujoco.mj_forward(self.model, data)
        mujoco.mj_rnePostConstraint(self.model, data)  # contact forces, which mj_step leaves out

    def advance(self, data: mujoco.MjData) -> None:
        mujoco.mj_step(self.model, data)  # Runge-Kutta, which has no halves
        self.begin(data)

    def observe(self, data: mujoco.MjData, row: Array) -> None:
        np.concatenate(
            [data.qpos, data.qvel, _forces(data).ravel(), data.xmat[1], data.subtree_com[1]], out=row, casting="no"
        )

    def bonus(self, data: mujoco.MjData) -> float:
        costs = CONTROL_COST * np.square(data.ctrl).sum() + CONTACT_COST * np.square(_forces(data)).sum()
        return SURVIVAL - float(costs)

    def fallen(self, data: mujoco.MjData) -> bool:
        return not (np.isfinite(data.qpos).all() and LOWEST <= data.qpos[2] <= HIGHEST)


def _forces(data: mujoco.MjData) -> Array:
    clipped: Array = data.cfrc_ext.clip(-1, 1)
    return clipped


@functools.cache
def _four_legs() -> FourLegs:
    return FourLegs()


@dataclass(frozen=True)
class Ant(Locomotion):
    """Ants; speeds up to 3 m/s."""

    @property
    def body(self) -> Body:
        return _four_legs()
