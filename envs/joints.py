"""The robot of the puck task: seven joints with position controllers, whose targets a command moves."""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs.physics import Robot
from sim2real.envs.puck_model import arm_addresses
from sim2real.envs.task import Array, Encoder, Initial

# One reading of the simulator, a row of numbers.
JOINT_POS, JOINT_VEL = slice(0, 7), slice(7, 14)
GRIP_POS, GRIP_MAT, GRIP_VEL = slice(14, 17), slice(17, 26), slice(26, 29)
OBJECT_POS, OBJECT_QUAT, OBJECT_VEL, OBJECT_SPIN = slice(29, 32), slice(32, 36), slice(36, 39), slice(39, 42)
READING_SIZE = 42
OBJECT: NDArray[np.int64] = np.arange(29, 42)
ENCODERS = (Encoder(JOINT_POS, JOINT_VEL, 2 * math.pi / 4096), Encoder(GRIP_POS, GRIP_VEL, 0.001))


class JointRobot(Robot):
    """Commands [7]: offset of each joint's target from where the joint is when the command takes effect (in rad)."""

    def __init__(self, start: Initial) -> None:
        super().__init__(start, frozenset({"joints", "object"}))
        model, data = self.model, self.data
        self._grip = model.site("robot0:grip").id
        self._grip_pos, self._grip_mat = data.site_xpos[self._grip], data.site_xmat[self._grip]
        positions, speeds = arm_addresses(model)
        # The arm's joints are neighbours in the model, so views do.
        self._joint_pos = data.qpos[positions[0] : positions[-1] + 1]
        self._joint_vel = data.qvel[speeds[0] : speeds[-1] + 1]
        assert len(self._joint_pos) == len(self._joint_vel) == model.nu == 7
        joints = model.actuator_trnid[:, 0]
        limited = model.jnt_limited[joints].astype(bool)
        self._low = np.where(limited, model.jnt_range[joints, 0], -np.inf)
        self._high = np.where(limited, model.jnt_range[joints, 1], np.inf)
        self._ctrl, self._qvel = data.ctrl, data.qvel
        self._object_pose, self._object_vel = data.qpos[-7:], data.qvel[-6:]
        self._linear = np.zeros((3, model.nv))

    def _command(self, command: Array) -> None:
        target = self._joint_pos + command
        if self.play is not None:
            target = self.play(target)
        np.clip(target, self._low, self._high, out=self._ctrl)

    def _finish(self) -> None:
        self._refresh()

    def _read(self, reading: Array) -> None:
        reading[JOINT_POS] = self._joint_pos
        reading[JOINT_VEL] = self._joint_vel
        reading[GRIP_POS] = self._grip_pos
        reading[GRIP_MAT] = self._grip_mat
        mujoco.mj_jacSite(self.model, self.data, self._linear, None, self._grip)
        reading[GRIP_VEL] = self._linear @ self._qvel
        # A free joint's position and linear velocity are in the world's axes, its angular velocity in the body's.
        reading[29:36] = self._object_pose
        reading[OBJECT_VEL] = self._object_vel[:3]
        mujoco.mju_rotVecQuat(reading[OBJECT_SPIN], self._object_vel[3:], self._object_pose[3:])
