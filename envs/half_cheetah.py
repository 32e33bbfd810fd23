"""The half-cheetah of `sim2real.envs.locomotion`: 0.01 s a step (gymnasium takes five of them for one)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import mujoco
import numpy as np

from sim2real.envs.locomotion import Array, Body, Locomotion, load_model

CONTROL_COST = 0.05


class Cheetah:
    """Observes joint positions but the way travelled, velocities, and the centre of mass. Can't fall."""

    name, observation, fastest, speed_bonus = "half_cheetah", 20, 2.0, 0.0

    def __init__(self) -> None:
        self.model = load_model("half_cheetah.xml")
        self.start: Array = self.model.qpos0.copy()

    def begin(self, data: mujoco.MjData) -> None:
        mujoco.mj_step1(self.model, data)

    def advance(self, data: mujoco.MjData) -> None:
        # The halves of mj_step in this order: what is read belongs to the state after the step, at no further cost.
        mujoco.mj_step2(self.model, data)
        mujoco.mj_step1(self.model, data)

    def observe(self, data: mujoco.MjData, row: Array) -> None:
        row[:8], row[8:17], row[17:] = data.qpos[1:], data.qvel, data.subtree_com[1]

    def bonus(self, data: mujoco.MjData) -> float:
        return -CONTROL_COST * float(np.square(data.ctrl).sum())

    def fallen(self, data: mujoco.MjData) -> bool:
        return False


@functools.cache
def _cheetah() -> Cheetah:
    return Cheetah()


@dataclass(frozen=True)
class HalfCheetah(Locomotion):
    """Half-cheetahs; speeds up to 2 m/s."""

    @property
    def body(self) -> Body:
        return _cheetah()
