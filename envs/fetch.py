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
from typing import Any

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.types import Element, TaskSpec

Array = NDArray[np.float64]

HORIZON = 50
SUBSTEPS = 20
"""Simulation steps of 2 ms in a nominal control period of 40 ms."""
CONTROL_DT = 0.04
MAX_DISPLACEMENT = 0.05
"""Displacement of the gripper's target for an action of 1 (in metres)."""
THRESHOLD = 0.05
"""Success when the achieved goal is nearer than this (in metres)."""


@dataclass(frozen=True)
class FetchTask:
    """What distinguishes one task from another."""

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


TASKS: dict[str, FetchTask] = {
    task.name: task
    for task in (
        FetchTask("FetchReach", "FetchReach-v4", has_object=False),
        FetchTask("FetchPush", "FetchPush-v4"),
        FetchTask("FetchSlide", "FetchSlide-v4", goal_offset=(0.4, 0.0, 0.0), object_range=0.1, goal_range=0.3),
        FetchTask("FetchPickAndPlace", "FetchPickAndPlace-v4", block_gripper=False, in_the_air=True),
    )
}


@dataclass(frozen=True)
class Initial:
    """The settled state that every episode starts from, taken from gymnasium-robotics after its set-up motion."""

    model: mujoco.MjModel
    """Compiled nominal model; never written to."""
    time: float
    qpos: Array
    qvel: Array
    gripper: Array
    """Position of the gripper, the middle of starts and goals [3] (in metres)."""
    object_height: float
    """Height of a resting object's centre, 0 without an object (in metres)."""


def initial(task: FetchTask) -> Initial:
    """Build gymnasium-robotics' own environment once and take its model and settled state."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")  # the import writes about Adroit environments every time
        import gymnasium_robotics

        gymnasium.register_envs(gymnasium_robotics)
        env: Any = gymnasium.make(task.reference).unwrapped
    return Initial(
        model=env.model,
        time=float(env.initial_time),
        qpos=env.initial_qpos.copy(),
        qvel=env.initial_qvel.copy(),
        gripper=env.initial_gripper_xpos.copy(),
        object_height=float(env.height_offset) if task.has_object else 0.0,
    )


def sample_start(task: FetchTask, start: Initial, rng: np.random.Generator) -> Array:
    """Where the object starts [2], at least 10 cm from the gripper (in metres)."""
    centre = start.gripper[:2]
    position = centre
    while np.linalg.norm(position - centre) < 0.1:
        position = centre + rng.uniform(-task.object_range, task.object_range, size=2)
    return position


def sample_near_start(start: Initial, rng: np.random.Generator) -> Array:
    """Where the object starts [2] in an exploring start: 5 to 10 cm from the gripper (in metres), almost in touch.

    From the task's own starts an untrained policy moved the object in 1 of 100 episodes under the training
    dynamics, from these in 31.
    """
    angle, radius = rng.uniform(-np.pi, np.pi), rng.uniform(0.05, 0.1)
    return start.gripper[:2] + radius * np.array([np.cos(angle), np.sin(angle)])


def sample_goal(task: FetchTask, start: Initial, rng: np.random.Generator, table_height: float = 0.0) -> Array:
    """A goal [3] (in metres); with an object it lies on the table, raised by ``table_height``, or above it."""
    goal = start.gripper + rng.uniform(-task.goal_range, task.goal_range, size=3)
    if not task.has_object:
        return goal
    goal += np.array(task.goal_offset)
    goal[2] = start.object_height + table_height
    if task.in_the_air and rng.uniform() < 0.5:
        goal[2] += rng.uniform(0, 0.45)
    return goal


# One reading of the simulator, a row of numbers. All tasks share the layout; without an object its part stays zero.
GRIP_POS, OBJECT_POS, OBJECT_ROT = slice(0, 3), slice(3, 6), slice(6, 15)
FINGER_POS, FINGER_VEL = slice(15, 17), slice(17, 19)
GRIP_VEL, OBJECT_VEL, OBJECT_SPIN = slice(19, 22), slice(22, 25), slice(25, 28)
READING_SIZE = 28


def observation(task: FetchTask, reading: Array) -> Array:
    """gymnasium-robotics' observation ``[R, D]`` from readings ``[R, READING_SIZE]``.

    Velocities are per nominal control period (v times 0.04 s), whatever the period's jitter was; the object's
    velocity is relative to the gripper's.
    """
    grip_vel = reading[:, GRIP_VEL] * CONTROL_DT
    finger_vel = reading[:, FINGER_VEL] * CONTROL_DT
    grip_pos = reading[:, GRIP_POS]
    if not task.has_object:
        return np.concatenate([grip_pos, reading[:, FINGER_POS], grip_vel, finger_vel], axis=1)
    object_pos = reading[:, OBJECT_POS]
    return np.concatenate(
        [
            grip_pos,
            object_pos,
            object_pos - grip_pos,
            reading[:, FINGER_POS],
            euler(reading[:, OBJECT_ROT]),
            reading[:, OBJECT_VEL] * CONTROL_DT - grip_vel,
            reading[:, OBJECT_SPIN] * CONTROL_DT,
            grip_vel,
            finger_vel,
        ],
        axis=1,
    )


def euler(matrix: Array) -> Array:
    """Euler angles ``[R, 3]`` (in rad) of rotation matrices ``[R, 9]``: gymnasium-robotics' ``rotations.mat2euler``."""
    m = matrix.reshape(-1, 3, 3)
    cosine = np.sqrt(m[:, 2, 2] * m[:, 2, 2] + m[:, 1, 2] * m[:, 1, 2])
    regular = cosine > np.finfo(np.float64).eps * 4.0
    x = np.where(regular, -np.arctan2(m[:, 1, 2], m[:, 2, 2]), 0.0)
    y = -np.arctan2(-m[:, 0, 2], cosine)
    z = np.where(regular, -np.arctan2(m[:, 0, 1], m[:, 0, 0]), -np.arctan2(-m[:, 1, 0], m[:, 1, 1]))
    return np.stack([x, y, z], axis=1)


