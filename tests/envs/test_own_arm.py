from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import yaml

from sim2real.cli import main
from sim2real.envs import INDEX, PARAMETERS, find, is_task, load_dynamics, make_vec
from sim2real.envs.own_arm import load_arm
from sim2real.envs.reference import reference_std
from sim2real.errors import UserError
from sim2real.jobs import Cell, _about

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_arm"
REACH, PUSH = str(EXAMPLE / "reach.yaml"), str(EXAMPLE / "push.yaml")
URDF = """
<robot name="two">
  <link name="base"/>
  <link name="upper"><inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/>
  </inertial></link>
  <link name="fore"><inertial><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.01" ixy="0" ixz="0" iyz="0"/>
  </inertial></link>
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/><axis xyz="0 1 0"/>
  <limit lower="-1" upper="1" effort="9" velocity="1"/></joint>
  <joint name="elbow" type="revolute"><parent link="upper"/><child link="fore"/>
  <origin xyz="0 0 0.5"/><axis xyz="0 1 0"/>
  <limit lower="-1" upper="1" effort="9" velocity="1"/></joint>
</robot>
"""


def written(folder: Path, source: str = REACH, **changes: Any) -> str:
    """The example's file with other values, beside a copy of its model; None takes a key out."""
    content = {**yaml.safe_load(Path(source).read_text()), **changes}
    (folder / "arm.xml").write_text((EXAMPLE / "arm.xml").read_text())
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return str(path)


def test_a_file_is_a_task() -> None:
    assert is_task(REACH) and find(REACH) is load_arm(REACH)
    with pytest.raises(UserError, match=r"unknown task 'FetchReech'.*FetchReach.*or the YAML file"):
        find("FetchReech")


def test_the_gripper_is_where_the_angles_put_it() -> None:
    start = find(REACH).initial()
    lift, elbow, flex = np.cumsum([0.4, 1.4, 0.6])  # of the home pose: each joint turns on from the one before
    radius = 0.26 * np.sin(lift) + 0.22 * np.sin(elbow) + 0.12 * np.sin(flex)
    height = 0.06 + 0.095 + 0.03 + 0.26 * np.cos(lift) + 0.22 * np.cos(elbow) + 0.12 * np.cos(flex)
    np.testing.assert_allclose(start.gripper, [radius, 0, height], atol=1e-12)


def test_observations_and_actions_say_what_they_are() -> None:
    spec = find(REACH).spec(())
    assert spec.sizes == {"observation": 30, "goal": 3, "action": 5, "dynamics": 0}
    assert [e.name for e in spec.action][:2] == ["pan_offset", "lift_offset"]
    np.testing.assert_allclose(spec.action_scale, np.array([2, 2, 2.5, 3, 3]) / 25)
    assert find(PUSH).spec(()).sizes["observation"] == 46
    obs, _ = make_vec(REACH, 2, "nominal", threads=1).reset()
    home = [0.0, 0.4, 1.4, 0.6, 0.0]
    np.testing.assert_allclose(obs["observation"][:, :5], np.tile(np.sin(home), (2, 1)), atol=1e-12)
    np.testing.assert_allclose(obs["observation"][:, 5:10], np.tile(np.cos(home), (2, 1)), atol=1e-12)
    np.testing.assert_array_equal(obs["achieved_goal"], obs["observation"][:, 15:18])


def test_an_arm_holds_still_and_goes_where_it_is_sent() -> None:
    env = make_vec(REACH, 1, "nominal", threads=1)
    obs, _ = env.reset()
    first = obs["achieved_goal"]
    for _ in range(20):
        obs, *_ = env.step(np.zeros((1, 5), np.float32))
    np.testing.assert_allclose(obs["achieved_goal"], first, atol=1e-3)
    for _ in range(20):
        obs, *_ = env.step(np.eye(1, 5, dtype=np.float32))  # the first joint turns about the vertical
    x, y, _ = obs["achieved_goal"][0]
    assert np.arctan2(y, x) > 0.5 and np.hypot(x, y) == pytest.approx(first[0, 0], abs=0.02)


def test_goals_lie_in_the_region_and_the_puck_on_the_table() -> None:
    env = make_vec(PUSH, 64, "nominal", threads=1)
    obs, _ = env.reset()
    offset = np.abs(obs["desired_goal"] - [0.33, 0, 0.08])  # the table's top at 0.06 and half of the puck's height
    assert (offset <= [0.1, 0.15, 1e-9]).all() and (offset.max(0)[:2] > [0.08, 0.12]).all()
    gap = np.linalg.norm((obs["achieved_goal"] - env._initial.gripper)[:, :2], axis=1) - 0.04
    assert gap.min() >= 0.05
    np.testing.assert_allclose(obs["achieved_goal"][:, 2], 0.08, atol=1e-3)


