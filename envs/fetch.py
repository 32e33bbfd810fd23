"""The four Fetch tasks as data and small functions: start, goal, observation, reward, success.

They are gymnasium-robotics' ``FetchReach-v4``, ``FetchPush-v4``, ``FetchSlide-v4`` and ``FetchPickAndPlace-v4``
(Plappert et al. 2018, arXiv 1802.09464), which also supplies the model and the settled initial state. Shapes: R
readings (one row a frame), N environments.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sim2real.envs import grasp, mocap
from sim2real.envs.mocap import MocapRobot
from sim2real.envs.task import Array, Encoder, Initial, xyz
from sim2real.types import Element, TaskSpec

HORIZON = 50
CONTROL_DT = 0.04
MAX_DISPLACEMENT = 0.05
"""Displacement of the gripper's target for an action of 1 (in metres)."""
THRESHOLD = 0.05
"""Success when the achieved goal is nearer than this (in metres)."""


@dataclass(frozen=True)
class FetchTask:
    """What distinguishes one task from another; see `sim2real.envs.task.Task` for what the methods give."""

    name: str
    reference: str
    """Id of the environment in gymnasium-robotics."""
    has_object: bool = True
    block_gripper: bool = True
    """Whether the fingers are held shut."""
    in_the_air: bool = False
    """Whether half of the goals are above the table."""
    goal_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Middle of the goals relative to the gripper's start (in metres)."""
    object_range: float = 0.15
    """Half the side of the square that objects start in (in metres)."""
    goal_range: float = 0.15
    """Half the side of the square, for Reach the cube, of goals (in metres)."""
    near_range: tuple[float, float] = (0.05, 0.1)
    """Distance of the object from the gripper in an exploring start (in metres): almost in touch, for open fingers also
    right under them."""

    horizon: ClassVar[int] = HORIZON
    threshold: ClassVar[float] = THRESHOLD
    gained: ClassVar[int] = 3
    reading_size: ClassVar[int] = mocap.READING_SIZE
    encoders: ClassVar[tuple[Encoder, ...]] = mocap.ENCODERS
    control_dt: ClassVar[float] = CONTROL_DT

    @property
    def features(self) -> frozenset[str]:
        return frozenset({"fetch", "table", "weld"} | ({"object"} if self.has_object else set()))

    @property
    def measured_goal(self) -> slice:
        return slice(3, 6) if self.has_object else slice(0, 3)

    @property
    def seen(self) -> NDArray[np.int64]:
        return mocap.OBJECT if self.has_object else mocap.NOTHING

    def initial(self, *, near_starts: bool = False) -> Initial:
        """Build gymnasium-robotics' own environment once and take its model and the state after its set-up motion."""
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")  # the import writes about Adroit environments every time
            import gymnasium_robotics

            gymnasium.register_envs(gymnasium_robotics)
            env: Any = gymnasium.make(self.reference).unwrapped
        qpos = env.initial_qpos.copy()
        return Initial(
            model=env.model,
            time=float(env.initial_time),
            qpos=qpos,
            qvel=env.initial_qvel.copy(),
            gripper=env.initial_gripper_xpos.copy(),
            object_height=float(env.height_offset) if self.has_object else 0.0,
            held=grasp.held(env) if near_starts and not self.block_gripper else None,
        )

    def robot(self, start: Initial) -> MocapRobot:
        return MocapRobot(start, self.features, block_gripper=self.block_gripper)

    def sample_start(self, start: Initial, rng: np.random.Generator) -> Array:
        """At least 10 cm from the gripper."""
        centre = start.gripper[:2]
        position = centre
        while np.linalg.norm(position - centre) < 0.1:
            position = centre + rng.uniform(-self.object_range, self.object_range, size=2)
        return position

    def sample_near_start(self, start: Initial, rng: np.random.Generator) -> Array:
        """Within `near_range` of the gripper.

        From the task's own starts an untrained policy moved the object in 1 of 100 episodes under the training
        dynamics, from these in 31.
        """
        angle, radius = rng.uniform(-np.pi, np.pi), rng.uniform(*self.near_range)
        return start.gripper[:2] + radius * np.array([np.cos(angle), np.sin(angle)])

    def sample_goal(self, start: Initial, rng: np.random.Generator, table_height: float = 0.0) -> Array:
        """With an object it lies on the table or above it."""
        goal = start.gripper + rng.uniform(-self.goal_range, self.goal_range, size=3)
        if not self.has_object:
            return goal
        goal += np.array(self.goal_offset)
        goal[2] = start.object_height + table_height
        if self.in_the_air and rng.uniform() < 0.5:
            goal[2] += rng.uniform(0, 0.45)
        return goal

    def observation(self, reading: Array) -> Array:
        """gymnasium-robotics' observation.

        Velocities are per nominal control period (v times 0.04 s), whatever the period's jitter was; the object's
        velocity is relative to the gripper's.
        """
        grip_vel = reading[:, mocap.GRIP_VEL] * CONTROL_DT
        finger_vel = reading[:, mocap.FINGER_VEL] * CONTROL_DT
        grip_pos = reading[:, mocap.GRIP_POS]
        if not self.has_object:
            return np.concatenate([grip_pos, reading[:, mocap.FINGER_POS], grip_vel, finger_vel], axis=1)
        object_pos = reading[:, mocap.OBJECT_POS]
        return np.concatenate(
            [
                grip_pos,
                object_pos,
                object_pos - grip_pos,
                reading[:, mocap.FINGER_POS],
                euler(reading[:, mocap.OBJECT_ROT]),
                reading[:, mocap.OBJECT_VEL] * CONTROL_DT - grip_vel,
                reading[:, mocap.OBJECT_SPIN] * CONTROL_DT,
                grip_vel,
                finger_vel,
            ],
            axis=1,
        )

    def achieved_goal(self, reading: Array) -> Array:
        """The object's position, or the gripper's without one."""
        return reading[:, mocap.OBJECT_POS if self.has_object else mocap.GRIP_POS].copy()

    def spec(self, dynamics_names: tuple[str, ...]) -> TaskSpec:
        displacement = xyz("gripper_displacement", "m", "target/body/displacement", "gripper position, world axes")
        return TaskSpec(
            name=self.name,
            horizon=HORIZON,
            control_dt=CONTROL_DT,
            observation=_observation_elements(self.has_object),
            goal=tuple(xyz("goal_position", "m", "command/body/position", "world")),
            action=(*displacement, Element("finger_displacement", "m", "target/joint/displacement", "gripper")),
            action_scale=(MAX_DISPLACEMENT,) * 3 + (1.0,),
            dynamics_names=dynamics_names,
            success_threshold=THRESHOLD,
        )


