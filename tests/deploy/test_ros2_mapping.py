from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim2real.deploy.ros2_elements import Body, MappingError, Source, Target
from sim2real.deploy.ros2_mapping import load_mapping, table
from sim2real.envs import TASKS
from sim2real.envs.dynamics import ARM
from tests.deploy.contracts import contract, element


def of_task(name: str) -> Any:
    spec = TASKS[name].spec(())
    return contract(spec.observation, spec.action, spec.goal)


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(content: Any) -> Path:
        path = tmp_path / "mapping.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_fetch_is_derived_from_its_kinds() -> None:
    mapping = load_mapping(of_task("FetchPush"))
    assert len(mapping.readings) == 28
    assert mapping.readings["object_position_z"] == Source("position.z", body="object")
    assert mapping.readings["object_relative_position_x"] == Source("position.x", body="object", minus="gripper")
    assert mapping.readings["object_relative_velocity_y"] == Source(
        "linear.y", body="object", minus="gripper", scale=0.04
    )
    assert mapping.readings["object_angular_velocity_z"] == Source("angular.z", body="object", scale=0.04)
    assert mapping.readings["object_rotation_x"] == Source("euler.x", body="object")
    assert mapping.readings["left_finger_velocity"] == Source("velocity", joint="left_finger", scale=0.04)
    assert mapping.bodies == {
        "gripper": Body("gripper/pose", (), "gripper/twist"),
        "object": Body("object/pose", (), "object/twist"),
        "goal": Body("goal/pose", (), "goal/twist", command=True),
    }
    # 5 cm in 40 ms are 1.25 m/s.
    assert mapping.commands["gripper_displacement_y"] == Target("twist", "linear.y", scale=25.0)
    assert mapping.commands["finger_displacement"] == Target("gripper", joint="finger")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_derived(task: str) -> None:
    arm = {f"{name}_joint" for name in ARM}
    needed = arm if task == "FetchPuck" else {"finger", "left_finger", "right_finger"}
    assert load_mapping(of_task(task)).needed_joints == needed


def test_puck_is_derived_from_its_kinds() -> None:
    mapping = load_mapping(of_task("FetchPuck"))
    assert len(mapping.readings) == 55  # 52 and the goal
    assert mapping.readings["elbow_flex_joint_sine"] == Source("position.sine", joint="elbow_flex_joint")
    assert mapping.readings["elbow_flex_joint_cosine"] == Source("position.cosine", joint="elbow_flex_joint")
    assert mapping.readings["elbow_flex_joint_velocity"] == Source("velocity", joint="elbow_flex_joint")
    assert mapping.readings["gripper_rotation_zx"] == Source("rotation.zx", body="gripper")
    assert mapping.readings["puck_quaternion_w"] == Source("quaternion.w", body="puck")
    assert mapping.readings["puck_angular_velocity_z"] == Source("angular.z", body="puck")
    assert mapping.readings["puck_relative_position_y"] == Source("position.y", body="puck", minus="gripper")
    assert set(mapping.bodies) == {"gripper", "puck", "goal"}
    assert list(mapping.commands.values()) == [
        Target("trajectory", joint=f"{name}_joint", relative=True) for name in ARM
    ]


def test_new_fields_in_a_file(file: Any) -> None:
    unnamed = contract([element("a"), element("b"), element("c")], [element("d"), element("e")])
    given = {
        "readings": {
            "a": {"joint": "elbow", "field": "position.cosine"},
            "b": {"body": "cube", "field": "rotation.xy"},
            "c": {"body": "cube", "field": "quaternion.w", "scale": -1},
        },
        "commands": {
            "d": {"to": "forward", "joint": "wrist", "relative": True},
            "e": {"to": "none", "joint": "neck", "relative": True},
        },
    }
    mapping = load_mapping(unnamed, file(given))
    assert mapping.readings["c"] == Source("quaternion.w", body="cube", scale=-1.0)
    assert mapping.needed_joints == {"elbow", "wrist"}  # nothing is sent to the neck
    assert ("in", "cube/pose", "geometry_msgs/PoseStamped: cube") in table(mapping)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("readings", {"gripper_rotation_xx": {"field": "rotation.xw"}}, "unknown field 'rotation.xw'. Did you mean"),
        ("readings", {"gripper_rotation_xx": {"minus": "puck"}}, "rotation.xx cannot be relative"),
        ("readings", {"elbow_flex_joint_sine": {"field": "velocity.sine"}}, "unknown field 'velocity.sine'"),
        ("commands", {"elbow_flex_joint_offset": {"hold": "last"}}, "a repeated offset moves the joint on"),
        ("commands", {"elbow_flex_joint_offset": {"to": "twist", "field": "linear.x"}}, "another target than a twist"),
        ("commands", {"elbow_flex_joint_offset": {"to": "forward", "joint": ""}}, "a relative command needs a joint"),
    ],
)
def test_a_wrong_file_for_the_puck(part: str, changes: Any, message: str, file: Any) -> None:
    with pytest.raises(MappingError, match=message):
        load_mapping(of_task("FetchPuck"), file({part: changes}))


