"""Which ROS 2 message carries which element of a contract. Plain data, no ROS: derived from the elements' names and
kinds, and changed where a robot differs by a JSON file:

    {
      "joints":   {"right_finger": "r_gripper_finger_joint"},
      "bodies":   {"gripper": {"tf": ["base_link", "gripper_link"]}, "object": {"pose": "/tracker/cube"}},
      "readings": {"object_position_z": {"body": "object", "field": "position.z", "scale": 1.0}},
      "commands": {"finger_displacement": {"to": "gripper", "joint": "right_finger", "low": 0.0, "high": 0.05}}
    }
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from sim2real.deploy.contract import Contract
from sim2real.errors import UserError, unknown
from sim2real.types import Element

POSE_FIELDS = tuple(f"{part}.{axis}" for part, axes in (("position", "xyz"), ("euler", "xyz")) for axis in axes)
TWIST_FIELDS = tuple(f"{part}.{axis}" for part in ("linear", "angular") for axis in "xyz")
JOINT_FIELDS = ("position", "velocity", "effort")
T = TypeVar("T")


class MappingError(UserError):
    """A contract or a mapping file that leaves open where an element comes from or goes to."""


@dataclass(frozen=True)
class Source:
    """Where a reading comes from: a field of a joint, or of a body (minus the same field of another)."""

    field: str
    """Of a joint: position, velocity, effort. Of a body: position.x, euler.x (pose), linear.x, angular.x (twist)."""
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
    """Joint of the contract; of a trajectory or a gripper."""
    scale: float = 1.0
    """ROS unit per unit of the action: 25 turns a displacement in 0.04 s into m/s."""
    hold: str = "zero"
    """What stops this element: ``zero``, or ``last`` (a position: the command sent last)."""
    low: float = 0.0
    """Of a gripper: closed (in metres)."""
    high: float = 0.1
    """Of a gripper: open (in metres)."""


@dataclass(frozen=True)
class Ros2Mapping:
    """All of it. Every reading and every action element of the contract has exactly one entry."""

    readings: Mapping[str, Source]
    commands: Mapping[str, Target]
    bodies: Mapping[str, Body]
    joints: Mapping[str, str]
    """Joint of the contract -> its name in sensor_msgs/JointState; a joint that is not here has the same name."""

    def joint(self, name: str) -> str:
        return self.joints.get(name, name)

    @property
    def needed_joints(self) -> frozenset[str]:
        """ROS names of the joints that must have been seen before there is a reading."""
        read = {source.joint for source in self.readings.values() if source.joint}
        gripped = {target.joint for target in self.commands.values() if target.to == "gripper"}
        return frozenset(map(self.joint, read | gripped))

    def needs(self, body: str, names: tuple[str, ...]) -> bool:
        """Whether a reading uses one of the fields ``names`` of ``body``."""
        sources = self.readings.values()
        return any(body in (source.body, source.minus) and source.field in names for source in sources)


def load_mapping(contract: Contract, file: str | Path | None = None) -> Ros2Mapping:
    """The mapping of ``contract``, with what ``file`` says laid over it.

    Raises:
        MappingError: an element has no source or target, or the file names something that does not exist.
    """
    given = _read(Path(file)) if file else {}
    readings = {e.name: (e, term.source) for term in contract.terms if term.source != "feedback" for e in term.elements}
    sources = _laid_over({name: _source(e) for name, (e, _) in readings.items()}, given, "readings", Source)
    targets = _laid_over(
        {e.name: _target(e, contract.control_dt) for e in contract.action_elements}, given, "commands", Target
    )
    commanded = {source.body for name, source in sources.items() if readings[name][1] == "command"}
    names = dict.fromkeys(name for source in sources.values() for name in (source.body, source.minus) if name)
    derived = {name: Body(pose=f"{name}/pose", twist=f"{name}/twist", command=name in commanded) for name in names}
    mapping = Ros2Mapping(
        sources, targets, _laid_over(derived, given, "bodies", Body), _joints(given, sources, targets)
    )
    for name, source in sources.items():
        _check_source(name, source)
    for name, target in targets.items():
        _check_target(name, target)
    return mapping


def table(mapping: Ros2Mapping) -> list[tuple[str, str, str]]:
    """What to connect: (direction, topic or frames, message and what it carries), for people to read."""
    joints = ", ".join(sorted(mapping.needed_joints))
    rows = [("in", "joint_states", f"sensor_msgs/JointState: {joints}")] if joints else []
    for name, body in mapping.bodies.items():
        if mapping.needs(name, POSE_FIELDS):
            rows.append(
                ("in", " -> ".join(body.tf), f"tf: {name}")
                if body.tf
                else ("in", body.pose, f"geometry_msgs/PoseStamped: {name}")
            )
        if mapping.needs(name, TWIST_FIELDS):
            rows.append(("in", body.twist, f"geometry_msgs/TwistStamped: {name}"))
    for to, (topic, message) in OUTPUTS.items():
        elements = [name for name, target in mapping.commands.items() if target.to == to]
        if elements:
            rows.append(("out", topic, f"{message}: {', '.join(elements)}"))
    return rows


OUTPUTS = {
    "twist": ("delta_twist_cmds", "geometry_msgs/TwistStamped"),
    "trajectory": ("joint_trajectory", "trajectory_msgs/JointTrajectory"),
    "forward": ("commands", "std_msgs/Float64MultiArray"),
    "gripper": ("gripper_cmd", "action control_msgs/GripperCommand"),
    "none": ("-", "not sent"),
}
"""Kind of target -> its topic (a relative name: remap it) and message."""


# ---- derived from names and kinds ------------------------------------------------------------------------------------

_BODY_KINDS = {
    "body/position": ("position", "position"),
    "body/euler_angles": ("rotation", "euler"),
    "body/linear_velocity": ("velocity", "linear"),
    "body/angular_velocity": ("angular_velocity", "angular"),
}
"""Kind without its first word -> (word in the element's name, part of the message)."""


def _source(element: Element) -> Source | None:
    """From, for example, ``object_relative_velocity_x`` of kind ``state/body/linear_velocity``; None: not derivable."""
    name, kind = element.name, element.kind.partition("/")[2]
    scale = _period(element.unit)
    if kind in _BODY_KINDS:
        word, part = _BODY_KINDS[kind]
        found = re.fullmatch(rf"(?P<body>\w+?)(?P<relative>_relative)?_{word}_(?P<axis>[xyz])", name)
        if found is None:
            return None
        # The frame of a relative element begins with the body it is relative to.
        minus = element.frame.split()[0] if found["relative"] else ""
        return Source(f"{part}.{found['axis']}", body=found["body"], minus=minus, scale=scale)
    interface = kind.partition("joint/")[2]
    if interface in JOINT_FIELDS:
        return Source(interface, joint=name.removesuffix(f"_{interface}"), scale=scale)
    return None


def _target(element: Element, control_dt: float) -> Target | None:
    name, kind = element.name, element.kind.partition("/")[2]
    axis = name[-1] if re.search(r"_[xyz]$", name) else ""
    if kind in ("body/displacement", "body/linear_velocity", "body/velocity") and axis:
        return Target("twist", f"linear.{axis}", scale=1 / control_dt if kind == "body/displacement" else 1.0)
    if kind == "joint/displacement":
        return Target("gripper", joint=name.removesuffix("_displacement"))
    if kind == "joint/position":
        return Target("trajectory", joint=re.sub("_(target|position|command)$", "", name), hold="last")
    if kind in ("joint/velocity", "joint/effort"):
        return Target("forward")
    return None


def _period(unit: str) -> float:
    """``m per 0.04 s`` -> 0.04: a velocity that is given per control period."""
    found = re.search(r" per ([0-9.]+) s$", unit)
    return float(found[1]) if found else 1.0


# ---- from a file -----------------------------------------------------------------------------------------------------


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise MappingError(f"there is no mapping file {str(file)!r}")
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MappingError(f"{file} is not valid JSON: {error}") from None
    parts = ("joints", "bodies", "readings", "commands")
    if not isinstance(given, dict) or not all(isinstance(part, dict) for part in given.values()):
        raise MappingError(f"{file} has to hold one object with the parts {', '.join(parts)}")
    for key in given.keys() - set(parts):
        raise MappingError(f"{file}: " + unknown("part", key, parts))
    return given


def _joints(given: Mapping[str, Any], sources: Mapping[str, Source], targets: Mapping[str, Target]) -> dict[str, str]:
    joints = given.get("joints", {})
    used = {source.joint for source in sources.values()} | {target.joint for target in targets.values()}
    for name in joints.keys() - used:
        raise MappingError("joints: " + unknown("joint", name, used - {""}))
    return {name: _checked(f"joints.{name}", str, ros_name) for name, ros_name in joints.items()}


def _laid_over(derived: Mapping[str, T | None], given: Mapping[str, Any], part: str, kind: type[T]) -> dict[str, T]:
    """What was derived with what was ``given`` on top, entry by entry and key by key; complete, or an error."""
    changes = given.get(part, {})
    for name in changes.keys() - derived.keys():
        raise MappingError(f"{part}: " + unknown("name", name, derived))
    laid = {name: _changed(f"{part}.{name}", kind, entry, changes.get(name, {})) for name, entry in derived.items()}
    missing = [name for name, entry in laid.items() if entry is None]
    if missing:
        raise MappingError(
            f"nothing says which ROS 2 message carries {', '.join(missing)}: their kinds are not among the known ones; "
            f"give --ros2-mapping FILE with an entry for each under {part!r} (see docs/deployment.md)"
        )
    return {name: entry for name, entry in laid.items() if entry is not None}


def _changed(where: str, kind: type[T], entry: T | None, changes: Any) -> T | None:
    if not isinstance(changes, dict):
        raise MappingError(f"{where} has to be an object, got {changes!r}")
    types = {field.name: type(field.default) if field.default is not MISSING else str for field in fields(kind)}  # type: ignore[arg-type]
    for key, value in changes.items():
        if key not in types:
            raise MappingError(f"{where}: " + unknown("key", key, types))
        changes[key] = _checked(f"{where}.{key}", types[key], value)
    if entry is not None:
        return replace(entry, **changes)  # type: ignore[type-var]
    if not changes:
        return None
    try:
        return kind(**changes)
    except TypeError as error:
        raise MappingError(f"{where} is incomplete: {error}") from None


def _checked(where: str, kind: type, value: Any) -> Any:
    if kind is tuple and isinstance(value, list) and len(value) == 2 and all(isinstance(name, str) for name in value):
        return tuple(value)
    if kind is float and isinstance(value, int | float) and math.isfinite(value) and not isinstance(value, bool):
        return float(value)
    if kind in (str, bool) and isinstance(value, kind):
        return value
    wanted = {str: "a text", float: "a finite number", bool: "true or false", tuple: "[parent frame, child frame]"}[
        kind
    ]
    raise MappingError(f"{where} has to be {wanted}, got {value!r}")


def _check_source(name: str, source: Source) -> None:
    allowed = JOINT_FIELDS if source.joint else (*POSE_FIELDS, *TWIST_FIELDS)
    if bool(source.joint) == bool(source.body):
        raise MappingError(f"readings.{name} needs either a joint or a body, got {source}")
    if source.field not in allowed:
        raise MappingError(f"readings.{name}: " + unknown("field", source.field, allowed))


def _check_target(name: str, target: Target) -> None:
    if target.to not in OUTPUTS:
        raise MappingError(f"commands.{name}: " + unknown("target", target.to, OUTPUTS))
    if target.to == "twist" and target.field not in TWIST_FIELDS:
        raise MappingError(f"commands.{name}: " + unknown("field", target.field, TWIST_FIELDS))
    if target.to in ("trajectory", "gripper") and not target.joint:
        raise MappingError(f"commands.{name}: a {target.to} needs a joint")
    if target.hold not in ("zero", "last"):
        raise MappingError(f"commands.{name}: " + unknown("hold", target.hold, ("zero", "last")))
    if not target.low < target.high:
        raise MappingError(f"commands.{name}: low {target.low} has to be below high {target.high}")
