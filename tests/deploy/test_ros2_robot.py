from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sim2real.deploy.ros2_mapping import Ros2Mapping, load_mapping
from sim2real.deploy.ros2_robot import Ros2Robot
from sim2real.errors import UserError
from tests.deploy import fake_ros
from tests.deploy.contracts import contract, element
from tests.deploy.fake_ros import Ros, stamp

FETCH = contract(
    sensors=[
        element("object_relative_position_x", "state/body/position", frame="gripper position, world axes"),
        element("object_velocity_y", "state/body/linear_velocity", "m per 0.04 s"),
        element("finger_position", "state/joint/position"),
        element("finger_velocity", "state/joint/velocity", "m per 0.04 s"),
    ],
    commands=[element("goal_position_z", "command/body/position")],
    actions=[
        element("gripper_displacement_x", "target/body/displacement"),
        element("finger_displacement", "target/joint/displacement"),
    ],
)
ARM = contract(
    sensors=[element("elbow_position", "state/joint/position", "rad")],
    actions=[
        element("elbow_target", "target/joint/position", "rad"),
        element("wrist_velocity", "target/joint/velocity", "rad/s"),
    ],
)


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Ros:
    return fake_ros.install(monkeypatch)


@pytest.fixture
def robots(ros: Ros) -> Iterator[Any]:
    made = []

    def make(of: Any = FETCH, mapping: Ros2Mapping | None = None, ros_args: tuple[str, ...] = ()) -> Ros2Robot:
        made.append(Ros2Robot(of, mapping or load_mapping(of), ros_args))
        return made[-1]

    yield make
    for robot in made:
        robot.close()


def header(seconds: float) -> Any:
    return fake_ros.Header(stamp=stamp(seconds))


def pose(seconds: float, x: float = 0.0, z: float = 0.0) -> Any:
    return fake_ros.PoseStamped(header=header(seconds), pose=fake_ros.Pose(position=fake_ros.Vector(x=x, z=z)))


def twist(seconds: float, y: float) -> Any:
    return fake_ros.TwistStamped(header=header(seconds), twist=fake_ros.Twist(linear=fake_ros.Vector(y=y)))


def joints(seconds: float, **positions: float) -> Any:
    n = len(positions)
    return fake_ros.JointState(
        header=header(seconds), name=list(positions), position=list(positions.values()), velocity=[0.5] * n
    )


def deliver_all(ros: Ros, at: float = 1000.0) -> None:
    ros.deliver("object/pose", pose(at, x=1.5))
    ros.deliver("gripper/pose", pose(at, x=1.25))
    ros.deliver("object/twist", twist(at, y=2.0))
    ros.deliver("joint_states", joints(at, finger=0.03))
    ros.deliver("goal/pose", pose(at, z=0.4))


# ---- readings --------------------------------------------------------------------------------------------------------


def test_readings_by_name_in_the_units_of_the_contract(ros: Ros, robots: Any) -> None:
    robot = robots()
    assert robot.read() is None
    deliver_all(ros)
    reading = robot.read()
    assert reading.values == pytest.approx(
        {
            "object_relative_position_x": 0.25,
            "object_velocity_y": 0.08,  # 2 m/s in 40 ms
            "finger_position": 0.03,
            "finger_velocity": 0.02,
            "goal_position_z": 0.4,
        }
    )


def test_until_everything_was_seen_there_is_no_reading_and_a_line_says_why(ros: Ros, robots: Any) -> None:
    robot = robots()
    ros.deliver("object/pose", pose(1000))
    assert robot.read() is None
    assert ros.logged[-1] == "waiting for joint finger, twist of object, pose of gripper, pose of goal"


def test_the_stamp_is_the_oldest_measurement_and_a_goal_does_not_age(ros: Ros, robots: Any) -> None:
    robot = robots()
    deliver_all(ros, at=1000.0)
    assert robot.read().stamp == 50.0  # on the steady clock
    ros.elapse(0.2)
    ros.deliver("joint_states", joints(1000.2, finger=0.03))
    ros.deliver("object/pose", pose(1000.15))
    ros.deliver("gripper/pose", pose(1000.2))
    ros.deliver("object/twist", twist(1000.2, y=0.0))
    assert robot.read().stamp == pytest.approx(50.15)