def achieved_goal(task: FetchTask, reading: Array) -> Array:
    """The object's position, or the gripper's without one, ``[R, 3]`` (in metres)."""
    return reading[:, OBJECT_POS if task.has_object else GRIP_POS].copy()


def achieved_place(task: FetchTask) -> tuple[int, int]:
    """The elements of `observation` that measure the achieved goal: from, up to."""
    first = 3 if task.has_object else 0
    return first, first + 3


def distance(achieved: Any, desired: Any) -> Any:
    """Euclidean distance over the last axis (in metres); numpy arrays or torch tensors."""
    return ((achieved - desired) ** 2).sum(-1) ** 0.5


def compute_reward(achieved: Any, desired: Any, info: Any = None) -> Any:
    """Sparse reward: -1, and 0 within `THRESHOLD` of the goal. numpy arrays or torch tensors, last axis of length 3."""
    return (distance(achieved, desired) > THRESHOLD) * -1.0 + 0.0  # + 0.0 turns -0.0 into 0.0


def is_success(achieved: Any, desired: Any) -> Any:
    """Whether the goal is fulfilled, booleans over the last axis; numpy arrays or torch tensors."""
    return distance(achieved, desired) < THRESHOLD


def _xyz(name: str, unit: str, kind: str, frame: str) -> list[Element]:
    return [Element(f"{name}_{axis}", unit, kind, frame) for axis in "xyz"]


def _fingers(name: str, unit: str, kind: str) -> list[Element]:
    return [Element(f"{side}_finger_{name}", unit, kind, "gripper") for side in ("right", "left")]


def observation_elements(task: FetchTask) -> tuple[Element, ...]:
    """Name, unit, kind and frame of each element of `observation`, in its order."""
    step = f"per {CONTROL_DT:g} s"
    grip = _xyz("gripper_position", "m", "state/body/position", "world")
    fingers = _fingers("position", "m", "state/joint/position")
    grip_vel = _xyz("gripper_velocity", f"m {step}", "state/body/linear_velocity", "world")
    finger_vel = _fingers("velocity", f"m {step}", "state/joint/velocity")
    if not task.has_object:
        return (*grip, *fingers, *grip_vel, *finger_vel)
    return (
        *grip,
        *_xyz("object_position", "m", "state/body/position", "world"),
        *_xyz("object_relative_position", "m", "state/body/position", "gripper position, world axes"),
        *fingers,
        *_xyz("object_rotation", "rad", "state/body/euler_angles", "world"),
        *_xyz("object_relative_velocity", f"m {step}", "state/body/linear_velocity", "gripper velocity, world axes"),
        *_xyz("object_angular_velocity", f"rad {step}", "state/body/angular_velocity", "world"),
        *grip_vel,
        *finger_vel,
    )


def task_spec(task: FetchTask, dynamics_names: tuple[str, ...]) -> TaskSpec:
    """What everyone else may know about the task."""
    displacement = _xyz("gripper_displacement", "m", "target/body/displacement", "gripper position, world axes")
    return TaskSpec(
        name=task.name,
        horizon=HORIZON,
        control_dt=CONTROL_DT,
        observation=observation_elements(task),
        goal=tuple(_xyz("goal_position", "m", "command/body/position", "world")),
        action=(*displacement, Element("finger_displacement", "m", "target/joint/displacement", "gripper")),
        action_scale=(MAX_DISPLACEMENT,) * 3 + (1.0,),
        dynamics_names=dynamics_names,
        success_threshold=THRESHOLD,
    )