TASKS: dict[str, FetchTask] = {
    task.name: task
    for task in (
        FetchTask("FetchReach", "FetchReach-v4", has_object=False),
        FetchTask("FetchPush", "FetchPush-v4"),
        FetchTask("FetchSlide", "FetchSlide-v4", goal_offset=(0.4, 0.0, 0.0), object_range=0.1, goal_range=0.3),
        FetchTask(
            "FetchPickAndPlace", "FetchPickAndPlace-v4", block_gripper=False, in_the_air=True, near_range=(0.0, 0.1)
        ),
    )
}


def euler(matrix: Array) -> Array:
    """Euler angles ``[R, 3]`` (in rad) of rotation matrices ``[R, 9]``: gymnasium-robotics' ``rotations.mat2euler``."""
    m = matrix.reshape(-1, 3, 3)
    cosine = np.sqrt(m[:, 2, 2] * m[:, 2, 2] + m[:, 1, 2] * m[:, 1, 2])
    regular = cosine > np.finfo(np.float64).eps * 4.0
    x = np.where(regular, -np.arctan2(m[:, 1, 2], m[:, 2, 2]), 0.0)
    y = -np.arctan2(-m[:, 0, 2], cosine)
    z = np.where(regular, -np.arctan2(m[:, 0, 1], m[:, 0, 0]), -np.arctan2(-m[:, 1, 0], m[:, 1, 1]))
    return np.stack([x, y, z], axis=1)


def _fingers(name: str, unit: str, kind: str) -> list[Element]:
    return [Element(f"{side}_finger_{name}", unit, kind, "gripper") for side in ("right", "left")]


def _observation_elements(has_object: bool) -> tuple[Element, ...]:
    """Name, unit, kind and frame of each element of an observation, in its order."""
    step = f"per {CONTROL_DT:g} s"
    grip = xyz("gripper_position", "m", "state/body/position", "world")
    fingers = _fingers("position", "m", "state/joint/position")
    grip_vel = xyz("gripper_velocity", f"m {step}", "state/body/linear_velocity", "world")
    finger_vel = _fingers("velocity", f"m {step}", "state/joint/velocity")
    if not has_object:
        return (*grip, *fingers, *grip_vel, *finger_vel)
    return (
        *grip,
        *xyz("object_position", "m", "state/body/position", "world"),
        *xyz("object_relative_position", "m", "state/body/position", "gripper position, world axes"),
        *fingers,
        *xyz("object_rotation", "rad", "state/body/euler_angles", "world"),
        *xyz("object_relative_velocity", f"m {step}", "state/body/linear_velocity", "gripper velocity, world axes"),
        *xyz("object_angular_velocity", f"rad {step}", "state/body/angular_velocity", "world"),
        *grip_vel,
        *finger_vel,
    )