def test_a_late_message_does_not_replace_a_newer_one(ros: Ros, robots: Any) -> None:
    robot = robots()
    deliver_all(ros)
    ros.deliver("object/pose", pose(999.0, x=9.0))
    assert robot.read().values["object_relative_position_x"] == 0.25


def test_a_jump_of_the_system_clock_does_not_make_old_readings_new(ros: Ros, robots: Any) -> None:
    robot = robots()
    deliver_all(ros)
    before = robot.read().stamp
    ros.time -= 3600
    assert robot.read().stamp == before
    deliver_all(ros, at=ros.time)
    assert robot.read().stamp == before
    ros.elapse(1.0)
    deliver_all(ros, at=ros.time)
    assert robot.read().stamp == pytest.approx(before + 1)


def test_a_stamp_that_was_never_set_is_old(ros: Ros, robots: Any) -> None:
    robot = robots()
    deliver_all(ros)
    ros.deliver("joint_states", joints(0.0, finger=0.01))  # older than what is known
    assert robot.read().values["finger_position"] == 0.03
    deliver_all(ros, at=0.0)
    fresh = robots()
    deliver_all(ros, at=0.0)
    assert fresh.now() - fresh.read().stamp > 900


def test_joints_of_two_publishers_and_empty_arrays(ros: Ros, robots: Any) -> None:
    robot = robots(ARM)
    ros.deliver("joint_states", joints(1000.1, head=1.0))  # another part of the robot
    assert robot.read() is None
    ros.deliver("joint_states", joints(1000.0, elbow=0.3))
    assert robot.read().values == {"elbow_position": 0.3}
    silent = joints(1000.2, elbow=0.4)
    silent.position = []
    fresh = robots(ARM)
    ros.deliver("joint_states", silent)
    assert math.isnan(fresh.read().values["elbow_position"])  # the filter refuses it, by name


def test_transforms(ros: Ros, robots: Any, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps({"bodies": {"gripper": {"tf": ["base", "tool"]}}}))
    robot = robots(mapping=load_mapping(FETCH, tmp_path / "m.json"))
    assert "gripper/pose" not in ros.subscriptions
    ros.deliver("object/pose", pose(1000, x=1.5))
    ros.deliver("object/twist", twist(1000, y=0.0))
    ros.deliver("joint_states", joints(1000, finger=0.03))
    ros.deliver("goal/pose", pose(1000))
    assert robot.read() is None

    moved = fake_ros.Transform(translation=fake_ros.Vector(x=1.0))
    ros.transforms["base", "tool"] = fake_ros.TransformStamped(header=header(999.5), transform=moved)
    reading = robot.read()
    assert reading.values["object_relative_position_x"] == 0.5
    assert reading.stamp == pytest.approx(49.5)
    ros.time -= 3600  # the same transform stays as old as it is
    assert robot.read().stamp == reading.stamp
    ros.transforms.clear()
    assert robot.read().stamp == reading.stamp


def test_quality_of_service(ros: Ros, robots: Any) -> None:
    robots()
    qualities = {topic: qos for topic, (_, _, qos) in ros.subscriptions.items()}
    assert qualities.pop("goal/pose") == {"depth": 1, "reliability": "reliable"}
    assert set(qualities) == {"joint_states", "object/pose", "object/twist", "gripper/pose"}
    assert set(qualities.values()) == {"sensor data"}


# ---- commands --------------------------------------------------------------------------------------------------------


def test_a_displacement_becomes_a_velocity(ros: Ros, robots: Any) -> None:
    ros.parameters["command_frame"] = "torso"
    robot = robots()
    robot.write({"gripper_displacement_x": 0.01, "finger_displacement": 0.0})
    [(topic, message)] = ros.published
    assert topic == "delta_twist_cmds"
    assert message.twist.linear.x == pytest.approx(0.25)
    assert (message.twist.linear.y, message.twist.angular.x) == (0.0, 0.0)
    assert (message.header.frame_id, message.header.stamp.sec) == ("torso", 1000)
    robot.hold()
    assert ros.published[-1][1].twist.linear.x == 0.0


