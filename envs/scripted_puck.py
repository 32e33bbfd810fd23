"""A hand-written policy for the puck task: walk the gripper behind the puck, push along the line to the goal.

Where the gripper should go becomes offsets of the joints through the arm's Jacobian in a model of its own (damped least
squares, Buss 2004), with the gripper kept pointing down. It knows nothing of the dynamics; what it corrects, it
corrects by looking.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs import puck_model
from sim2real.envs.puck import MAX_OFFSET

Array = NDArray[np.float64]
ANGLES = slice(0, 14)
GRIP = slice(21, 24)
BEHIND = puck_model.RADIUS + 0.035
"""Distance of the gripper from the puck's centre when it comes down behind it (in metres)."""
LOW, HIGH = 0.03, 0.105
"""Height of the gripper above the table when pushing and when travelling (in metres)."""
GAIN = 6.0
"""Offset asked for, as a multiple of the displacement that is wanted: the joints follow only in part within a step."""
DOWN = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
ROTATION_WEIGHT, DAMPING = 0.05, 0.02


class ScriptedPusher:
    """Actions for N environments; nothing is remembered between steps."""

    def __init__(self) -> None:
        self._model = puck_model.build().compile()
        self._data = mujoco.MjData(self._model)
        self._places, self._speeds = puck_model.arm_addresses(self._model)
        self._grip = self._model.site("robot0:grip").id
        self._jacobian = np.zeros((6, self._model.nv))

    def __call__(self, obs: Mapping[str, NDArray[Any]]) -> Array:
        """[N, 7] in [-1, 1]."""
        observation = obs["observation"]
        target = _target(observation[:, GRIP], obs["achieved_goal"], obs["desired_goal"])
        angles = np.arctan2(observation[:, :7], observation[:, 7:14])
        offsets = [self._offset(q, t - g) for q, t, g in zip(angles, target, observation[:, GRIP], strict=True)]
        return np.asarray(np.clip(np.array(offsets) / MAX_OFFSET, -1, 1))

    def _offset(self, angles: Array, displacement: Array) -> Array:
        """Joint offsets [7] (in rad) that move the gripper by ``displacement`` [3] (in metres) and turn it down."""
        data, jacobian = self._data, self._jacobian
        data.qpos[self._places] = angles
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_comPos(self._model, data)
        mujoco.mj_jacSite(self._model, data, jacobian[:3], jacobian[3:], self._grip)
        error = DOWN @ data.site_xmat[self._grip].reshape(3, 3).T
        turn = np.array([error[2, 1] - error[1, 2], error[0, 2] - error[2, 0], error[1, 0] - error[0, 1]]) / 2
        wanted = np.concatenate([np.clip(displacement, -0.03, 0.03), ROTATION_WEIGHT * np.clip(turn, -0.1, 0.1)])
        arm = jacobian[:, self._speeds] * np.array([1, 1, 1, *[ROTATION_WEIGHT] * 3])[:, None]
        step: Array = arm.T @ np.linalg.solve(arm @ arm.T + DAMPING**2 * np.eye(6), wanted)
        step *= GAIN
        return step / max(1.0, float(np.max(np.abs(step) / MAX_OFFSET)))  # all joints slower, not one: keeps the path


def _target(grip: Array, puck: Array, goal: Array) -> Array:
    """Where the gripper should go [N, 3]: up and over behind the puck, down, forward; still once the puck is there."""
    way = (goal - puck)[:, :2]
    rest = np.linalg.norm(way, axis=1, keepdims=True)
    direction = way / np.maximum(rest, 1e-6)
    offset = (grip - puck)[:, :2]
    along = np.sum(offset * direction, axis=1, keepdims=True)
    sideways = offset - along * direction
    aside = np.linalg.norm(sideways, axis=1, keepdims=True)
    behind = puck[:, :2] - BEHIND * direction
    table = puck[:, 2:] - puck_model.HALF_HEIGHT
    low, high = table + LOW, table + HIGH
    lined_up = (grip[:, 2:] < table + 0.05) & (along < -0.05) & (aside < 0.03)
    over = np.linalg.norm(grip[:, :2] - behind, axis=1, keepdims=True) < 0.03
    clear = over | (grip[:, 2:] > table + 0.085)
    push = np.hstack([grip[:, :2] + np.minimum(rest, 0.04) * direction - sideways, low])
    travel = np.hstack([np.where(clear, behind, grip[:, :2]), np.where(over, low, high)])
    return np.where(rest < 0.03, grip, np.where(lined_up, push, travel))
