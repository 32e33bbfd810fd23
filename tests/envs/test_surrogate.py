from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from sim2real.curriculum import Curriculum
from sim2real.envs import PARAMETERS, TASKS, DynamicsError, DynamicsSet, load_dynamics, make_vec
from sim2real.envs.dynamics_sets import NOMINAL, packaged
from sim2real.envs.signals import shown, timetable
from sim2real.envs.surrogate import (
    EFFECTS,
    LIFT,
    MOVING_FRICTION,
    RESTING_FRICTION,
    SHIFT,
    STICK_SPEED,
    TURN,
    Backlash,
    altered,
    disturbance,
)

Array = NDArray[np.floating[Any]]
SURROGATES = [name for name in packaged() if load_dynamics(name).effects]


def with_effects(*effects: str) -> DynamicsSet:
    return DynamicsSet("test", NOMINAL.distributions, effects=effects)


def play(task: str, dynamics: DynamicsSet, steps: int = 12, n: int = 3, **options: Any) -> dict[str, Array]:
    env = make_vec(task, n, dynamics, seed=2, threads=1, held_out=True, **options)
    actions = np.random.default_rng(0).uniform(-1, 1, (steps, 8, len(env.task.action))).astype(np.float32)
    frames = [env.reset()[0]]
    frames += [env.step(a[:n])[0] for a in actions]
    env.close()
    return {key: np.stack([f[key] for f in frames]) for key in frames[0]}


# --- nothing is trained on it


@pytest.mark.parametrize("name", SURROGATES)
def test_it_has_to_be_asked_for(name: str) -> None:
    with pytest.raises(DynamicsError, match="never to train or to choose a policy on"):
        make_vec("FetchPuck", 2, name)
    with pytest.raises(DynamicsError, match="held_out=True"):
        gymnasium.make("sim2real/FetchPush-v0", dynamics=name)


def test_a_users_own_set_on_top_of_it_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: surrogate\nparameters: {object_mass: 1}\n")
    with pytest.raises(DynamicsError, match="'mine' is a surrogate robot"):
        make_vec("FetchReach", 1, str(path))
    path.write_text("base: surrogate\neffects: []\n")
    make_vec("FetchReach", 1, str(path)).close()


def test_no_set_to_train_on_has_effects() -> None:
    assert {"surrogate", "surrogate_rigid", "surrogate_soft_contact", "surrogate_noise_free"} <= set(SURROGATES)
    assert not {"nominal", "train", "unseen"} & set(SURROGATES)
    assert set(load_dynamics("surrogate").effects) == set(EFFECTS)


def test_an_arm_inside_the_training_range() -> None:
    for task in ("FetchPush", "FetchPuck"):
        surrogate, train = load_dynamics("surrogate").of(task), load_dynamics("train").of(task)
        for p in PARAMETERS:
            if surrogate[p.name].span != (p.nominal, p.nominal):
                (low, high), (least, most) = surrogate[p.name].span, train[p.name].span
                assert p.name == "observation_noise" or least <= low <= high <= most, p.name


# --- each effect


def test_another_solver_integrator_and_timestep() -> None:
    start = TASKS["FetchPuck"].initial()
    model = altered(start, ("solver",), 0.04).model
    for option in ("solver", "cone", "integrator", "timestep"):
        assert getattr(model.opt, option) != getattr(start.model.opt, option)
    same = play("FetchPuck", with_effects("solver"))["state"], play("FetchPuck", NOMINAL)["state"]
    assert 1e-6 < np.abs(same[0] - same[1])[..., :14].max() < 0.1  # another computation of the same robot


def test_play_by_hand() -> None:
    play = Backlash(0.2, tick=0.0)
    targets = [0.0, 0.05, 0.3, 0.25, 0.15, 0.0]
    # The gap reaches 0.1 to each side: nothing, nothing, 0.3 - 0.1, still inside, still inside, 0.0 + 0.1
    followed = [float(play(np.array([x]))[0]) for x in targets]
    np.testing.assert_allclose(followed, [0.0, 0.0, 0.2, 0.2, 0.2, 0.1], atol=1e-12)
    play.reset()
    assert play(np.array([1.0]))[0] == 1.0
    assert Backlash(0.0, tick=0.3)(np.array([0.5]))[0] == pytest.approx(0.6)


def test_friction_at_rest_and_in_motion() -> None:
    env = make_vec("FetchPuck", 1, with_effects("stiction"), threads=1, held_out=True)
    env.reset()
    robot, rub = env._robots[0], env._robots[0].rub
    assert rub is not None
    dof = int(robot.model.joint("robot0:elbow_flex_joint").dofadr[0])
    for speed, expected in ((0.0, RESTING_FRICTION), (STICK_SPEED, 12 + 18 / np.e), (1.0, MOVING_FRICTION)):
        robot.data.qvel[dof] = speed
        rub()
        assert robot.model.dof_frictionloss[dof] == pytest.approx(expected)


def test_a_small_offset_does_not_move_a_joint_that_sticks() -> None:
    moved = []
    for dynamics in (NOMINAL, with_effects("stiction")):
        env = make_vec("FetchPuck", 1, dynamics, threads=1, held_out=True)
        before = env.reset()[0]["state"]
        for _ in range(5):
            after = env.step(np.full((1, 7), 0.02, np.float32))[0]["state"]
        moved.append(float(np.abs(after - before)[0, :7].max()))
    assert moved[1] < 0.3 * moved[0]  # MuJoCo's friction gives way a little


