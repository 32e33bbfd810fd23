"""What the backend has to know of a task: everything between a draw of random numbers and a number that a policy sees.

`sim2real.envs.fetch` has gymnasium-robotics' four, whose gripper is pulled by a weld; `sim2real.envs.puck` has the one
that drives joints. Shapes: R readings (one row a frame), N environments, A elements of an action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs.model_names import FETCH, ModelNames
from sim2real.types import Element, TaskSpec

if TYPE_CHECKING:
    from sim2real.envs.physics import Robot

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Initial:
    """The state that every episode starts from."""

    model: mujoco.MjModel
    """Compiled nominal model; never written to."""
    time: float
    qpos: Array
    qvel: Array
    gripper: Array
    """Position of the gripper, the middle of starts and goals [3] (in metres)."""
    object_height: float
    """Height of a resting object's centre, 0 without an object (in metres)."""
    names: ModelNames = FETCH
    """What the model calls its parts."""
    look_at: tuple[float, float, float] = (1.3, 0.75, 0.55)
    """Where the camera of pictures looks (in metres)."""
    camera_distance: float = 2.5
    """How far it is from there (in metres)."""
    held: Array | None = None
    """Joint positions with the object between the fingers, clear of the table, for exploring starts; None without them
    and where it can't be grasped."""


@dataclass(frozen=True)
class Encoder:
    """Sensors of position that the robot has itself, and the velocities that are derived from them."""

    position: slice
    """Their columns in a reading."""
    velocity: slice
    resolution: float
    """Of a real one (in the columns' unit)."""


class Task(Protocol):
    """One task as data and small functions."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def features(self) -> frozenset[str]:
        """What there is that dynamics can act on (see `sim2real.envs.dynamics.DynamicsParameter.needs`)."""
        ...

    @property
    def horizon(self) -> int:
        """Control steps of an episode, T."""
        ...

    @property
    def threshold(self) -> float:
        """Success when the achieved goal is nearer than this (in metres)."""
        ...

    @property
    def gained(self) -> int:
        """How many elements of an action, from the first, the parameter ``action_gain`` scales."""
        ...

    @property
    def reading_size(self) -> int:
        """Length of one reading of the simulator."""
        ...

    @property
    def measured_goal(self) -> slice:
        """Elements of an observation that measure the achieved goal."""
        ...

    @property
    def seen(self) -> NDArray[np.int64]:
        """Columns of a reading that a camera supplies, not the robot itself: the object's, its position first."""
        ...

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        """What the robot measures itself; the first is of what a command moves."""
        ...

    @property
    def control_dt(self) -> float:
        """Nominal control period (in seconds)."""
        ...

    def initial(self, *, near_starts: bool = False) -> Initial:
        """Build the nominal model and the state that episodes start from, and what only ``near_starts`` need."""
        ...

    def robot(self, start: Initial) -> Robot:
        """One environment's robot in a copy of the model."""
        ...

    def sample_start(self, start: Initial, rng: np.random.Generator) -> Array:
        """Where the object starts [2] (in metres)."""
        ...

    def sample_near_start(self, start: Initial, rng: np.random.Generator) -> Array:
        """Where the object starts [2] in an exploring start: almost in touch with the gripper (in metres)."""
        ...

    def sample_goal(self, start: Initial, rng: np.random.Generator, table_height: float = 0.0) -> Array:
        """A goal [3] (in metres) when the table stands ``table_height`` above its nominal height."""
        ...

    def observation(self, reading: Array) -> Array:
        """Observations ``[R, D]`` from readings ``[R, reading_size]``."""
        ...

    def achieved_goal(self, reading: Array) -> Array:
        """``[R, 3]`` (in metres) from readings ``[R, reading_size]``."""
        ...

    def spec(self, dynamics_names: tuple[str, ...]) -> TaskSpec:
        """What everyone else may know about the task."""
        ...


def distance(achieved: Any, desired: Any) -> Any:
    """Euclidean distance over the last axis (in metres); numpy arrays or torch tensors."""
    return ((achieved - desired) ** 2).sum(-1) ** 0.5


def compute_reward(achieved: Any, desired: Any, threshold: float) -> Any:
    """-1, and 0 within ``threshold`` of the goal; numpy arrays or torch tensors, last axis of length 3."""
    return (distance(achieved, desired) > threshold) * -1.0 + 0.0  # + 0.0 turns -0.0 into 0.0


def is_success(achieved: Any, desired: Any, threshold: float) -> Any:
    """Whether the goal is nearer than ``threshold``: booleans over the last axis; numpy arrays or torch tensors."""
    return distance(achieved, desired) < threshold


def xyz(name: str, unit: str, kind: str, frame: str) -> list[Element]:
    """The three elements of a vector."""
    return [Element(f"{name}_{axis}", unit, kind, frame) for axis in "xyz"]
