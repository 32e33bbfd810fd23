from __future__ import annotations

import functools
from typing import Any

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from sim2real.curriculum import Curriculum
from sim2real.envs import INDEX, PARAMETERS, TASKS, load_dynamics, make_vec, puck_model
from sim2real.envs.dynamics import ARM, HELD_JOINTS, exists
from sim2real.envs.puck import LAYOUT, MAX_OFFSET, PUCK
from sim2real.envs.reference import reference_std
from sim2real.envs.signals import Segment
from sim2real.envs.task import Initial

Array = NDArray[np.float64]
NOMINAL = np.array([p.nominal for p in PARAMETERS])
TRAIN = load_dynamics("train").of("FetchPuck")


@functools.cache
def start() -> Initial:
    return PUCK.initial()


def values_with(**changes: float) -> Array:
    values = NOMINAL.copy()
    for name, value in changes.items():
        values[INDEX[name]] = value
    return values


def ride(values: Array, offsets: Array, puck: tuple[float, float] = (1.3, 0.75)) -> Array:
    """Readings [T+1, LAYOUT.size] when the same offsets [T, 7] are commanded under ``values``."""
    robot, steps = PUCK.robot(start()), len(offsets)
    readings = np.zeros((2 * (steps + 1), LAYOUT.size))
    robot.reset(values, np.array(puck), readings[0])
    commands = np.vstack([offsets, np.zeros(7)])
    for t in range(steps):
        robot.step((Segment(t, 20, None),), commands, readings, t + 1)
    return readings[: steps + 1]


# --- the task as the paper has it


def test_sizes_and_times_of_the_paper() -> None:
    spec = PUCK.spec(())
    assert spec.sizes == {"observation": 52, "goal": 3, "action": 7, "dynamics": 0}
    assert (spec.horizon, spec.control_dt, spec.success_threshold) == (100, 0.04, 0.07)
    assert round(spec.control_dt / start().model.opt.timestep) == 20
    assert len(reference_std(PUCK)) == 52


def test_elements_are_named_once_and_say_what_they_are() -> None:
    spec = PUCK.spec(())
    elements = (*spec.observation, *spec.goal, *spec.action)
    assert len({e.name for e in elements}) == 62
    assert all(e.unit and e.kind and e.frame for e in elements)
    assert [e.name for e in spec.action] == [f"{joint}_joint_offset" for joint in ARM]


def test_ninety_five_parameters_and_the_clock_vary_as_in_the_paper() -> None:
    varying = [p.name for p in PARAMETERS if exists(p, PUCK.features) and TRAIN[p.name].varies]
    count = {
        "link mass": sum(name.startswith("link_mass_") for name in varying),
        "joint damping": sum(name.startswith("joint_damping_") for name in varying),
        "controller gain": sum(name.startswith("controller_gain_") for name in varying),
        "puck": sum(name.startswith("object_") for name in varying),
        "table": varying.count("table_height"),
        "noise": len(PUCK.spec(()).observation) if TRAIN["observation_noise"].span == (0.05, 0.05) else 0,
    }
    expected = {"link mass": 17, "joint damping": 15, "controller gain": 7, "puck": 3, "table": 1, "noise": 52}
    assert count == expected and sum(count.values()) == 95
    assert sorted(varying) == sorted(
        name
        for name in varying
        if name.startswith(("link_mass_", "joint_damping_", "controller_gain_", "object_"))
        or name in ("table_height", "control_period_jitter")
    )


@pytest.mark.parametrize(
    ("name", "low", "high", "read"),
    [
        ("object_mass", 0.1, 0.4, lambda m: m.body("object0").mass[0]),
        ("object_friction_slide", 0.1, 5.0, lambda m: m.geom("object0").friction[0]),
        ("object_damping", 0.01, 0.2, lambda m: m.joint("object0:joint").damping[0]),
        ("table_height", 0.73, 0.77, lambda m: m.body("table0").pos[2] + m.geom("table0").size[2]),
        ("joint_damping_elbow_flex", 10.0, 1000.0, lambda m: m.joint("robot0:elbow_flex_joint").damping[0]),
        ("link_mass_wrist_flex", 1.725 / 4, 1.725 * 4, lambda m: m.body("robot0:wrist_flex_link").mass[0]),
        ("controller_gain_wrist_roll", 2000.0, 8000.0, lambda m: -m.actuator("robot0:wrist_roll").biasprm[1]),
    ],
)
def test_ranges_in_the_papers_units(name: str, low: float, high: float, read: Any) -> None:
    robot = PUCK.robot(start())
    got = []
    for end in TRAIN[name].span:
        robot.writer.write(values_with(**{name: end}), robot.data)
        got.append(float(read(robot.model)))
    np.testing.assert_allclose(got, [low, high], rtol=1e-6)