def test_joint_space() -> None:
    joints = contract(
        [element("elbow_flex_position", "state/joint/position", "rad")],
        [
            element("elbow_flex_target", "target/joint/position", "rad"),
            element("wrist_velocity", "target/joint/velocity", "rad/s"),
        ],
    )
    mapping = load_mapping(joints)
    assert mapping.readings["elbow_flex_position"] == Source("position", joint="elbow_flex")
    assert mapping.commands["elbow_flex_target"] == Target("trajectory", joint="elbow_flex", hold="last")
    assert mapping.commands["wrist_velocity"] == Target("forward")


def test_a_file_changes_what_it_names_and_nothing_else(file: Any) -> None:
    changes = {
        "joints": {"right_finger": "r_gripper_finger_joint"},
        "bodies": {"object": {"tf": ["base_link", "cube"]}},
        "readings": {"object_rotation_z": {"scale": -1}},
        "commands": {"finger_displacement": {"joint": "right_finger", "high": 0.05}},
    }
    plain, mapping = load_mapping(of_task("FetchPush")), load_mapping(of_task("FetchPush"), file(changes))
    assert mapping.needed_joints == {"r_gripper_finger_joint", "left_finger"}
    assert mapping.bodies["object"] == Body("object/pose", ("base_link", "cube"), "object/twist")
    assert mapping.readings["object_rotation_z"] == Source("euler.z", body="object", scale=-1.0)
    assert mapping.commands["finger_displacement"] == Target("gripper", joint="right_finger", high=0.05)
    assert {k: v for k, v in mapping.readings.items() if v != plain.readings[k]}.keys() == {"object_rotation_z"}


def test_elements_without_kinds_come_from_the_file(file: Any) -> None:
    unnamed = contract([element("observation_0")], [element("action_0")])
    with pytest.raises(MappingError, match=r"carries observation_0: .* under 'readings'"):
        load_mapping(unnamed)
    given = {
        "readings": {"observation_0": {"body": "cube", "field": "position.x"}},
        "commands": {"action_0": {"to": "none"}},
    }
    mapping = load_mapping(unnamed, file(given))
    assert mapping.bodies == {"cube": Body("cube/pose", (), "cube/twist")}
    assert mapping.commands == {"action_0": Target("none")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ([1], "has to hold one object with the parts joints, bodies"),
        ({"reading": {}}, "unknown part 'reading'. Did you mean 'readings'?"),
        ({"readings": {"object_position_w": {}}}, "readings: unknown name 'object_position_w'. Did you mean"),
        ({"readings": {"object_position_x": 3}}, "readings.object_position_x has to be an object, got 3"),
        ({"readings": {"object_position_x": {"feild": "x"}}}, "unknown key 'feild'. Did you mean 'field'?"),
        ({"readings": {"object_position_x": {"field": "position.w"}}}, "unknown field 'position.w'"),
        ({"readings": {"object_position_x": {"scale": True}}}, "scale has to be a finite number, got True"),
        ({"readings": {"object_position_x": {"joint": "a"}}}, "needs either a joint or a body"),
        ({"bodies": {"object": {"tf": ["a"]}}}, r"tf has to be \[parent frame, child frame\], got \['a'\]"),
        ({"bodies": {"cube": {}}}, "bodies: unknown name 'cube'"),
        ({"joints": {"finger_": "f"}}, "joints: unknown joint 'finger_'. Did you mean 'finger'?"),
        ({"joints": {"finger": 3}}, "joints.finger has to be a text, got 3"),
        ({"commands": {"finger_displacement": {"to": "grip"}}}, "unknown target 'grip'. Did you mean 'gripper'?"),
        ({"commands": {"finger_displacement": {"low": 1, "high": 0}}}, "low 1.0 has to be below high 0.0"),
        ({"commands": {"gripper_displacement_x": {"field": "x"}}}, "unknown field 'x'"),
        ({"commands": {"gripper_displacement_x": {"to": "trajectory"}}}, "a trajectory needs a joint"),
        (
            {"commands": {"gripper_displacement_x": {"to": "gripper", "joint": "a"}}},
            "commands: gripper_displacement_x, finger_displacement all go to the gripper, which takes one",
        ),
        ({"commands": {"gripper_displacement_x": {"hold": "lst"}}}, "unknown hold 'lst'. Did you mean 'last'?"),
    ],
)
def test_a_wrong_file_gives_one_message(content: Any, message: str, file: Any) -> None:
    with pytest.raises(MappingError, match=message):
        load_mapping(of_task("FetchPush"), file(content))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(MappingError, match=r"there is no mapping file 'nowhere\.json'"):
        load_mapping(of_task("FetchPush"), "nowhere.json")


def test_the_table_lists_what_to_connect(file: Any) -> None:
    rows = table(load_mapping(of_task("FetchReach"), file({"bodies": {"gripper": {"tf": ["base", "tool"]}}})))
    assert rows == [
        ("in", "joint_states", "sensor_msgs/JointState: finger, left_finger, right_finger"),
        ("in", "base -> tool", "tf: gripper"),
        ("in", "gripper/twist", "geometry_msgs/TwistStamped: gripper"),
        ("in", "goal/pose", "geometry_msgs/PoseStamped: goal"),
        (
            "out",
            "delta_twist_cmds",
            "geometry_msgs/TwistStamped: gripper_displacement_x, gripper_displacement_y, gripper_displacement_z",
        ),
        ("out", "gripper_cmd", "action control_msgs/GripperCommand: finger_displacement"),
    ]