def test_each_joint_has_parameters_of_its_own() -> None:
    env = make_vec(REACH, 1, "train", threads=1)
    names = env.task.dynamics_names
    for k in range(1, 6):
        assert {f"link_mass_{k}", f"joint_damping_{k}", f"controller_gain_{k}"} <= set(names)
    assert not [name for name in names if "6" in name or "shoulder" in name or "object" in name or "table" in name]
    assert "table_height" in make_vec(PUSH, 1, "train", threads=1).task.dynamics_names


def test_parameters_write_what_they_say() -> None:
    robot = find(PUSH).robot(find(PUSH).initial())
    nominal, model = robot.start.model, robot.model
    values = np.array([p.nominal for p in PARAMETERS])
    changes = {"link_mass_2": 2.0, "joint_damping_3": 3.0, "controller_gain_5": 0.5, "table_height": 0.01}
    for name, value in changes.items():
        values[INDEX[name]] = value
    robot.writer.write(values, robot.data)
    upper, elbow = model.body("upper").id, int(model.joint("elbow").dofadr[0])
    assert model.body_mass[upper] == 2 * nominal.body_mass[upper]
    assert model.dof_damping[elbow] == 3 * nominal.dof_damping[elbow] == 1.5
    assert model.actuator("roll").gainprm[0] == 5 and model.actuator("roll").biasprm[1] == -5
    assert model.body("table0").pos[2] == pytest.approx(0.06 - 0.02 + 0.01)
    others = [i for i in range(model.nbody) if i != upper]
    np.testing.assert_array_equal(model.body_mass[others], nominal.body_mass[others])


def test_a_link_is_all_that_a_joint_carries_before_the_next(tmp_path: Path) -> None:
    path = written(tmp_path, joints=["pan", "lift"], home=[0, 0.4], velocity_limits=[1, 1], gripper="hand")
    model = (tmp_path / "arm.xml").read_text().replace('<joint name="roll" axis="0 0 1" range="-3 3"/>', "")
    model = model.replace('<position name="roll" joint="roll" kp="10" kv="0.5"/>', "")
    (tmp_path / "arm.xml").write_text(model)
    names = find(path).initial().names
    assert (names.bodies["1"], names.bodies["2"]) == (("turret",), ("upper",))  # fore has a joint, if not a driven one
    path = written(tmp_path, joints=["pan", "lift", "elbow", "flex"], home=[0] * 4, velocity_limits=[1] * 4)
    (tmp_path / "arm.xml").write_text(model)
    load_arm.cache_clear()
    assert find(path).initial().names.bodies["4"] == ("wrist", "hand")


def test_noise_is_on_the_scale_of_what_the_arm_does() -> None:
    std = reference_std(find(REACH))
    assert std.shape == (30,) and (std > 0).all()
    np.testing.assert_array_equal(std, reference_std(find(REACH)))


def test_a_urdf_with_controllers(tmp_path: Path) -> None:
    (tmp_path / "two.urdf").write_text(URDF)
    path = tmp_path / "two.yaml"
    content = {
        "model": "two.urdf",
        "joints": ["shoulder", "elbow"],
        "gripper": "fore",
        "home": [0.2, 0.3],
        "velocity_limits": [1.0, 1.0],
        "controller": {"kp": [50.0, 50.0], "kd": [5.0, 5.0]},
        "region": {"centre": [0.1, 0.0, 0.5], "half": [0.1, 0.0, 0.1]},
    }
    path.write_text(yaml.safe_dump(content))
    env = make_vec(str(path), 2, "train", threads=1)
    obs, _ = env.reset()
    np.testing.assert_allclose(obs["achieved_goal"][0], [0.5 * np.sin(0.2), 0, 0.5 * np.cos(0.2)], atol=1e-9)
    for _ in range(5):
        obs, *_ = env.step(np.ones((2, 2), np.float32))
    assert (obs["achieved_goal"][:, 0] > 0.5 * np.sin(0.25)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "none.xml"}, "there is no model"),
        ({"jonits": ["pan"]}, r"unknown key 'jonits'. Did you mean 'joints'\?"),
        ({"joints": ["pan", "lift", "elbow", "flex", "rol"]}, r"unknown joint 'rol'. Did you mean 'roll'\?"),
        ({"joints": ["lift", "pan", "elbow", "flex", "roll"]}, "in its order, which is pan, lift, elbow, flex, roll"),
        ({"home": [0.0, 0.4]}, "home needs 5 numbers, one a joint, got 2"),
        ({"home": [0.0, 2.4, 1.4, 0.6, 0.0]}, "lift at 2.4 rad is outside of the joint's range, -1.8 to 1.8 rad"),
        ({"gripper": "tipp"}, "unknown site or body 'tipp'. Did you mean 'tip'"),
        ({"control_hz": 30}, "no whole number of the model's steps of 0.002 s"),
        ({"threshold": 0}, "have to be above 0"),
        ({"controller": {"kp": [1.0], "kd": [1.0]}}, "lists of 5 numbers"),
        ({"region": {"centre": [0, 0, 0], "half": [-1, 0, 0]}}, "half has to be at least 0"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        find(written(tmp_path, **changes))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('<position name="lift" joint="lift"/>', '<motor joint="lift"/>', "one that follows no positions; give a cont"),
        ('<position name="lift" joint="lift"/>', "", "the model has none"),
        (
            'name="turret" pos="0 0 0.095"',
            'name="turret" pos="0 0 0.08"',
            "base and turret are 10 mm inside each other",
        ),
        ('<joint name="roll" axis', '<joint name="roll" type="slide" axis', "roll does not turn"),
        ("<worldbody>", "<worldbdy>", "MuJoCo does not read"),
    ],
)
def test_models_that_do_not_do_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path)
    (tmp_path / "arm.xml").write_text((EXAMPLE / "arm.xml").read_text().replace(old, new))
    with pytest.raises(UserError, match=message):
        find(path)


