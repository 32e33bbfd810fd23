"""A ROS 2 robot: `Robot` over topics, for any contract (`docs/deployment.md` lists them). Needs a sourced ROS 2
installation (rclpy); nothing of ROS is imported before a robot is made."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim2real.deploy.contract import Contract
from sim2real.deploy.robot import Reading
from sim2real.deploy.ros2_elements import JOINT_ARRAYS, POSE_FIELDS, TWIST_FIELDS, Source
from sim2real.deploy.ros2_mapping import Ros2Mapping
from sim2real.deploy.ros2_outputs import make_outputs
from sim2real.deploy.ros2_values import joint_value, pose_values, twist_values
from sim2real.errors import UserError


@dataclass
class _State:
    """What the last messages said: values by field, and the stamp of each group of fields."""

    values: dict[str, float] = field(default_factory=dict)
    stamps: dict[str, float] = field(default_factory=dict)

    def update(self, group: str, stamp: float, values: Mapping[str, float]) -> None:
        """Take a message; one that is older than what is known arrived out of order and is dropped."""
        if stamp >= self.stamps.get(group, -math.inf):
            self.stamps[group] = stamp
            self.values.update(values)


class Ros2Robot:
    """Reads joint states, poses, twists and transforms; writes what the mapping says.

    Messages arrive in a thread of their own. Stamps are translated to this process's steady clock when a message
    arrives (age by the ROS clock, subtracted from now), so that a jump of the system's clock cannot make an old reading
    look new; with ``use_sim_time`` everything runs on the simulator's clock. A message whose stamp was never set is
    infinitely old, and the safety filter treats it so.
    """

    def __init__(self, contract: Contract, mapping: Ros2Mapping, ros_args: Sequence[str] = ()) -> None:
        """Start a node ``sim2real``. ``ros_args``: what follows ``--ros-args`` (remappings, parameters)."""
        try:
            import rclpy
            from rclpy.executors import SingleThreadedExecutor
            from rclpy.signals import SignalHandlerOptions
        except ImportError as error:
            raise _needs(error) from None
        # rclpy's own handler shuts the context down at Ctrl-C, before the command that stops the robot can be sent.
        rclpy.init(args=["--ros-args", *ros_args] if ros_args else [], signal_handler_options=SignalHandlerOptions.NO)
        self._rclpy, self._mapping = rclpy, mapping
        self.node = rclpy.create_node("sim2real")
        self._sim_time = bool(self.node.get_parameter("use_sim_time").value)
        self._lock = threading.Lock()
        self._joints: dict[str, _State] = {}
        self._bodies: dict[str, _State] = {name: _State() for name in mapping.bodies}
        self._tf: Any = None
        self._tf_seen: dict[str, tuple[int, int]] = {}
        try:
            self._subscribe()
            self._outputs = make_outputs(self.node, mapping, contract.control_dt, self._position)
        except ImportError as error:  # of messages, which a small ROS installation may lack
            self.node.destroy_node()
            rclpy.try_shutdown()
            raise _needs(error) from None
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name="ros2", daemon=True)
        self._thread.start()

    # ---- Robot -------------------------------------------------------------------------------------------------------

    def read(self) -> Reading | None:
        self._look_up()
        with self._lock:
            missing = self._missing()
            if not missing:
                values = {name: self._value(source) for name, source in self._mapping.readings.items()}
                return Reading(min(self._stamps(), default=self.now()), values)
        self.node.get_logger().info(f"waiting for {', '.join(missing)}", throttle_duration_sec=2.0)
        return None

    def write(self, command: Mapping[str, float]) -> None:
        for output in self._outputs:
            output.write(command)

    def hold(self) -> None:
        for output in self._outputs:
            output.hold()

    def now(self) -> float:
        return self._ros_now() / 1e9 if self._sim_time else time.monotonic()

    def sleep_until(self, time_: float) -> None:
        # In slices: the simulator's clock may run at any speed, and stop.
        while (left := time_ - self.now()) > 0:
            time.sleep(min(left, 0.001) if self._sim_time else left)

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join(timeout=1.0)
        self.node.destroy_node()
        self._rclpy.try_shutdown()

    def offer(self, *, stop: Callable[[str], None], rearm: Callable[[], None]) -> None:
        """Offer the services ``~/stop`` and ``~/rearm`` (std_srvs/Trigger) to operators and emergency stops."""
        from std_srvs.srv import Trigger

        def serve(name: str, act: Callable[[], None]) -> None:
            def answer(request: Any, response: Any) -> Any:
                act()
                response.success, response.message = True, f"{name}: takes effect at the next control step"
                return response

            self.node.create_service(Trigger, f"~/{name}", answer)

        serve("stop", lambda: stop("by the service ~/stop"))
        serve("rearm", rearm)

    # ---- messages in -------------------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        from geometry_msgs.msg import PoseStamped, TwistStamped
        from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
        from sensor_msgs.msg import JointState

        goal_qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
        if self._mapping.needed_joints:
            self.node.create_subscription(JointState, "joint_states", self._on_joints, qos_profile_sensor_data)
        for name, body in self._mapping.bodies.items():
            qos = goal_qos if body.command else qos_profile_sensor_data
            if self._mapping.needs(name, POSE_FIELDS):
                if body.tf:
                    self._listen_to_tf()
                else:
                    self.node.create_subscription(PoseStamped, body.pose, self._on(name, "pose", _pose_values), qos)
            if self._mapping.needs(name, TWIST_FIELDS):
                self.node.create_subscription(TwistStamped, body.twist, self._on(name, "twist", twist_values), qos)

    def _listen_to_tf(self) -> None:
        if self._tf is None:
            from tf2_ros import Buffer, TransformListener

            self._tf = Buffer()
            self._tf_listener = TransformListener(self._tf, self.node)

    def _on(self, body: str, group: str, values: Any) -> Any:
        def callback(message: Any) -> None:
            stamp = self._translated(message.header.stamp)
            with self._lock:
                self._bodies[body].update(group, stamp, values(getattr(message, group)))

        return callback

    def _on_joints(self, message: Any) -> None:
        stamp = self._translated(message.header.stamp)
        # Each of the three arrays may be empty, and several publishers may each send some of the joints.
        arrays = [(name, getattr(message, name)) for name in JOINT_ARRAYS]
        with self._lock:
            for i, joint in enumerate(message.name):
                values = {name: float(array[i]) for name, array in arrays if i < len(array)}
                self._joints.setdefault(joint, _State()).update("joint", stamp, values)

    def _look_up(self) -> None:
        """Ask tf for the newest transform of each body that comes from there."""
        for name, body in self._mapping.bodies.items():
            if not body.tf or not self._mapping.needs(name, POSE_FIELDS):
                continue
            from rclpy.time import Time
            from tf2_ros import TransformException

            try:
                found = self._tf.lookup_transform(*body.tf, Time())
            except TransformException:
                continue  # as with a lost message: what is known ages
            header, moved = found.header.stamp, found.transform
            # The same transform is found again until a new one comes: translated again after the system's clock jumped
            # back, it would look new.
            if self._tf_seen.get(name) != (header.sec, header.nanosec):
                self._tf_seen[name] = (header.sec, header.nanosec)
                with self._lock:
                    self._bodies[name].update(
                        "pose", self._translated(header), pose_values(moved.translation, moved.rotation)
                    )

    def _translated(self, stamp: Any) -> float:
        """A ROS stamp on the clock of `now`."""
        nanoseconds = int(stamp.sec) * 10**9 + int(stamp.nanosec)
        return nanoseconds / 1e9 if self._sim_time else self.now() - (self._ros_now() - nanoseconds) / 1e9

    def _ros_now(self) -> int:
        """The ROS clock (in nanoseconds)."""
        return int(self.node.get_clock().now().nanoseconds)

    # ---- readings out; the caller holds the lock ---------------------------------------------------------------------

    def _needed(self) -> list[tuple[str, dict[str, _State], str, str]]:
        """(what to call it, states, name, group) of everything a reading is made of."""
        needed = [(f"joint {joint}", self._joints, joint, "joint") for joint in sorted(self._mapping.needed_joints)]
        for name in self._mapping.bodies:
            for group, names in (("pose", POSE_FIELDS), ("twist", TWIST_FIELDS)):
                if self._mapping.needs(name, names):
                    needed.append((f"{group} of {name}", self._bodies, name, group))
        return needed

    def _missing(self) -> list[str]:
        return [
            called
            for called, states, name, group in self._needed()
            if name not in states or group not in states[name].stamps
        ]

    def _stamps(self) -> list[float]:
        """Stamps of what is measured; what somebody commands does not age."""
        return [
            states[name].stamps[group]
            for _, states, name, group in self._needed()
            if states is self._joints or not self._mapping.bodies[name].command
        ]

    def _value(self, source: Source) -> float:
        if source.joint:
            values = self._joints[self._mapping.joint(source.joint)].values
            return joint_value(values, source.field) * source.scale
        value = self._bodies[source.body].values[source.field]
        if source.minus:
            value -= self._bodies[source.minus].values[source.field]
        return value * source.scale

    def _position(self, joint: str) -> float | None:
        with self._lock:
            value = joint_value(self._joints[joint].values, "position") if joint in self._joints else math.nan
        # The filter made sure of the command only: what is added to it has to be a number too.
        return value if math.isfinite(value) else None

    def _spin(self) -> None:
        from rclpy.executors import ExternalShutdownException

        try:
            self._executor.spin()
        except ExternalShutdownException:  # somebody ended ROS: messages stop, readings age, the filter stops the robot
            return


def _needs(error: ImportError) -> UserError:
    package = (error.name or "rclpy").partition(".")[0]
    return UserError(
        f"--robot ros2 needs {package}, which comes with ROS 2 and not from PyPI: source /opt/ros/DISTRO/setup.bash, "
        "and use the Python that ROS was built for; if ROS itself is there, install "
        f"ros-DISTRO-{package.replace('_', '-')}"
    )


def _pose_values(pose: Any) -> dict[str, float]:
    return pose_values(pose.position, pose.orientation)
