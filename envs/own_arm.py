"""A task for an arm of one's own: any arm that MuJoCo reads (MJCF, URDF), described by a YAML file.

The arm reaches goals with its gripper or, where the file describes a puck, pushes it to goals. Its joints are driven as
in `sim2real.envs.puck`: an action is an offset from the present joint angles, as large as the velocity limit allows in
a control period. Dynamics are randomised as Fetch's are: link k, joint k and its controller have a mass, a damping and
a gain of their own (``link_mass_1``, ``joint_damping_1``, ``controller_gain_1``, ...).

The name of such a task is the path of its file: ``examples/own_arm/reach.yaml``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.config import build
from sim2real.envs import own_arm_model as model_of
from sim2real.envs.joints import JointRobot, Layout, offsets
from sim2real.envs.own_arm_model import Controller, Puck, Region
from sim2real.envs.task import Array, Encoder, Initial, xyz
from sim2real.errors import UserError, at_least
from sim2real.overlays import read_yaml
from sim2real.types import TaskSpec

NEAR = (0.005, 0.03)
"""Gap between the puck's rim and the gripper's middle in an exploring start (in metres)."""
CLEARANCE = 0.05
"""Least gap between them in any other start (in metres)."""
INSIDE = 0.005
"""How far two bodies may be inside each other at the start (in metres)."""


@dataclass(frozen=True)
class ArmConfig:
    """The YAML file of an arm. Names are those of the model; lists have one entry a joint, in the order of `joints`."""

    model: str
    """MJCF or URDF; a path that counts from the file."""
    joints: tuple[str, ...]
    """Hinges to drive, from the base to the gripper."""
    gripper: str
    """Site, or body whose origin is meant."""
    home: tuple[float, ...]
    """Angles at the start of an episode (in rad)."""
    velocity_limits: tuple[float, ...]
    """Of the real joints (in rad/s)."""
    region: Region
    """Where goals are."""
    controller: Controller | None = None
    """Position controllers in place of the model's actuators; null: the model has position actuators."""
    puck: Puck | None = None
    """What is to be pushed; null: the gripper itself has to reach the goal."""
    fingers: tuple[str, ...] = ()
    """Bodies that touch the puck, for friction; none: the gripper's."""
    threshold: float = 0.05
    """Success when nearer than this (in metres)."""
    horizon: int = 50
    """Control steps of an episode."""
    control_hz: float = 25.0
    """Control steps in a second."""
    gravity_compensation: bool = True
    """Whether the drivers hold the arm's weight, as those of most arms do."""
    camera_distance: float = 1.5
    """Of pictures, from the region (in metres)."""

    def __post_init__(self) -> None:
        at_least(self, 1, "horizon")
        for name in ("home", "velocity_limits"):
            if len(getattr(self, name)) != len(self.joints):
                raise ValueError(
                    f"{name} needs {len(self.joints)} numbers, one a joint, got {len(getattr(self, name))}"
                )
        if min(self.threshold, self.control_hz, self.camera_distance, *self.velocity_limits) <= 0:
            raise ValueError("threshold, control_hz, camera_distance and velocity_limits have to be above 0")
        if self.puck and np.hypot(*self.region.half[:2]) <= self.puck.radius + CLEARANCE:
            raise ValueError("region: too small for the puck to start beside the gripper")