def test_gripper_goals_are_clipped_and_sent_on_change_only(ros: Ros, robots: Any) -> None:
    ros.parameters["gripper_max_effort"] = 25.0
    robot = robots()

    def write(displacement: float) -> list[float]:
        robot.write({"gripper_displacement_x": 0.0, "finger_displacement": displacement})
        return [goal.position for goal in ros.goals]

    assert write(0.5) == []  # where the finger is is not known yet
    ros.deliver("joint_states", joints(1000, finger=0.03))
    ros.gripper_ready = False
    assert write(0.5) == []
    ros.gripper_ready = True
    assert write(0.5) == [0.1]  # 0.03 + 0.5, clipped
    assert ros.goals[0].max_effort == 25.0
    assert write(0.4) == [0.1]
    assert write(0.01) == [0.1, pytest.approx(0.04)]
    robot.hold()
    assert len(ros.goals) == 2


def test_joint_targets_and_forward_commands(ros: Ros, robots: Any) -> None:
    robot = robots(ARM)
    robot.hold()  # nothing was ever sent: only what has a zero can be stopped
    assert [(topic, m.data) for topic, m in ros.published] == [("commands", [0.0])]
    robot.write({"elbow_target": 1.2, "wrist_velocity": -0.3})
    (_, trajectory), (_, forward) = ros.published[1:]
    assert trajectory.joint_names == ["elbow"]
    assert [list(point.positions) for point in trajectory.points] == [[1.2]]
    assert (trajectory.points[0].time_from_start.nanosec, trajectory.header.stamp.sec) == (40_000_000, 0)
    assert forward.data == [-0.3]
    robot.hold()
    assert ros.published[3][1].points[0].positions == [1.2]
    assert ros.published[4][1].data == [0.0]


# ---- start, clock, end -----------------------------------------------------------------------------------------------


def test_ctrl_c_is_left_to_the_loop(ros: Ros, robots: Any) -> None:
    robots(ros_args=("-r", "joint_states:=/arm/joint_states"))
    assert ros.init == {
        "args": ["--ros-args", "-r", "joint_states:=/arm/joint_states"],
        "signal_handler_options": "no handlers",
    }


def test_the_clock_is_steady_or_the_simulators(ros: Ros, robots: Any) -> None:
    robot = robots()
    assert robot.now() == 50.0
    robot.sleep_until(50.5)
    assert robot.now() == 50.5
    robot.sleep_until(50.0)  # has passed: at once
    assert robot.now() == 50.5
    ros.time = 1000.0

    ros.parameters["use_sim_time"] = True
    simulated = robots()
    assert simulated.now() == 1000.0
    deliver_all(ros, at=999.5)
    assert simulated.read().stamp == 999.5
    simulated.sleep_until(1000.01)
    assert simulated.now() == pytest.approx(1000.01)


def test_close_ends_the_thread_and_ros(ros: Ros) -> None:
    robot = Ros2Robot(FETCH, load_mapping(FETCH))
    robot.close()
    assert ros.events == ["spins sim2real", "destroyed", "shut down"]
    assert not robot._thread.is_alive()


def test_without_ros_one_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rclpy", None)
    with pytest.raises(UserError, match=r"needs rclpy, which comes with ROS 2 .* source /opt/ros/DISTRO/setup.bash"):
        Ros2Robot(FETCH, load_mapping(FETCH))


def test_without_a_package_of_messages_likewise(ros: Ros, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "control_msgs.action", None)
    with pytest.raises(UserError, match=r"needs control_msgs, .* install ros-DISTRO-control-msgs"):
        Ros2Robot(FETCH, load_mapping(FETCH))
    assert ros.events == ["destroyed", "shut down"]