def test_the_clock_has_the_papers_rate() -> None:
    # lambda = 1000 / mean is uniform in [125, 1000] 1/s: the quantile at a quarter is 1 / 343.75 s = 2.909 ms
    clock = TRAIN["control_period_jitter"]
    assert 1000 / clock.quantile(0.75) == pytest.approx(125 + 0.25 * 875)
    assert clock.span == (1.0, 8.0)


def test_joints_have_the_robots_names_and_limits() -> None:
    limits = {"shoulder_pan": 1.6056, "shoulder_lift": 1.518, "elbow_flex": 2.251, "wrist_flex": 2.16}
    model = start().model
    assert model.nu == 7 and model.neq == 0 and model.nmocap == 0
    for i, name in enumerate(ARM):
        joint = model.joint(f"robot0:{name}_joint")
        assert int(model.actuator_trnid[i, 0]) == joint.id
        assert bool(joint.limited[0]) == (name in limits)
        if name in limits:
            assert joint.range[1] == limits[name]
    assert model.joint("robot0:shoulder_lift_joint").range[0] == -1.221


# --- the robot


def test_a_zero_action_holds_the_arm_whatever_it_weighs() -> None:
    heavy = {p.name: 4.0 for p in PARAMETERS if p.name.startswith("link_mass_")}
    readings = ride(values_with(**heavy), np.zeros((25, 7)))
    np.testing.assert_allclose(readings[-1, :7], readings[0, :7], atol=1e-9)


def test_an_offset_of_one_moves_each_joint_at_its_real_velocity_limit() -> None:
    for j in range(7):
        offsets = np.zeros((8, 7))
        offsets[:, j] = MAX_OFFSET[j] * 0.5 * (-1 if j in (1, 5) else 1)
        speed = ride(NOMINAL, offsets, puck=(1.5, 1.0))[4:, 7 + j]
        # Half the offset, half the speed on average over a period; at its end, when it is read, less is left to go.
        assert 0.3 < np.abs(speed).mean() / puck_model.VELOCITY_LIMITS[j] < 0.5


def test_a_target_beyond_a_joints_limit_is_cut_there() -> None:
    robot = PUCK.robot(start())
    robot.reset(NOMINAL, np.array([1.5, 1.0]), np.zeros(LAYOUT.size))
    robot._command(np.full(7, 10.0))
    assert robot.data.ctrl[[0, 1, 3, 5]] == pytest.approx([1.6056, 1.518, 2.251, 2.16])
    assert robot.data.ctrl[2] == pytest.approx(10.0)  # turns without end


def test_what_is_held_stays_and_its_parameters_change_nothing() -> None:
    rng = np.random.default_rng(0)
    offsets = rng.uniform(-1, 1, (40, 7)) * MAX_OFFSET
    inert = [p for p in PARAMETERS if p.inert]
    assert len(inert) == 15
    reference = ride(NOMINAL, offsets)
    for value in (0.2, 20.0):
        changed = ride(values_with(**{p.name: value for p in inert}), offsets)
        np.testing.assert_allclose(changed, reference, atol=1e-6)
    robot = PUCK.robot(start())
    robot.reset(NOMINAL, np.array([1.3, 0.75]), np.zeros(LAYOUT.size))
    robot.data.ctrl[:] = 1.0
    mujoco.mj_step(robot.model, robot.data, nstep=500)
    for name in HELD_JOINTS:
        joint = "robot0:" + (name if name.startswith("slide") else f"{name}_joint")
        before = start().qpos[int(robot.model.joint(joint).qposadr[0])]
        assert abs(float(robot.data.joint(joint).qpos[0]) - before) < 1e-4, name


@pytest.mark.parametrize("name", [p.name for p in PARAMETERS if p.needs == "joints" and not p.inert])
def test_every_other_parameter_of_the_arm_changes_the_motion(name: str) -> None:
    rng = np.random.default_rng(1)
    offsets = np.cumsum(rng.uniform(-0.4, 0.4, (10, 7)), 0).clip(-1, 1) * MAX_OFFSET
    difference = ride(values_with(**{name: 2.0}), offsets, (1.5, 1.0)) - ride(NOMINAL, offsets, (1.5, 1.0))
    assert np.abs(difference[:, :7]).max() > 1e-6


