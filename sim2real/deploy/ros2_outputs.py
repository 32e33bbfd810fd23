"""Commands as ROS 2 messages: one output for each kind of target in the mapping. ROS is imported only here and in
`sim2real.deploy.ros2_robot`, and only when a robot is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from sim2real.deploy.ros2_elements import OUTPUTS, Target
from sim2real.deploy.ros2_mapping import Ros2Mapping

GRIPPER_STEP = 0.05
"""A new goal is sent to the gripper when its target moved by this share of its range: an action server is not made for
a goal every 40 ms."""


class Output(Protocol):
    """Some elements of the action and the message that carries them."""

    def write(self, command: Mapping[str, float]) -> None:
        """Send one message. ``command`` holds all elements; an output takes its own."""

    def hold(self) -> None:
        """Send what stops the motion."""


def make_outputs(
    node: Any, mapping: Ros2Mapping, control_dt: float, measured: Callable[[str], float | None]
) -> list[Output]:
    """The outputs that ``mapping`` asks for; ``measured`` gives the position of a joint by its ROS name, None before
    the first message."""
    outputs: list[Output] = []
    for to in OUTPUTS:
        targets = {name: target for name, target in mapping.commands.items() if target.to == to}
        if not targets or to == "none":
            continue
        if to == "twist":
            outputs.append(_Twist(node, targets))
        elif to == "trajectory":
            outputs.append(_Trajectory(node, targets, _Values(targets, mapping, measured), control_dt))
        elif to == "forward":
            outputs.append(_Forward(node, targets, _Values(targets, mapping, measured)))
        else:
            outputs += [_Gripper(node, *item, mapping, measured) for item in targets.items()]
    return outputs


def _stopped(targets: Mapping[str, Target], last: Mapping[str, float]) -> dict[str, float] | None:
    """The command that stops: the last one for positions, zero for the rest; None if a position was never sent."""
    if any(target.hold == "last" and name not in last for name, target in targets.items()):
        return None
    return {name: last[name] if target.hold == "last" else 0.0 for name, target in targets.items()}


class _Values:
    """The numbers of joint targets in ROS units; relative ones are added to where their joints were measured last."""

    def __init__(
        self, targets: Mapping[str, Target], mapping: Ros2Mapping, measured: Callable[[str], float | None]
    ) -> None:
        self._targets, self._measured = targets, measured
        self.joints = [mapping.joint(target.joint) for target in targets.values()]

    def __call__(self, command: Mapping[str, float]) -> list[float] | None:
        """None if a joint that is needed was not measured: then there is no target for any."""
        values = []
        for joint, (name, target) in zip(self.joints, self._targets.items(), strict=True):
            origin = self._measured(joint) if target.relative else 0.0
            if origin is None:
                return None
            values.append(float(origin + command[name] * target.scale))
        return values


class _Twist:
    """geometry_msgs/TwistStamped, for example to MoveIt Servo or a cartesian velocity controller."""

    def __init__(self, node: Any, targets: Mapping[str, Target]) -> None:
        from geometry_msgs.msg import TwistStamped

        self._node, self._targets, self._message = node, targets, TwistStamped
        self._frame = node.declare_parameter("command_frame", "base_link").value
        self._publisher = node.create_publisher(TwistStamped, OUTPUTS["twist"][0], 1)

    def write(self, command: Mapping[str, float]) -> None:
        message = self._message()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.header.frame_id = self._frame
        for name, target in self._targets.items():
            part, axis = target.field.split(".")
            setattr(getattr(message.twist, part), axis, float(command[name] * target.scale))
        self._publisher.publish(message)

    def hold(self) -> None:
        self.write(dict.fromkeys(self._targets, 0.0))


class _Trajectory:
    """trajectory_msgs/JointTrajectory with one point, one control period ahead, to a joint trajectory controller."""

    def __init__(self, node: Any, targets: Mapping[str, Target], values: _Values, control_dt: float) -> None:
        from rclpy.duration import Duration
        from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

        self._targets, self._messages = targets, (JointTrajectory, JointTrajectoryPoint)
        self._values = values
        self._ahead = Duration(seconds=control_dt).to_msg()
        self._publisher = node.create_publisher(JointTrajectory, OUTPUTS["trajectory"][0], 1)
        self._last: dict[str, float] = {}

    def write(self, command: Mapping[str, float]) -> None:
        values = self._values(command)
        if values is None:
            return
        self._last = {name: command[name] for name in self._targets}
        # The header's stamp stays zero: start at once. A stamp of now would be in the past when it arrives.
        message, point = self._messages[0](), self._messages[1]()
        message.joint_names = list(self._values.joints)
        point.positions = values
        point.time_from_start = self._ahead
        message.points = [point]
        self._publisher.publish(message)

    def hold(self) -> None:
        if stop := _stopped(self._targets, self._last):
            self.write(stop)


class _Forward:
    """std_msgs/Float64MultiArray to a forward command controller, in the contract's order of these elements."""

    def __init__(self, node: Any, targets: Mapping[str, Target], values: _Values) -> None:
        from std_msgs.msg import Float64MultiArray

        self._targets, self._values, self._message = targets, values, Float64MultiArray
        self._publisher = node.create_publisher(Float64MultiArray, OUTPUTS["forward"][0], 1)
        self._last: dict[str, float] = {}

    def write(self, command: Mapping[str, float]) -> None:
        if (values := self._values(command)) is not None:
            self._last = {name: command[name] for name in self._targets}
            self._publisher.publish(self._message(data=values))

    def hold(self) -> None:
        if stop := _stopped(self._targets, self._last):
            self.write(stop)


class _Gripper:
    """Goals of the action control_msgs/GripperCommand: the finger's measured position plus the displacement."""

    def __init__(
        self,
        node: Any,
        element: str,
        target: Target,
        mapping: Ros2Mapping,
        measured: Callable[[str], float | None],
    ) -> None:
        from control_msgs.action import GripperCommand
        from rclpy.action import ActionClient

        self._node, self._element, self._target, self._action = node, element, target, GripperCommand
        self._joint, self._measured = mapping.joint(target.joint), measured
        self._effort = float(node.declare_parameter("gripper_max_effort", 10.0).value)
        self._client = ActionClient(node, GripperCommand, OUTPUTS["gripper"][0])
        self._goal: float | None = None

    def write(self, command: Mapping[str, float]) -> None:
        position = self._measured(self._joint)
        if position is not None:
            self._send(position + command[self._element] * self._target.scale)

    def hold(self) -> None:
        """Nothing to do: a gripper stays where it was sent, and what it holds should not fall."""

    def _send(self, position: float) -> None:
        low, high = self._target.low, self._target.high
        position = min(max(position, low), high)
        if self._goal is not None and abs(position - self._goal) < GRIPPER_STEP * (high - low):
            return
        if not self._client.server_is_ready():
            self._node.get_logger().warning("no server of the gripper's action yet", throttle_duration_sec=2.0)
            return
        goal = self._action.Goal()
        goal.command.position, goal.command.max_effort = position, self._effort
        self._client.send_goal_async(goal)
        self._goal = position
