"""Where one element of a contract comes from or goes to in ROS 2: plain data and its checks, no ROS."""

from __future__ import annotations

from dataclasses import dataclass

from sim2real.errors import UserError, unknown

ROTATION_FIELDS = (
    *(f"euler.{axis}" for axis in "xyz"),
    *(f"rotation.{row}{column}" for row in "xyz" for column in "xyz"),
    *(f"quaternion.{part}" for part in "wxyz"),
)
POSE_FIELDS = (*(f"position.{axis}" for axis in "xyz"), *ROTATION_FIELDS)
TWIST_FIELDS = tuple(f"{part}.{axis}" for part in ("linear", "angular") for axis in "xyz")
JOINT_ARRAYS = ("position", "velocity", "effort")
"""Of sensor_msgs/JointState."""
JOINT_FIELDS = (*JOINT_ARRAYS, "position.sine", "position.cosine")


class MappingError(UserError):
    """A contract or a mapping file that leaves open where an element comes from or goes to."""


@dataclass(frozen=True)
class Source:
    """Where a reading comes from: a field of a joint, or of a body (minus the same field of another)."""

    field: str
    """One of `JOINT_FIELDS` for a joint; of `POSE_FIELDS` or `TWIST_FIELDS` for a body."""
    joint: str = ""
    """Joint of the contract, such as right_finger; ``joints`` gives its name in sensor_msgs/JointState."""
    body: str = ""
    """Body of the contract, such as object."""
    minus: str = ""
    """Body that the field is relative to, both in the same axes."""
    scale: float = 1.0
    """Reading per ROS unit (m, rad, m/s, rad/s): 0.04 for a velocity in m per 0.04 s."""


@dataclass(frozen=True)
class Body:
    """Where the state of a body comes from: a pose topic or a transform, and a twist topic for velocities."""

    pose: str = ""
    """Topic of geometry_msgs/PoseStamped."""
    tf: tuple[str, ...] = ()
    """Parent and child frame, instead of a pose topic."""
    twist: str = ""
    """Topic of geometry_msgs/TwistStamped, in the axes of the pose's frame."""
    command: bool = False
    """Whether it is a goal somebody sets, which does not age, rather than something measured."""


@dataclass(frozen=True)
class Target:
    """Where an element of the action goes."""

    to: str
    """``twist``, ``trajectory``, ``forward``, ``gripper``, or ``none``: computed and not sent."""
    field: str = ""
    """Of a twist: linear.x ... angular.z."""
    joint: str = ""
    """Joint of the contract; of a trajectory, a gripper, or a relative command."""
    scale: float = 1.0
    """ROS unit per unit of the action: 25 turns a displacement in 0.04 s into m/s."""
    relative: bool = False
    """Of a trajectory or forward: whether the command is added to where ``joint`` was measured last."""
    hold: str = "zero"
    """What stops this element: ``zero``, or ``last`` (a position: the command sent last)."""
    low: float = 0.0
    """Of a gripper: closed (in metres)."""
    high: float = 0.1
    """Of a gripper: open (in metres)."""


OUTPUTS = {
    "twist": ("delta_twist_cmds", "geometry_msgs/TwistStamped"),
    "trajectory": ("joint_trajectory", "trajectory_msgs/JointTrajectory"),
    "forward": ("commands", "std_msgs/Float64MultiArray"),
    "gripper": ("gripper_cmd", "action control_msgs/GripperCommand"),
    "none": ("-", "not sent"),
}
"""Kind of target -> its topic (a relative name: remap it) and message."""


def check_source(name: str, source: Source) -> None:
    allowed = JOINT_FIELDS if source.joint else (*POSE_FIELDS, *TWIST_FIELDS)
    if bool(source.joint) == bool(source.body):
        raise MappingError(f"readings.{name} needs either a joint or a body, got {source}")
    if source.field not in allowed:
        raise MappingError(f"readings.{name}: " + unknown("field", source.field, allowed))
    if source.minus and source.field.startswith(("rotation.", "quaternion.")):
        raise MappingError(f"readings.{name}: {source.field} cannot be relative: subtracting (minus) gives no rotation")


def check_target(name: str, target: Target) -> None:
    if target.to not in OUTPUTS:
        raise MappingError(f"commands.{name}: " + unknown("target", target.to, OUTPUTS))
    if target.to == "twist" and target.field not in TWIST_FIELDS:
        raise MappingError(f"commands.{name}: " + unknown("field", target.field, TWIST_FIELDS))
    if target.to in ("trajectory", "gripper") and not target.joint:
        raise MappingError(f"commands.{name}: a {target.to} needs a joint")
    if target.hold not in ("zero", "last"):
        raise MappingError(f"commands.{name}: " + unknown("hold", target.hold, ("zero", "last")))
    if target.relative and (target.to == "twist" or not target.joint or target.hold != "zero"):
        raise MappingError(
            f"commands.{name}: a relative command needs a joint, hold 'zero' (a repeated offset moves the joint on) "
            f"and another target than a twist, got joint {target.joint!r}, hold {target.hold!r}, to {target.to!r}"
        )
    if not target.low < target.high:
        raise MappingError(f"commands.{name}: low {target.low} has to be below high {target.high}")