def test_an_observation_by_hand() -> None:
    reading = np.zeros((1, LAYOUT.size))
    reading[0, 0], reading[0, 7], reading[0, 14:17] = np.pi / 6, 0.3, (1.0, 2.0, 3.0)
    reading[0, 29:32], reading[0, 32:36] = (1.1, 2.2, 2.5), (-0.6, 0.0, 0.0, 0.8)
    seen = PUCK.observation(reading)[0]
    names = [e.name for e in PUCK.spec(()).observation]
    value = dict(zip(names, seen.tolist(), strict=True))
    assert value["shoulder_pan_joint_sine"] == pytest.approx(0.5)
    assert value["shoulder_pan_joint_cosine"] == pytest.approx(np.sqrt(3) / 2)
    assert value["shoulder_pan_joint_velocity"] == 0.3
    assert [value[f"puck_relative_position_{axis}"] for axis in "xyz"] == pytest.approx([0.1, 0.2, -0.5])
    assert [value[f"puck_quaternion_{axis}"] for axis in "wxyz"] == pytest.approx([0.6, 0.0, 0.0, -0.8])


def test_a_pucks_angular_velocity_is_in_the_worlds_axes() -> None:
    robot, reading = PUCK.robot(start()), np.zeros(LAYOUT.size)
    robot.reset(NOMINAL, np.array([1.3, 0.75]), reading)
    robot.data.qpos[-4:] = np.sqrt(0.5), np.sqrt(0.5), 0.0, 0.0  # a quarter turn about x takes z to -y
    robot.data.qvel[-3:] = 0.0, 0.0, 2.0
    robot._read_between(reading)
    np.testing.assert_allclose(reading[39:42], [0.0, -2.0, 0.0], atol=1e-12)


# --- starts and goals


def test_starts_and_goals_lie_in_the_papers_square() -> None:
    rng, centre = np.random.default_rng(0), start().gripper[:2]
    starts = np.array([PUCK.sample_start(start(), rng) for _ in range(300)]) - centre
    near = np.array([PUCK.sample_near_start(start(), rng) for _ in range(300)]) - centre
    goals = np.array([PUCK.sample_goal(start(), rng, 0.01) for _ in range(300)])
    for points in (starts, goals[:, :2] - centre):
        assert np.abs(points).max() <= 0.15 and np.abs(points).max(0).min() > 0.14
    assert np.linalg.norm(starts, axis=1).min() >= 0.11
    assert np.linalg.norm(near, axis=1).min() >= 0.085 and np.linalg.norm(near, axis=1).max() <= 0.11
    np.testing.assert_allclose(goals[:, 2], 0.75 + 0.025 + 0.01)


@pytest.mark.parametrize("height", [-0.02, 0.02])
def test_no_start_is_in_contact_with_the_arm(height: float) -> None:
    robot, rng = PUCK.robot(start()), np.random.default_rng(0)
    arm = {i for i in range(robot.model.ngeom) if "robot0:" in robot.model.geom(i).name}
    for _ in range(20):
        robot.reset(values_with(table_height=height), PUCK.sample_near_start(start(), rng), np.zeros(LAYOUT.size))
        pairs = [{int(c.geom1), int(c.geom2)} for c in robot.data.contact if c.dist < 0]
        assert not any(pair & arm for pair in pairs)


def test_random_actions_meet_the_puck_often_enough_to_learn_from() -> None:
    rng, moved = np.random.default_rng(0), []
    for near in (0.0, 1.0):
        env = make_vec("FetchPuck", 16, "train", seed=0, threads=1, curriculum=Curriculum(near_starts=near))
        before = env.reset()[0]["achieved_goal"]
        for _ in range(env.task.horizon):
            obs, *_ = env.step(rng.uniform(-1, 1, (16, 7)).astype(np.float32))
        moved.append(float((np.linalg.norm(obs["achieved_goal"] - before, axis=1) > 0.02).mean()))
    assert moved[0] > 0.15 and moved[1] > moved[0]


def test_the_critic_sees_what_can_make_a_difference() -> None:
    env = make_vec("FetchPuck", 2, "train", threads=1)
    names = env.task.dynamics_names
    assert len(names) == 29  # 10 masses, 7 dampings, 7 gains, 3 of the puck, table, clock
    assert not {p.name for p in PARAMETERS if p.inert} & set(names)
    assert "action_delay" not in names and TASKS["FetchPuck"] is env.definition
