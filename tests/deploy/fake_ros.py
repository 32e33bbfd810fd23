"""A ROS 2 in memory: the parts of rclpy and the messages that the adapter uses, with the names and defaults of Jazzy.

Messages are delivered when a test calls `Ros.deliver`; clocks move when a test moves them.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


def message(**fields: Callable[[], Any]) -> type:
    """A message class: attributes with defaults, settable by keyword, unknown names refused as in generated code."""

    class Message:
        __slots__ = tuple(fields)

        def __init__(self, **values: Any) -> None:
            for name, default in fields.items():
                setattr(self, name, values.pop(name) if name in values else default())
            assert not values, f"unknown fields {sorted(values)}"

    return Message


Stamp = message(sec=int, nanosec=int)
Header = message(stamp=Stamp, frame_id=str)
Vector = message(x=float, y=float, z=float)
Quaternion = message(x=float, y=float, z=float, w=lambda: 1.0)
Pose = message(position=Vector, orientation=Quaternion)
Twist = message(linear=Vector, angular=Vector)
Transform = message(translation=Vector, rotation=Quaternion)
PoseStamped = message(header=Header, pose=Pose)
TwistStamped = message(header=Header, twist=Twist)
TransformStamped = message(header=Header, transform=Transform)
JointState = message(header=Header, name=list, position=list, velocity=list, effort=list)
JointTrajectory = message(header=Header, joint_names=list, points=list)
JointTrajectoryPoint = message(positions=list, time_from_start=Stamp)
Float64MultiArray = message(data=list)


def stamp(seconds: float) -> Any:
    return Stamp(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))


@dataclass
class Ros:
    """What happened, and what the test sets."""

    time: float = 1000.0
    """The ROS clock (in seconds)."""
    steady: float = 50.0
    """The machine's steady clock (in seconds)."""
    parameters: dict[str, Any] = field(default_factory=lambda: {"use_sim_time": False})
    subscriptions: dict[str, tuple[type, Callable[[Any], None], Any]] = field(default_factory=dict)
    published: list[tuple[str, Any]] = field(default_factory=list)
    goals: list[Any] = field(default_factory=list)
    transforms: dict[tuple[str, str], Any] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)
    services: dict[str, Callable[[], Any]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    init: dict[str, Any] = field(default_factory=dict)
    gripper_ready: bool = True
    on_spin: Callable[[], None] = lambda: None
    """Called once messages can arrive."""

    def elapse(self, seconds: float) -> None:
        """Time passes, on both clocks."""
        self.time += seconds
        self.steady += seconds

    def deliver(self, topic: str, content: Any) -> None:
        kind, callback, _ = self.subscriptions[topic]
        assert type(content) is kind
        callback(content)


def install(monkeypatch: pytest.MonkeyPatch) -> Ros:
    """Put a fresh ROS into ``sys.modules``."""
    ros = Ros()
    clock = SimpleNamespace(monotonic=lambda: ros.steady, sleep=ros.elapse)
    monkeypatch.setattr("sim2real.deploy.ros2_robot.time", clock)

    class Time:
        nanoseconds = property(lambda self: round(ros.time * 1e9))

        def to_msg(self) -> Any:
            return stamp(ros.time)

    class Node:
        def __init__(self, name: str) -> None:
            self.name = name

        def get_clock(self) -> Any:
            return SimpleNamespace(now=Time)

        def get_parameter(self, name: str) -> Any:
            return SimpleNamespace(value=ros.parameters[name])

        def declare_parameter(self, name: str, default: Any) -> Any:
            return SimpleNamespace(value=ros.parameters.setdefault(name, default))

        def create_subscription(self, kind: type, topic: str, callback: Any, qos: Any) -> None:
            ros.subscriptions[topic] = (kind, callback, qos)

        def create_publisher(self, kind: type, topic: str, depth: int) -> Any:
            def publish(content: Any) -> None:
                assert type(content) is kind
                ros.published.append((topic, content))

            return SimpleNamespace(publish=publish)

        def create_service(self, kind: Any, name: str, answer: Any) -> None:
            ros.services[name] = lambda: answer(None, kind.Response())

        def get_logger(self) -> Any:
            def log(text: str, throttle_duration_sec: float = 0.0) -> None:
                ros.logged.append(text)

            return SimpleNamespace(info=log, warning=log)

        def destroy_node(self) -> None:
            ros.events.append("destroyed")

    class Executor:
        def __init__(self) -> None:
            self._ended = threading.Event()

        def add_node(self, node: Node) -> None:
            ros.events.append(f"spins {node.name}")

        def spin(self) -> None:
            ros.on_spin()
            self._ended.wait(10)

        def shutdown(self) -> None:
            self._ended.set()

    class Goal:
        def __init__(self) -> None:
            self.command = SimpleNamespace(position=0.0, max_effort=0.0)

    class ActionClient:
        def __init__(self, node: Node, action: Any, name: str) -> None:
            self.name = name

        def server_is_ready(self) -> bool:
            return ros.gripper_ready

        def send_goal_async(self, goal: Goal) -> None:
            ros.goals.append(goal.command)

    class TransformException(Exception):  # noqa: N818 - tf2's name
        pass

    class Buffer:
        def lookup_transform(self, parent: str, child: str, time: Any) -> Any:
            if (parent, child) not in ros.transforms:
                raise TransformException(f"{child} is not known")
            return ros.transforms[parent, child]

    def init(**options: Any) -> None:
        ros.init = options

    modules: dict[str, dict[str, Any]] = {
        "rclpy": {"init": init, "create_node": Node, "try_shutdown": lambda: ros.events.append("shut down")},
        "rclpy.executors": {
            "SingleThreadedExecutor": Executor,
            "ExternalShutdownException": type("ExternalShutdownException", (Exception,), {}),
        },
        "rclpy.signals": {"SignalHandlerOptions": SimpleNamespace(NO="no handlers")},
        "rclpy.qos": {
            "QoSProfile": lambda **options: options,
            "ReliabilityPolicy": SimpleNamespace(RELIABLE="reliable"),
            "qos_profile_sensor_data": "sensor data",
        },
        "rclpy.time": {"Time": Time},
        "rclpy.duration": {"Duration": lambda seconds: SimpleNamespace(to_msg=lambda: stamp(seconds))},
        "rclpy.action": {"ActionClient": ActionClient},
        "geometry_msgs": {},
        "geometry_msgs.msg": {"PoseStamped": PoseStamped, "TwistStamped": TwistStamped},
        "sensor_msgs": {},
        "sensor_msgs.msg": {"JointState": JointState},
        "std_msgs": {},
        "std_msgs.msg": {"Float64MultiArray": Float64MultiArray},
        "std_srvs": {},
        "std_srvs.srv": {"Trigger": SimpleNamespace(Response=lambda: SimpleNamespace(success=False, message=""))},
        "trajectory_msgs": {},
        "trajectory_msgs.msg": {"JointTrajectory": JointTrajectory, "JointTrajectoryPoint": JointTrajectoryPoint},
        "control_msgs": {},
        "control_msgs.action": {"GripperCommand": SimpleNamespace(Goal=Goal)},
        "tf2_ros": {
            "Buffer": Buffer,
            "TransformListener": lambda buffer, node: None,
            "TransformException": TransformException,
        },
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return ros
