"""The puck task over ROS: what the simulator's state gives as messages has to be what the policy saw in training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import mujoco
import numpy as np
import pytest

from sim2real.deploy.ros2_mapping import load_mapping
from sim2real.deploy.ros2_robot import Ros2Robot
from sim2real.envs.dynamics import ARM
from sim2real.envs.joints import JointRobot
from sim2real.envs.puck import CONTROL_DT, MAX_OFFSET, PUCK, RATE
from sim2real.envs.puck_model import VELOCITY_LIMITS, arm_addresses
from tests.deploy import fake_ros
from tests.deploy.contracts import contract
from tests.deploy.fake_ros import Ros, stamp

SPEC = PUCK.spec(())
CONTRACT = contract(SPEC.observation, SPEC.action, SPEC.goal)
NAMES = [f"{name}_joint" for name in ARM]
ANGLES = np.array([0.3, -0.5, 0.2, 1.4, 4.0, 0.7, -3.5])
"""Two of the joints have turned by more than half a turn."""


@pytest.fixture
def ros(monkeypatch: pytest.MonkeyPatch) -> Ros:
    return fake_ros.install(monkeypatch)


@pytest.fixture
def robot(ros: Ros) -> Iterator[Ros2Robot]:
    made = Ros2Robot(CONTRACT, load_mapping(CONTRACT))
    yield made
    made.close()


@pytest.fixture
def simulated() -> JointRobot:
    """Everything turned and moving; the puck's quaternion has a negative w."""
    sim = PUCK.robot(PUCK.initial())
    positions, speeds = arm_addresses(sim.model)
    sim.data.qpos[positions], sim.data.qvel[speeds] = ANGLES, np.linspace(-1, 1, 7)
    sim.data.qpos[-7:] = 1.3, 0.6, 0.8, -0.5, 0.1, -0.7, 0.5
    sim.data.qvel[-6:] = 0.1, -0.2, 0.3, 1.0, -2.0, 0.5
    mujoco.mj_forward(sim.model, sim.data)
    return sim


def header() -> Any:
    return fake_ros.Header(stamp=stamp(1000.0))


def vector(values: Any) -> Any:
    return fake_ros.Vector(**dict(zip("xyz", map(float, values), strict=True)))


def pose(position: Any, wxyz: Any) -> Any:
    orientation = fake_ros.Quaternion(**dict(zip("wxyz", map(float, wxyz), strict=True)))
    return fake_ros.PoseStamped(header=header(), pose=fake_ros.Pose(position=vector(position), orientation=orientation))


def velocity_of(sim: JointRobot, kind: Any, number: int) -> Any:
    """By MuJoCo's own account, in the world's axes."""
    angular_linear = np.zeros(6)
    mujoco.mj_objectVelocity(sim.model, sim.data, kind, number, angular_linear, 0)
    twist = fake_ros.Twist(angular=vector(angular_linear[:3]), linear=vector(angular_linear[3:]))
    return fake_ros.TwistStamped(header=header(), twist=twist)


def deliver(ros: Ros, sim: JointRobot, sign: float) -> None:
    """What a robot and a tracker would publish; ``sign`` is that of the quaternions."""
    data, site = sim.data, sim.model.site("robot0:grip").id
    puck = sim.model.body("object0").id
    gripper = np.zeros(4)
    mujoco.mju_mat2Quat(gripper, data.site_xmat[site])
    positions, speeds = arm_addresses(sim.model)
    ros.deliver(
        "joint_states",
        fake_ros.JointState(
            header=header(), name=NAMES, position=list(data.qpos[positions]), velocity=list(data.qvel[speeds])
        ),
    )
    ros.deliver("gripper/pose", pose(data.site_xpos[site], sign * gripper))
    ros.deliver("gripper/twist", velocity_of(sim, mujoco.mjtObj.mjOBJ_SITE, site))
    ros.deliver("puck/pose", pose(data.xpos[puck], sign * data.xquat[puck]))
    ros.deliver("puck/twist", velocity_of(sim, mujoco.mjtObj.mjOBJ_XBODY, puck))
    ros.deliver("goal/pose", pose((1.2, 0.7, 0.775), (1, 0, 0, 0)))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_readings_are_those_of_training(sign: float, ros: Ros, robot: Ros2Robot, simulated: JointRobot) -> None:
    deliver(ros, simulated, sign)
    found = robot.read()
    assert found is not None
    row = np.zeros(PUCK.reading_size)
    simulated._read(row)
    expected = PUCK.observation(row[None])[0]
    names = [element.name for element in SPEC.observation]
    np.testing.assert_allclose([found.values[name] for name in names], expected, atol=1e-9)
    assert found.values["puck_quaternion_w"] == pytest.approx(0.5)
    assert found.values["puck_quaternion_y"] == pytest.approx(0.7)
    assert [found.values[f"goal_position_{axis}"] for axis in "xyz"] == [1.2, 0.7, 0.775]


def test_targets_are_those_of_training(ros: Ros, robot: Ros2Robot, simulated: JointRobot) -> None:
    deliver(ros, simulated, 1.0)
    offsets = np.array([0.05, -0.04, 0.03, -0.02, 0.01, 0.1, -0.1])
    robot.write({f"{name}_offset": offset for name, offset in zip(NAMES, offsets, strict=True)})
    [(topic, message)] = ros.published
    assert (topic, message.joint_names) == ("joint_trajectory", NAMES)
    simulated._command(offsets)
    np.testing.assert_allclose(message.points[0].positions, simulated.data.ctrl)
    assert message.points[0].positions[0] == pytest.approx(0.35)  # 0.3 + 0.05
    robot.hold()  # stay where you are
    np.testing.assert_allclose(ros.published[-1][1].points[0].positions, ANGLES)


def test_without_a_measured_angle_there_is_no_target(ros: Ros, robot: Ros2Robot) -> None:
    robot.write({f"{name}_offset": 0.0 for name in NAMES})
    robot.hold()
    broken = [0.0] * 6 + [math.nan]
    ros.deliver("joint_states", fake_ros.JointState(header=header(), name=NAMES, position=broken))
    robot.write({f"{name}_offset": 0.0 for name in NAMES})
    robot.hold()
    assert ros.published == []


def test_the_share_of_an_offset_that_is_covered_in_a_control_period() -> None:
    """The scale that docs/deployment.md gives: with it a full action moves a joint at its real velocity limit."""
    share = 1 - math.exp(-RATE * CONTROL_DT)
    assert share == pytest.approx(0.55, abs=0.001)
    np.testing.assert_allclose(0.55 * MAX_OFFSET / CONTROL_DT, VELOCITY_LIMITS, rtol=0.002)
