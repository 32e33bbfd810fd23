"""The model of the puck task: gymnasium-robotics' Fetch with its weld removed and seven position actuators added.

What is changed in the stock model, and why:
  * No weld and no mocap body. Each joint of the arm has a position actuator: torque = kp (target - q) - kd dq/dt.
  * Base, torso, head and fingers are held, by the stock model's own means for its base: a damping so high that nothing
    moves. They are made heavy too (armature), because MuJoCo's contact solver sees inertia and not damping.
  * Gravity is compensated in all of the robot, as the real Fetch's drivers always do. Without that a target given
    relative to where the joint is would sink with the joint.
  * The forearm's roll is like the other joints (stock: a spring of 10 N m/rad to zero, which no real joint has, and
    another damping and armature).
  * Held links do not collide: the stock base touches the floor, and that is all they would ever touch.
Joint names and limits are the robot's own; the stock model has them already.
"""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs.dynamics import ARM, HELD_JOINTS, HELD_LINKS
from sim2real.envs.model_names import joint_name

KP, KD = 4000.0, 150.0
"""Stiffness (in N m/rad) and damping (in N m s/rad) of every position controller. With the stock joint damping of 50
and armature of 1 a joint reaches a small offset within 40 ms."""
DAMPING = 50.0
VELOCITY_LIMITS = np.array([1.256, 1.454, 1.571, 1.521, 1.571, 2.268, 2.268])
"""Of the real joints, in the order of `ARM` (in rad/s; Fetch's URDF)."""
HELD_DAMPING, HELD_ARMATURE = 1e11, 1e6
BASE = (0.567, 0.75, 0.0)
TORSO = 0.38
"""How far the torso is raised (in metres; the joint's range is 0.0386 to 0.3861)."""
TABLE_TOP = 0.75
TABLE_CENTRE, TABLE_HALF_SIZE = (1.3, 0.75), (0.4, 0.45, 0.2)
RADIUS, HALF_HEIGHT = 0.065, 0.025
"""Of the puck (in metres). The paper gives the radius only; 5 cm of height let the fingers meet it at any height of the
table."""
PUCK_MASS, PUCK_FRICTION, PUCK_DAMPING = 0.2, 1.0, 0.05
"""Nominal values (kg, 1, N s/m), inside the paper's ranges; factors are on them."""


@functools.cache
def stock_path() -> Path:
    """gymnasium-robotics' model of FetchSlide, which has a table and a puck."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # the import writes about Adroit environments every time
        import gymnasium_robotics
    return Path(gymnasium_robotics.__file__).parent / "envs" / "assets" / "fetch" / "slide.xml"


def build() -> mujoco.MjSpec:
    """The nominal model, not compiled."""
    spec = mujoco.MjSpec.from_file(str(stock_path()))
    spec.delete(spec.equalities[0])
    spec.delete(spec.body("robot0:mocap"))
    _place_robot(spec)
    _hold(spec)
    _drive(spec)
    _furnish(spec)
    return spec


def _place_robot(spec: mujoco.MjSpec) -> None:
    spec.body("robot0:base_link").pos = BASE
    spec.body("robot0:torso_lift_link").pos[2] += TORSO
    for body in spec.bodies:
        if body.name.startswith("robot0:"):
            body.gravcomp = 1.0


def _hold(spec: mujoco.MjSpec) -> None:
    for name in HELD_JOINTS:
        joint = spec.joint(joint_name(name))
        joint.damping[0], joint.armature = HELD_DAMPING, HELD_ARMATURE
        joint.limited = mujoco.mjtLimited.mjLIMITED_FALSE  # the torso's zero is outside of its own limits
    for name in HELD_LINKS:
        for geom in spec.body(f"robot0:{name}_link").geoms:
            geom.contype = geom.conaffinity = 0


def _drive(spec: mujoco.MjSpec) -> None:
    for name in ARM:
        joint = spec.joint(f"robot0:{name}_joint")
        joint.damping[0], joint.armature, joint.stiffness[0] = DAMPING, 1.0, 0.0
        actuator = spec.add_actuator(name=f"robot0:{name}", target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        actuator.gainprm[0] = KP
        actuator.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        actuator.biasprm[:3] = 0.0, -KP, -KD


def _furnish(spec: mujoco.MjSpec) -> None:
    table, puck = spec.body("table0"), spec.body("object0")
    table.pos = (*TABLE_CENTRE, TABLE_TOP - TABLE_HALF_SIZE[2])
    table.geoms[0].size, table.geoms[0].friction[0] = TABLE_HALF_SIZE, PUCK_FRICTION
    geom = puck.geoms[0]
    geom.size, geom.mass, geom.friction[0] = (RADIUS, HALF_HEIGHT, 0.0), PUCK_MASS, PUCK_FRICTION
    spec.joint("object0:joint").damping[0] = PUCK_DAMPING


def arm_addresses(model: mujoco.MjModel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the arm's seven joints in qpos and in qvel."""
    joints = [model.joint(f"robot0:{name}_joint") for name in ARM]
    return np.array([int(j.qposadr[0]) for j in joints]), np.array([int(j.dofadr[0]) for j in joints])
