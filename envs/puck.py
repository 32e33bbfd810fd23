"""Push a puck to a goal with the seven joints of an arm: the task of Peng et al. 2017 (arXiv 1710.06537, section V).

As in the paper: the Fetch arm under joint position control; a state of 52 numbers (joint positions and velocities,
gripper, puck position, orientation, linear and angular velocity); an action of 7 offsets from the present joint angles;
start and goal anywhere in 0.3 m x 0.3 m; reward -1, and 0 within 0.07 m of the goal; 25 Hz, 20 simulation steps of
2 ms; 100 steps; success judged at the end. The 95 randomised parameters with the paper's ranges are the section
``FetchPuck`` of ``configs/dynamics/train.yaml``.

What the paper leaves open, and what is chosen here:
  * Bounds of the actions: the offset that makes a joint cover in a control period what its real velocity limit allows,
    under nominal dynamics and but for inertia.
  * Controller gains, gravity compensation, what is held: `sim2real.envs.puck_model`.
  * Composition of the 52: sine and cosine of the joint angles (three of the seven turn without end), joint velocities;
    position, rotation matrix and velocity of the gripper; position, position relative to the gripper, quaternion,
    linear and angular velocity of the puck. SI units.
  * The goal has three coordinates; its height is the table's.
  * Which 95: 17 link masses, 15 joint dampings, mass, friction and damping of the puck, the table's height, 7
    controller gains, noise on 52 elements. The rate lambda of the control period comes on top. Masses of 7 links and
    damping of 8 joints that are held change nothing; they are drawn for completeness and shown to no critic.
  * Start: the gripper points down in the middle of the region, its fingertips 2.5 cm above the nominal table, so that
    the puck is near wherever it lies. It starts at least 11 cm away, centre to centre.
  * Discount, hindsight strategy, target rate and exploration are the agent's: `sim2real.agents.rdpg`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs import puck_model
from sim2real.envs.dynamics import ARM
from sim2real.envs.joints import JointRobot, Layout, offsets
from sim2real.envs.task import Array, Encoder, Initial, xyz
from sim2real.types import TaskSpec

HORIZON = 100
CONTROL_DT = 0.04
THRESHOLD = 0.07
HALF_REGION = 0.15
"""Half the side of the square of starts and goals (in metres)."""
START_POSE = (0.0, -0.64514, 0.0, 1.57536, 0.0, 0.64058, 0.0)
"""Of the arm (in rad): the gripper points down at (1.19, 0.75, 0.795) m."""
RATE = puck_model.KP / (puck_model.KD + puck_model.DAMPING)
"""Of the nominal approach to a target (in 1/s): speed is that times what is left to go, but for inertia."""
MAX_OFFSET = puck_model.VELOCITY_LIMITS * CONTROL_DT / (1 - np.exp(-RATE * CONTROL_DT))
"""Offset for an action of 1 (in rad)."""
CLEARANCE = 0.11
"""Least distance of a start from the gripper, centre to centre (in metres)."""
JOINTS = tuple(f"{name}_joint" for name in ARM)
"""Names of the real robot's joints."""
LAYOUT = Layout(len(ARM), has_object=True)


@dataclass(frozen=True)
class PuckTask:
    """See `sim2real.envs.task.Task` for what the methods give."""

    name: str = "FetchPuck"

    features: ClassVar[frozenset[str]] = frozenset({"fetch", "joints", "object", "table"})
    horizon: ClassVar[int] = HORIZON
    threshold: ClassVar[float] = THRESHOLD
    gained: ClassVar[int] = len(ARM)
    reading_size: ClassVar[int] = LAYOUT.size
    encoders: ClassVar[tuple[Encoder, ...]] = LAYOUT.encoders
    control_dt: ClassVar[float] = CONTROL_DT
    measured_goal: ClassVar[slice] = LAYOUT.measured_goal
    seen: ClassVar[NDArray[np.int64]] = LAYOUT.seen

    def initial(self, *, near_starts: bool = False) -> Initial:
        model = puck_model.build().compile()
        data = mujoco.MjData(model)
        positions, _ = puck_model.arm_addresses(model)
        data.qpos[positions] = START_POSE
        height = puck_model.TABLE_TOP + puck_model.HALF_HEIGHT
        data.qpos[-7:] = 0.0, 0.0, height, 1.0, 0.0, 0.0, 0.0
        mujoco.mj_forward(model, data)
        gripper = data.site("robot0:grip").xpos.copy()
        return Initial(model, 0.0, data.qpos.copy(), data.qvel.copy(), gripper, height)

    def robot(self, start: Initial) -> JointRobot:
        return JointRobot(start, LAYOUT, self.features, "robot0:grip")

    def sample_start(self, start: Initial, rng: np.random.Generator) -> Array:
        """At least `CLEARANCE` from the gripper."""
        offset = np.zeros(2)
        while np.linalg.norm(offset) < CLEARANCE:
            offset = rng.uniform(-HALF_REGION, HALF_REGION, size=2)
        return start.gripper[:2] + offset

    def sample_near_start(self, start: Initial, rng: np.random.Generator) -> Array:
        """8.5 to 11 cm from the gripper: up to 2.5 cm between the puck's rim and the fingers."""
        angle, radius = rng.uniform(-np.pi, np.pi), rng.uniform(0.085, CLEARANCE)
        return start.gripper[:2] + radius * np.array([np.cos(angle), np.sin(angle)])

    def sample_goal(self, start: Initial, rng: np.random.Generator, table_height: float = 0.0) -> Array:
        """The puck's centre, resting on the table."""
        place = start.gripper[:2] + rng.uniform(-HALF_REGION, HALF_REGION, size=2)
        return np.array([*place, start.object_height + table_height])

    def observation(self, reading: Array) -> Array:
        return LAYOUT.observation(reading)

    def achieved_goal(self, reading: Array) -> Array:
        """The puck's centre."""
        return LAYOUT.achieved_goal(reading)

    def spec(self, dynamics_names: tuple[str, ...]) -> TaskSpec:
        return TaskSpec(
            name=self.name,
            horizon=HORIZON,
            control_dt=CONTROL_DT,
            observation=LAYOUT.elements(JOINTS, "puck"),
            goal=tuple(xyz("goal_position", "m", "command/body/position", "world")),
            action=offsets(JOINTS),
            action_scale=tuple(map(float, MAX_OFFSET)),
            dynamics_names=dynamics_names,
            success_threshold=THRESHOLD,
        )


PUCK = PuckTask()
