"""The robot of gymnasium-robotics: its gripper is welded to a body that a command moves.

The sequence of MuJoCo calls is that of ``MujocoFetchEnv.step`` (but for `Robot._refresh`), so with nominal timing the
trajectory is the same to the last bit.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs.physics import Robot
from sim2real.envs.task import Array, Encoder, Initial

# One reading of the simulator, a row of numbers. All tasks share the layout; without an object its part stays zero.
GRIP_POS, OBJECT_POS, OBJECT_ROT = slice(0, 3), slice(3, 6), slice(6, 15)
FINGER_POS, FINGER_VEL = slice(15, 17), slice(17, 19)
GRIP_VEL, OBJECT_VEL, OBJECT_SPIN = slice(19, 22), slice(22, 25), slice(25, 28)
READING_SIZE = 28
OBJECT: NDArray[np.int64] = np.r_[OBJECT_POS, OBJECT_ROT, OBJECT_VEL, OBJECT_SPIN]
NOTHING: NDArray[np.int64] = np.zeros(0, np.int64)
ENCODERS = (Encoder(GRIP_POS, GRIP_VEL, 0.001), Encoder(FINGER_POS, FINGER_VEL, 0.001))

ROTATION = np.array([1.0, 0.0, 1.0, 0.0])
"""gymnasium-robotics adds this to the mocap quaternion with every action; the sum is not normalised."""


class MocapRobot(Robot):
    """Commands [4]: displacement of the gripper's target (in metres) and of the fingers (in metres)."""

    def __init__(self, start: Initial, features: frozenset[str], *, block_gripper: bool) -> None:
        super().__init__(start, features)
        model, data, has_object = self.model, self.data, "object" in features
        self._block_gripper = block_gripper
        self._grip = model.site("robot0:grip").id
        self._object = model.site("object0").id if has_object else -1
        gripper = model.body("robot0:gripper_link").id
        fingers = [model.joint(f"robot0:{side}_gripper_finger_joint") for side in "rl"]
        qpos, dofs = int(fingers[0].qposadr[0]), int(fingers[0].dofadr[0])
        assert [int(f.qposadr[0]) for f in fingers] == [qpos, qpos + 1]
        self._finger_pos = data.qpos[qpos : qpos + 2]
        self._finger_vel = data.qvel[dofs : dofs + 2]
        self._gripper_pos, self._gripper_quat = data.xpos[gripper], data.xquat[gripper]
        self._mocap_pos, self._mocap_quat = data.mocap_pos[0], data.mocap_quat[0]
        self._grip_pos = data.site_xpos[self._grip]
        if has_object:
            self._site_pos, self._site_mat = data.site_xpos[self._object], data.site_xmat[self._object]
        self._qvel, self._ctrl, self._has_ctrl = data.qvel, data.ctrl, model.nu > 0
        if self._has_ctrl:  # the model lists the fingers' joints right, left and their actuators left, right
            assert [int(j) for j in model.actuator_trnid[:, 0]] == [fingers[1].id, fingers[0].id]
        self._actuated_pos = self._finger_pos[::-1]
        self._linear, self._angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))

    def _command(self, command: Array) -> None:
        """gymnasium-robotics' ``ctrl_set_action`` and ``mocap_set_action``: the target is set relative to the gripper
        as last computed, which is one substep old where the step did not end with ``mj_forward``."""
        if self._has_ctrl:
            np.add(self._actuated_pos, command[3], out=self._ctrl)
        np.add(self._gripper_pos, command[:3], out=self._mocap_pos)
        if self.play is not None:
            self._mocap_pos[:] = self.play(self._mocap_pos)
        np.add(self._gripper_quat, ROTATION, out=self._mocap_quat)

    def _finish(self) -> None:
        if self._block_gripper:
            self._finger_pos[:] = 0.0
            self._refresh()

    def _read(self, reading: Array) -> None:
        linear, qvel = self._linear, self._qvel
        reading[GRIP_POS] = self._grip_pos
        reading[FINGER_POS] = self._finger_pos
        reading[FINGER_VEL] = self._finger_vel
        mujoco.mj_jacSite(self.model, self.data, linear, None, self._grip)
        reading[GRIP_VEL] = linear @ qvel
        if self._object >= 0:
            reading[OBJECT_POS] = self._site_pos
            reading[OBJECT_ROT] = self._site_mat
            mujoco.mj_jacSite(self.model, self.data, linear, self._angular, self._object)
            reading[OBJECT_VEL] = linear @ qvel
            reading[OBJECT_SPIN] = self._angular @ qvel

    def _read_between(self, reading: Array) -> None:
        super()._read_between(reading)
        if self._block_gripper:
            reading[FINGER_POS] = 0.0
