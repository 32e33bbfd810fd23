"""Robots whose joints are driven by position controllers: what is read of them, what a policy sees, how they move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs.physics import Robot
from sim2real.envs.task import Array, Encoder, Initial, xyz
from sim2real.types import Element

TICK, PLACE = 2 * math.pi / 4096, 0.001
"""Resolution of a joint's encoder (in rad) and of the gripper's place that follows from them (in metres)."""
QUATERNION = 4


@dataclass(frozen=True)
class Layout:
    """One reading of J driven joints, of the gripper and, where there is one, of a free object: a row of numbers."""

    joints: int
    has_object: bool

    @cached_property
    def angle(self) -> slice:
        return slice(0, self.joints)

    @cached_property
    def speed(self) -> slice:
        return slice(self.joints, 2 * self.joints)

    @cached_property
    def grip_pos(self) -> slice:
        return _after(self.speed, 3)

    @cached_property
    def grip_mat(self) -> slice:
        return _after(self.grip_pos, 9)

    @cached_property
    def grip_vel(self) -> slice:
        return _after(self.grip_mat, 3)

    @cached_property
    def object_pos(self) -> slice:
        return _after(self.grip_vel, 3)

    @cached_property
    def object_quat(self) -> slice:
        return _after(self.object_pos, QUATERNION)

    @cached_property
    def object_vel(self) -> slice:
        return _after(self.object_quat, 3)

    @cached_property
    def object_spin(self) -> slice:
        return _after(self.object_vel, 3)

    @cached_property
    def size(self) -> int:
        """Length of a reading."""
        return int((self.object_spin if self.has_object else self.grip_vel).stop)

    @cached_property
    def seen(self) -> NDArray[np.int64]:
        """Columns that a camera supplies."""
        return np.arange(self.grip_vel.stop, self.size)

    @cached_property
    def encoders(self) -> tuple[Encoder, ...]:
        """What the robot measures itself."""
        return Encoder(self.angle, self.speed, TICK), Encoder(self.grip_pos, self.grip_vel, PLACE)

    @cached_property
    def measured_goal(self) -> slice:
        """Elements of an observation that are the place of the object or, without one, of the gripper."""
        grip = slice(3 * self.joints, 3 * self.joints + 3)
        return _after(slice(0, grip.stop + 12), 3) if self.has_object else grip

    def achieved_goal(self, reading: Array) -> Array:
        """``[R, 3]`` place of the object or, without one, of the gripper (in metres) from readings."""
        return reading[:, self.object_pos if self.has_object else self.grip_pos].copy()

    def observation(self, reading: Array) -> Array:
        """Observations ``[R, 3 J + 15]``, 16 more with an object, from readings ``[R, size]``.

        Sine and cosine of the joint angles (some joints turn without end), joint velocities; position, rotation matrix
        and velocity of the gripper; position, position relative to the gripper, quaternion, linear and angular velocity
        of the object.
        """
        angle, grip = reading[:, self.angle], reading[:, self.grip_pos]
        parts = [np.sin(angle), np.cos(angle), reading[:, self.speed], grip]
        parts += [reading[:, self.grip_mat], reading[:, self.grip_vel]]
        if self.has_object:
            place, quaternion = reading[:, self.object_pos], reading[:, self.object_quat]
            quaternion = np.where(quaternion[:, :1] < 0, -quaternion, quaternion)  # q and -q are one rotation
            parts += [place, place - grip, quaternion, reading[:, self.object_vel], reading[:, self.object_spin]]
        return np.concatenate(parts, axis=1)

    def elements(self, joints: Sequence[str], thing: str) -> tuple[Element, ...]:
        """Name, unit, kind and frame of each element of an observation; ``thing`` is what the object is called."""
        axes = [f"{row}{column}" for row in "xyz" for column in "xyz"]
        robot = (
            *(Element(f"{name}_sine", "1", "state/joint/position_sine", "joint") for name in joints),
            *(Element(f"{name}_cosine", "1", "state/joint/position_cosine", "joint") for name in joints),
            *(Element(f"{name}_velocity", "rad/s", "state/joint/velocity", "joint") for name in joints),
            *xyz("gripper_position", "m", "state/body/position", "world"),
            *(Element(f"gripper_rotation_{axis}", "1", "state/body/rotation_matrix", "world") for axis in axes),
            *xyz("gripper_velocity", "m/s", "state/body/linear_velocity", "world"),
        )
        if not self.has_object:
            return robot
        return (
            *robot,
            *xyz(f"{thing}_position", "m", "state/body/position", "world"),
            *xyz(f"{thing}_relative_position", "m", "state/body/position", "gripper position, world axes"),
            *(Element(f"{thing}_quaternion_{axis}", "1", "state/body/quaternion", "world") for axis in "wxyz"),
            *xyz(f"{thing}_velocity", "m/s", "state/body/linear_velocity", "world"),
            *xyz(f"{thing}_angular_velocity", "rad/s", "state/body/angular_velocity", "world"),
        )


def _after(before: slice, length: int) -> slice:
    return slice(before.stop, before.stop + length)


def offsets(joints: Sequence[str]) -> tuple[Element, ...]:
    """The elements of an action."""
    return tuple(
        Element(f"{name}_offset", "rad", "target/joint/displacement", "present joint angle") for name in joints
    )


class JointRobot(Robot):
    """Commands [J]: offset of each joint's target from where the joint is when the command takes effect (in rad)."""

    def __init__(self, start: Initial, layout: Layout, features: frozenset[str], gripper: str) -> None:
        super().__init__(start, features)
        model, data = self.model, self.data
        self._layout = layout
        self._grip = model.site(gripper).id
        self._grip_pos, self._grip_mat = data.site_xpos[self._grip], data.site_xmat[self._grip]
        driven = [model.joint(name) for name in start.names.joints["arm"]]
        # The arm's joints are neighbours in the model, so views do.
        self._joint_pos = data.qpos[int(driven[0].qposadr[0]) :][: layout.joints]
        self._joint_vel = data.qvel[int(driven[0].dofadr[0]) :][: layout.joints]
        limits = np.array([j.range if model.jnt_limited[j.id] else (-np.inf, np.inf) for j in driven])
        self._low, self._high = limits.T
        self._drives = [model.actuator(name).id for name in start.names.actuators.values()]
        self.stiffness = model.actuator_gainprm[self._drives, 0].copy()
        self._ctrl, self._qvel = data.ctrl, data.qvel
        self._object_pose, self._object_vel = data.qpos[-7:], data.qvel[-6:]
        self._linear = np.zeros((3, model.nv))

    def _command(self, command: Array) -> None:
        target = self._joint_pos + command
        if self.play is not None:
            target = self.play(target)
        self._ctrl[self._drives] = np.clip(target, self._low, self._high)

    def _finish(self) -> None:
        self._refresh()

    def _read(self, reading: Array) -> None:
        at = self._layout
        reading[at.angle] = self._joint_pos
        reading[at.speed] = self._joint_vel
        reading[at.grip_pos] = self._grip_pos
        reading[at.grip_mat] = self._grip_mat
        mujoco.mj_jacSite(self.model, self.data, self._linear, None, self._grip)
        reading[at.grip_vel] = self._linear @ self._qvel
        if not at.has_object:
            return
        # A free joint's position and linear velocity are in the world's axes, its angular velocity in the body's.
        reading[at.object_pos.start : at.object_quat.stop] = self._object_pose
        reading[at.object_vel] = self._object_vel[:3]
        mujoco.mju_rotVecQuat(reading[at.object_spin], self._object_vel[3:], self._object_pose[3:])
