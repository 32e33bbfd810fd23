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

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sim2real.deploy.contract import Contract
from sim2real.deploy.ros2_elements import (
    JOINT_ARRAYS,
    OUTPUTS,
    POSE_FIELDS,
    TWIST_FIELDS,
    Body,
    MappingError,
    Source,
    Target,
    check_source,
    check_target,
)
from sim2real.deploy.ros2_mapping_file import joint_names, laid_over, read_file
from sim2real.types import Element


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
        sent = [target for target in self.commands.values() if target.to != "none"]
        moved = {target.joint for target in sent if target.to == "gripper" or target.relative}
        return frozenset(map(self.joint, read | moved))

    def needs(self, body: str, names: tuple[str, ...]) -> bool:
        """Whether a reading uses one of the fields ``names`` of ``body``."""
        sources = self.readings.values()
        return any(body in (source.body, source.minus) and source.field in names for source in sources)


def load_mapping(contract: Contract, file: str | Path | None = None) -> Ros2Mapping:
    """The mapping of ``contract``, with what ``file`` says laid over it.

    Raises:
        MappingError: an element has no source or target, or the file names something that does not exist.
    """
    given = read_file(Path(file)) if file else {}
    readings = {e.name: (e, term.source) for term in contract.terms if term.source != "feedback" for e in term.elements}
    sources = laid_over({name: _source(e) for name, (e, _) in readings.items()}, given, "readings", Source)
    targets = laid_over(
        {e.name: _target(e, contract.control_dt) for e in contract.action_elements}, given, "commands", Target
    )
    commanded = {source.body for name, source in sources.items() if readings[name][1] == "command"}
    names = dict.fromkeys(name for source in sources.values() for name in (source.body, source.minus) if name)
    derived = {name: Body(pose=f"{name}/pose", twist=f"{name}/twist", command=name in commanded) for name in names}
    mapping = Ros2Mapping(
        sources, targets, laid_over(derived, given, "bodies", Body), joint_names(given, sources, targets)
    )
    for name, source in sources.items():
        check_source(name, source)
    for name, target in targets.items():
        check_target(name, target)
    grippers = [name for name, target in targets.items() if target.to == "gripper"]
    if len(grippers) > 1:
        raise MappingError(
            f"commands: {', '.join(grippers)} all go to the gripper, which takes one; send the others to 'none'"
        )
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


# ---- derived from names and kinds ------------------------------------------------------------------------------------

_BODY_KINDS = {
    "body/position": ("position", "position", "[xyz]"),
    "body/euler_angles": ("rotation", "euler", "[xyz]"),
    "body/rotation_matrix": ("rotation", "rotation", "[xyz]{2}"),
    "body/quaternion": ("quaternion", "quaternion", "[wxyz]"),
    "body/linear_velocity": ("velocity", "linear", "[xyz]"),
    "body/angular_velocity": ("angular_velocity", "angular", "[xyz]"),
}
"""Kind without its first word -> (word in the element's name, part of the message, how the name ends)."""
_JOINT_KINDS = {
    **{f"joint/{array}": (array, array) for array in JOINT_ARRAYS},
    "joint/position_sine": ("sine", "position.sine"),
    "joint/position_cosine": ("cosine", "position.cosine"),
}
"""Kind without its first word -> (last word of the element's name, field)."""


def _source(element: Element) -> Source | None:
    """From, for example, ``object_relative_velocity_x`` of kind ``state/body/linear_velocity``; None: not derivable."""
    name, kind = element.name, element.kind.partition("/")[2]
    scale = _period(element.unit)
    if kind in _BODY_KINDS:
        word, part, ends = _BODY_KINDS[kind]
        found = re.fullmatch(rf"(?P<body>\w+?)(?P<relative>_relative)?_{word}_(?P<end>{ends})", name)
        if found is None:
            return None
        # The frame of a relative element begins with the body it is relative to.
        minus = element.frame.split()[0] if found["relative"] else ""
        return Source(f"{part}.{found['end']}", body=found["body"], minus=minus, scale=scale)
    if kind in _JOINT_KINDS:
        word, field = _JOINT_KINDS[kind]
        return Source(field, joint=name.removesuffix(f"_{word}"), scale=scale)
    return None


def _target(element: Element, control_dt: float) -> Target | None:
    name, kind = element.name, element.kind.partition("/")[2]
    axis = name[-1] if re.search(r"_[xyz]$", name) else ""
    if kind in ("body/displacement", "body/linear_velocity", "body/velocity") and axis:
        return Target("twist", f"linear.{axis}", scale=1 / control_dt if kind == "body/displacement" else 1.0)
    if kind == "joint/displacement" and element.unit == "rad":
        # Not a gripper, whose commands are in metres. As in training: a target, from where the joint is.
        return Target("trajectory", joint=re.sub("_(offset|displacement)$", "", name), relative=True)
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