def test_controllers_take_the_place_of_motors(tmp_path: Path) -> None:
    gains = {"kp": [60.0, 61, 62, 63, 64], "kd": [3.0, 3, 3, 1, 0.5]}
    path = written(tmp_path, controller=gains)
    (tmp_path / "arm.xml").write_text((EXAMPLE / "arm.xml").read_text().replace("<position name", "<motor name"))
    text = (tmp_path / "arm.xml").read_text().replace(' kp="20" kv="1"', "").replace(' kp="10" kv="0.5"', "")
    (tmp_path / "arm.xml").write_text(text)
    model: mujoco.MjModel = find(path).initial().model
    assert model.nu == 5
    np.testing.assert_array_equal(model.actuator_gainprm[:, 0], gains["kp"])
    np.testing.assert_array_equal(model.actuator_biasprm[:, 2], np.negative(gains["kd"]))


def test_a_surrogates_joints_stick_in_proportion_to_their_controllers() -> None:
    env = make_vec(REACH, 1, "surrogate", threads=1, held_out=True)
    env.reset()
    robot = env._robots[0]
    assert robot.rub is not None
    robot.rub()  # at rest: 30 N m where the stiffness is 4000 N m/rad
    np.testing.assert_allclose(robot.model.dof_frictionloss, 30 / 4000 * np.array([60, 60, 60, 20, 10]))


def test_there_is_no_file_and_no_hand_written_policy() -> None:
    with pytest.raises(UserError, match=r"there is no arm 'none\.yaml'"):
        find("none.yaml")
    env = make_vec(REACH, 1, "nominal", threads=1)
    obs, _ = env.reset()
    with pytest.raises(UserError, match=r"no hand-written policy .* set agent.demonstrations to 0"):
        env.demonstrate(obs)


def test_gymnasium_makes_it() -> None:
    env: Any = gymnasium.make("sim2real/OwnArm-v0", task=REACH, dynamics="unseen")
    obs, _ = env.reset(seed=1)
    assert obs["observation"].shape == (30,) and env.action_space.shape == (5,)
    env.close()


def test_an_own_arm_is_trained_evaluated_exported_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, bundle, scores = tmp_path / "run", tmp_path / "bundle", tmp_path / "scores.json"
    small = ["trainer.total_samples=800", "trainer.eval_episodes=4", "agent.updates_per_collect=2", "env.num_envs=4"]
    train = ["train", "fetch_reach", "--run-dir", str(run), "--set", f"env.task={REACH}", *small]
    assert main(train) == 0
    assert main(["evaluate", str(run), "--episodes", "4", "--json", str(scores)]) == 0
    assert {row["setting"] for row in json.loads(scores.read_text())["rows"]} == {"nominal", "train", "unseen"}
    assert main(["export", str(run), "--out", str(bundle), "--episodes", "4"]) == 0
    assert f"--env {REACH}" in capsys.readouterr().out
    assert main(["run", str(bundle), "--env", REACH, "--dynamics", "unseen", "--episodes", "1"]) == 0


def test_episodes_are_kept_for_the_model_and_not_only_for_the_file_that_names_it(tmp_path: Path) -> None:
    digests = []
    for name, edit in (("a", ("", "")), ("b", ("", "")), ("c", ('damping="', 'damping="1'))):
        (tmp_path / name).mkdir()
        path = written(tmp_path / name)
        model = tmp_path / name / "arm.xml"
        model.write_text(model.read_text().replace(*edit))
        cell = Cell(tmp_path / "a", path, load_dynamics("train"), 1, 0)
        digests.append(_about(cell)["task"][1])
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"region": {"centre": [33.0, 0.0, 0.25], "half": [0.1, 0.2, 0.12]}}, r"nearest point is 3\d\.\d\d m from pan"),
        ({"fingers": ["nobody"]}, "fingers: unknown body 'nobody'"),
        ({"controller": {"kp": [9, 9, 9], "kd": [1, -1, 1]}}, "kp has to be above 0 and kd at least 0"),
        ({"controller": {"kp": [9, 9, 9]}}, "controller: needs kd, got"),
        ({"velocity_limits": None}, "needs velocity_limits, got"),
    ],
)
def test_what_can_not_be_is_said_at_once(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        find(written(tmp_path, **changes))