def test_bursts_of_latency() -> None:
    rng = np.random.default_rng(0)
    d = disturbance(("latency",), rng, 20_000, 20_000 * 40.0)
    late = d.command_delays > 10.0
    assert 0.07 < late.mean() < 0.11  # 0.03 / (0.03 + 0.3) = 0.091
    assert 2.8 < late.sum() / np.sum(late[1:] & ~late[:-1]) < 3.8  # 1 / 0.3 = 3.3 steps
    assert d.command_delays[late].min() >= 40 and d.command_delays.max() <= 120 and d.frame_delays.max() <= 80
    assert d.exposures is None and d.longest is None
    off = disturbance((), np.random.default_rng(0), 100, 4000.0)
    assert not off.command_delays.any() and not off.frame_delays.any()


def test_a_late_frame_never_shows_less_than_the_one_before() -> None:
    table = timetable(np.full(4, 20), np.zeros(4, int), np.array([0, 0, 30, 0, 15]), np.arange(5))
    # Read at 0, 20, max(20, 10), 60, 65: frame 2 shows the end of step 0 again, frame 4 is read in between.
    assert table.sources.tolist() == [0, 1, 1, 3, 5 + 4]


def test_pictures_by_hand() -> None:
    # Exposed at -10, 15, 40, seen 10 later; control steps begin at 0, 20, 40, 60 and end at 80.
    exposed = shown(np.full(4, 20), np.array([-10, 15, 40]), np.array(10))
    assert exposed.tolist() == [0, 0, 15, 40, 40]
    table = timetable(np.full(4, 20), np.zeros(4, int), 0, np.arange(5), exposed=exposed)
    assert table.pictures is not None
    assert table.pictures.tolist() == [0, 0, 2 * 5 + 2, 2, 2]
    assert [(s.substeps, s.frame) for s in table.steps[0]] == [(15, 5 + 2), (5, None)]


def test_a_slow_camera_shows_the_object_late_and_the_robot_at_once() -> None:
    seen = play("FetchPuck", with_effects("camera"), steps=60, curriculum=Curriculum(near_starts=1.0))
    np.testing.assert_array_equal(seen["observation"][..., :36], seen["state"][..., :36])
    puck, true = seen["observation"][..., 36:39], seen["state"][..., 36:39]
    changes = (np.diff(puck[..., 0], axis=0) != 0).mean() / (np.diff(true[..., 0], axis=0) != 0).mean()
    assert 0.4 < changes < 0.75  # 15 Hz of 25
    np.testing.assert_allclose(seen["observation"][..., 39:42], puck - seen["observation"][..., 21:24], atol=1e-12)


def test_encoders_show_whole_ticks() -> None:
    seen = play("FetchPuck", with_effects("encoders"))
    angle = np.arctan2(seen["observation"][..., :7], seen["observation"][..., 7:14]) / (2 * np.pi / 4096)
    np.testing.assert_allclose(angle, np.round(angle), atol=1e-6)
    assert 0 < np.abs(seen["observation"] - seen["state"])[..., :7].max() <= np.pi / 4096 + 1e-9


def test_the_camera_sees_the_object_beside_where_it_is() -> None:
    seen = play("FetchPush", with_effects("calibration"), n=8)
    error = (seen["observation"] - seen["state"])[..., 3:6]
    horizontal = np.linalg.norm(error[..., :2], axis=-1)
    assert horizontal.min() > 0.004 and horizontal.max() < SHIFT + 0.22 * TURN + 1e-9
    np.testing.assert_allclose(np.abs(error[..., 2]), LIFT, atol=1e-12)
    assert np.ptp(error[:, 0], axis=0).max() < 1e-3, "it is constant within an episode"


@pytest.mark.parametrize("task", ["FetchPush", "FetchPuck"])
def test_the_object_sinks_into_the_cushion(task: str) -> None:
    heights = []
    for dynamics in (NOMINAL, with_effects("soft_contact")):
        env = make_vec(task, 1, dynamics, seed=2, threads=1, held_out=True)
        before = env.reset()[0]["achieved_goal"][0, 2]
        robot = env._robots[0]
        robot.data.qpos[-7:-5] += (0.0, 0.2)
        if robot.model.nu:
            robot.data.ctrl[:] = robot.data.qpos[6:13]
        mujoco.mj_step(robot.model, robot.data, nstep=500)
        heights.append(before - robot.data.qpos[-5])
    assert abs(heights[0]) < 1e-3 < 0.002 < heights[1] < 0.02


# --- as a whole


@pytest.mark.parametrize("task", TASKS)
def test_starts_and_goals_are_those_of_every_other_set(task: str) -> None:
    first = [make_vec(task, 3, name, seed=4, held_out=True).reset()[0] for name in ("nominal", "surrogate")]
    for key in ("achieved_goal", "desired_goal"):
        np.testing.assert_allclose(first[1][key][:, :2], first[0][key][:, :2], atol=1e-9)


def test_an_episode_does_not_depend_on_how_many_run_beside_it() -> None:
    together, alone = (play("FetchPuck", load_dynamics("surrogate"), n=n) for n in (3, 1))
    for key, value in alone.items():
        np.testing.assert_array_equal(value[:, 0], together[key][:, 0], err_msg=key)


@pytest.mark.parametrize("hz", [25, 100, 125, 250, 500, 1000])
def test_another_timestep_leaves_the_control_rate_as_it_was(hz: int) -> None:
    timestep = altered(TASKS["FetchReach"].initial(), ("solver",), 1 / hz).model.opt.timestep
    assert timestep <= 0.0025 and 1 / hz / timestep == pytest.approx(round(1 / hz / timestep))
    assert hz != 25 or timestep == 0.0025