@dataclass(frozen=True)
class OwnArm:
    """See `sim2real.envs.task.Task` for what the properties and methods give."""

    name: str
    """Path of the arm's file."""
    arm: ArmConfig

    @cached_property
    def layout(self) -> Layout:
        """Of a reading."""
        return Layout(len(self.arm.joints), has_object=self.arm.puck is not None)

    @property
    def features(self) -> frozenset[str]:
        joints = {f"joint_{k}" for k in range(1, len(self.arm.joints) + 1)}
        return frozenset(joints | ({"object", "table"} if self.arm.puck else set()))

    @property
    def horizon(self) -> int:
        return self.arm.horizon

    @property
    def threshold(self) -> float:
        return self.arm.threshold

    @property
    def gained(self) -> int:
        return len(self.arm.joints)

    @property
    def reading_size(self) -> int:
        return self.layout.size

    @property
    def measured_goal(self) -> slice:
        return self.layout.measured_goal

    @property
    def seen(self) -> NDArray[np.int64]:
        return self.layout.seen

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        return self.layout.encoders

    @property
    def control_dt(self) -> float:
        return 1.0 / self.arm.control_hz

    @cached_property
    def _built(self) -> tuple[Initial, str]:
        """What episodes start from, and the name of the gripper's site."""
        arm = self.arm
        spec = model_of.load(Path(self.name).parent / arm.model)
        actuators = model_of.drive(spec, model_of.driven(spec, arm.joints), arm.controller)
        site, body = model_of.gripper_site(spec, arm.gripper)
        for part in spec.bodies:
            part.gravcomp = float(arm.gravity_compensation)
        model_of.furnish(spec, arm.region, arm.puck)
        model = spec.compile()
        self._check_clock(model)
        names = model_of.model_names(model, arm.joints, actuators, body, arm.fingers)
        data = mujoco.MjData(model)
        for name, angle in zip(arm.joints, arm.home, strict=True):
            _check_reach(model.joint(name), angle)
            data.joint(name).qpos[0] = angle
        for actuator, angle in zip(actuators, arm.home, strict=True):
            data.actuator(actuator).ctrl[0] = angle
        mujoco.mj_forward(model, data)
        _check_clear(model, data)
        model_of.check_region(model, data, arm.joints[0], site, arm.region)
        height = arm.region.centre[2] + arm.puck.half_height if arm.puck else 0.0
        start = Initial(
            model,
            0.0,
            data.qpos.copy(),
            data.qvel.copy(),
            data.site(site).xpos.copy(),
            height,
            names,
            arm.region.centre,
            arm.camera_distance,
        )
        return start, site

    def _check_clock(self, model: mujoco.MjModel) -> None:
        steps = self.control_dt / model.opt.timestep
        if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
            raise UserError(
                f"a control period of {self.control_dt:g} s is no whole number of the model's steps of "
                f"{model.opt.timestep:g} s; change control_hz, or the model's timestep"
            )

    def initial(self, *, near_starts: bool = False) -> Initial:
        return self._built[0]

    def robot(self, start: Initial) -> JointRobot:
        return JointRobot(start, self.layout, self.features, self._built[1])

    def _place(self, rng: np.random.Generator) -> Array:
        """Anywhere in the region [3]."""
        half = np.array(self.arm.region.half)
        return np.asarray(self.arm.region.centre + rng.uniform(-half, half))

    def sample_start(self, start: Initial, rng: np.random.Generator) -> Array:
        """Anywhere in the region where the gripper is not."""
        assert self.arm.puck is not None
        while True:
            place: Array = self._place(rng)[:2]
            if np.linalg.norm(place - start.gripper[:2]) >= self.arm.puck.radius + CLEARANCE:
                return place

    def sample_near_start(self, start: Initial, rng: np.random.Generator) -> Array:
        """Beside the gripper."""
        assert self.arm.puck is not None
        angle, radius = rng.uniform(-np.pi, np.pi), self.arm.puck.radius + rng.uniform(*NEAR)
        return start.gripper[:2] + radius * np.array([np.cos(angle), np.sin(angle)])

    def sample_goal(self, start: Initial, rng: np.random.Generator, table_height: float = 0.0) -> Array:
        """Anywhere in the region; for a puck, its middle as it lies on the table."""
        place = self._place(rng)
        if self.arm.puck:
            place[2] = start.object_height + table_height
        return place

    def observation(self, reading: Array) -> Array:
        return self.layout.observation(reading)

    def achieved_goal(self, reading: Array) -> Array:
        return self.layout.achieved_goal(reading)

    def spec(self, dynamics_names: tuple[str, ...]) -> TaskSpec:
        return TaskSpec(
            name=self.name,
            horizon=self.horizon,
            control_dt=self.control_dt,
            observation=self.layout.elements(self.arm.joints, "puck"),
            goal=tuple(xyz("goal_position", "m", "command/body/position", "world")),
            action=offsets(self.arm.joints),
            action_scale=tuple(limit * self.control_dt for limit in self.arm.velocity_limits),
            dynamics_names=dynamics_names,
            success_threshold=self.threshold,
        )


def _check_reach(joint: Any, angle: float) -> None:
    low, high = joint.range
    if low < high and not low <= angle <= high:
        raise UserError(
            f"home: {joint.name} at {angle:g} rad is outside of the joint's range, {low:.4g} to {high:.4g} rad (ranges "
            'are in degrees unless the model says <compiler angle="radian"/>)'
        )


def _check_clear(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    for contact in data.contact:
        pair = [model.body(int(model.geom_bodyid[geom])).name for geom in contact.geom]
        if contact.dist < -INSIDE and "object0" not in pair:  # the puck is put elsewhere
            raise UserError(
                f"home: {pair[0]} and {pair[1]} are {-1000 * contact.dist:.0f} mm inside each other and would stick; "
                "change home, the region, or the model's collision shapes"
            )


@functools.cache
def load_arm(path: str) -> OwnArm:
    """The task of an arm's YAML file.

    Raises:
        UserError: no such file, an unknown key, a value that is not allowed, a name that the model has not.
    """
    if not Path(path).is_file():
        raise UserError(f"there is no arm {path!r}; give a YAML file as in examples/own_arm, from where it can be seen")
    task = OwnArm(path, build(ArmConfig, read_yaml(Path(path)), path))
    task.initial()
    return task
