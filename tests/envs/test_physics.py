from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim2real.envs import INDEX, PARAMETERS, TASKS, DynamicsParameter, load_dynamics, puck_model
from sim2real.envs.dynamics import Write, exists
from sim2real.envs.fetch import TASKS as FETCH_TASKS
from sim2real.envs.mocap import READING_SIZE
from sim2real.envs.model_names import FETCH
from sim2real.envs.physics import DynamicsWriter, Robot
from sim2real.envs.signals import Segment
from sim2real.envs.task import Initial

Array = NDArray[np.float64]
NOMINAL = np.array([p.nominal for p in PARAMETERS])
MODEL_PARAMETERS = [p for p in PARAMETERS if p.writes]
EACH = [(t, p) for t in ("FetchPush", "FetchPuck") for p in MODEL_PARAMETERS if exists(p, TASKS[t].features)]
PHYSICAL = ("body_", "jnt_", "dof_", "geom_", "site_", "eq_", "actuator_", "cam_", "light_", "qpos", "exclude_", "M_")


@functools.cache
def start(task: str) -> Initial:
    return TASKS[task].initial()


@functools.cache
def robot(task: str) -> Robot:
    return TASKS[task].robot(start(task))


def other_value(parameter: DynamicsParameter) -> float:
    """Something that is not nominal: 0.73 times, 0.7 N m, 1 cm."""
    return {"scale": 0.73, "set": 0.7, "add": 0.01}[parameter.operation]


def values_with(**changes: float) -> Array:
    values = NOMINAL.copy()
    for name, value in changes.items():
        values[INDEX[name]] = value
    return values


# --- an independent way to the same change: edit the MJCF through MjSpec and compile it anew


def compiled(task: str, changes: dict[str, float]) -> mujoco.MjModel:
    if task in FETCH_TASKS:
        reference: Any = gymnasium.make(FETCH_TASKS[task].reference).unwrapped
        spec = mujoco.MjSpec.from_file(reference.fullpath)
    else:
        spec = puck_model.build()
    for name, value in changes.items():
        parameter = PARAMETERS[INDEX[name]]
        for write in parameter.writes:
            for element, attribute, column in edits(spec, write):
                edit(parameter.operation, element, attribute, column, value)
    model = spec.compile()
    model.eq_data[:] = start(task).model.eq_data  # gymnasium-robotics resets the weld's pose after compilation
    return model


def edits(spec: Any, write: Write) -> Iterable[tuple[Any, str, int | None]]:
    bodies = []
    if write.field.startswith(("body_", "geom_")):
        bodies = [spec.body(name) for name in FETCH.bodies[write.where]]
    geoms = [geom for body in bodies for geom in body.geoms]
    joints = []
    if write.field.startswith("dof_"):
        joints = [spec.joint(name) for name in FETCH.joints[write.where]]
    match write.field:
        case "gravity":
            return [(spec.option, "gravity", write.column)]
        case "eq_solref":
            return [(spec.equalities[0], "solref", write.column)]
        case "dof_damping":
            return [(joint, "damping", 0) for joint in joints]
        case "dof_armature" | "dof_frictionloss":
            return [(joint, write.field.removeprefix("dof_"), None) for joint in joints]
        case "geom_friction" | "geom_solref" | "geom_solimp":
            return [(geom, write.field.removeprefix("geom_"), write.column) for geom in geoms]
        case "actuator_gainprm" | "actuator_biasprm":
            actuators = {actuator.name: actuator for actuator in spec.actuators}
            return [(actuators[f"robot0:{write.where}"], write.field.removeprefix("actuator_"), write.column)]
        case "body_pos":
            return [(body, "pos", write.column) for body in bodies]
        case "body_mass" if write.where in ("object", "table"):
            return [(geom, "mass", None) for geom in geoms]  # the compiler derives the body's inertia from it
        case "body_inertia" if write.where in ("object", "table"):
            return []
        case "body_mass" | "body_inertia":
            return [(body, write.field.removeprefix("body_"), None) for body in bodies]
    raise AssertionError(f"no edit for {write}")


def edit(operation: str, element: Any, attribute: str, column: int | None, value: float) -> None:
    old = getattr(element, attribute)
    if isinstance(old, np.ndarray):
        view = old if column is None else old[column : column + 1]
        view[:] = {"scale": view * value, "add": view + value, "set": value}[operation]
    else:
        setattr(element, attribute, {"scale": old * value, "add": old + value, "set": value}[operation])


def differences(a: mujoco.MjModel, b: mujoco.MjModel) -> dict[str, float]:
    """Largest relative difference of each physical field, where there is one beyond rounding."""
    pairs = {name: (getattr(a, name), getattr(b, name)) for name in dir(a) if name.startswith(PHYSICAL)}
    pairs |= {f"stat.{n}": (getattr(a.stat, n), getattr(b.stat, n)) for n in ("meaninertia", "meanmass", "meansize")}
    pairs["stat.extent"] = a.stat.extent, b.stat.extent
    pairs["gravity"] = a.opt.gravity, b.opt.gravity
    result = {}
    for name, (x, y) in pairs.items():
        if isinstance(x, np.ndarray | float) and np.size(x):
            x, y = np.asarray(x, float), np.asarray(y, float)
            error = float(np.max(np.abs(x - y) / np.maximum(np.abs(x), 1e-6)))
            if error > 1e-11:
                result[name] = error
    return result


def rollout(model: mujoco.MjModel, task: str, seed: int = 0, steps: int = 10) -> Array:
    """qpos after each control step of a rough ride that lets the gripper push what is in its way."""
    data, begin = mujoco.MjData(model), start(task)
    data.qpos[:], data.qvel[:] = begin.qpos, begin.qvel
    gripper = model.body("robot0:gripper_link").id
    if "object" in TASKS[task].features:
        data.qpos[-7:-5] = begin.gripper[:2] + np.array([0.08, 0.0])
    mujoco.mj_forward(model, data)
    rng, rows = np.random.default_rng(seed), []
    for _ in range(steps):
        if "joints" in TASKS[task].features:
            places, _ = puck_model.arm_addresses(model)
            data.ctrl[:] = data.qpos[places] + rng.uniform(-0.03, 0.06, 7)
            mujoco.mj_step(model, data, nstep=20)
            rows.append(data.qpos.copy())
            continue
        data.mocap_pos[0] = data.xpos[gripper] + rng.uniform(-0.02, 0.05, 3) * [1, 0.3, -0.3]
        data.mocap_quat[0] = data.xquat[gripper] + [1, 0, 1, 0]
        mujoco.mj_step(model, data, nstep=20)
        rows.append(data.qpos.copy())
    return np.array(rows)


@pytest.mark.parametrize(("task", "parameter"), EACH, ids=[f"{task}-{p.name}" for task, p in EACH])
def test_each_parameter_equals_a_fresh_compile(task: str, parameter: DynamicsParameter) -> None:
    value = other_value(parameter)
    subject = robot(task)
    subject.writer.write(values_with(**{parameter.name: value}), subject.data)
    expected = compiled(task, {parameter.name: value})
    assert differences(subject.model, expected) == {}
    assert differences(subject.model, start(task).model) != {}, "the parameter changed nothing"
    np.testing.assert_allclose(rollout(subject.model, task), rollout(expected, task), atol=1e-9)


@pytest.mark.parametrize("task", TASKS)
def test_all_parameters_together_equal_a_fresh_compile(task: str) -> None:
    dynamics = load_dynamics("unseen").of(task)
    here = [p for p in MODEL_PARAMETERS if exists(p, TASKS[task].features)]
    drawn = dynamics.sample(np.random.default_rng(3).random(len(PARAMETERS)))
    changes = {p.name: float(drawn[INDEX[p.name]]) for p in here}
    subject = robot(task)
    subject.writer.write(values_with(**changes), subject.data)
    expected = compiled(task, changes)
    assert differences(subject.model, expected) == {}
    np.testing.assert_allclose(rollout(subject.model, task), rollout(expected, task), atol=1e-9)


def test_the_guard_sees_a_forgotten_recompute() -> None:
    # What a naive randomiser does: double the object's mass in place. Its inertia and dof_M0 stay behind.
    model = compiled("FetchPush", {})
    model.body_mass[model.body("object0").id] *= 2
    found = differences(model, compiled("FetchPush", {"object_mass": 2.0}))
    assert {"body_inertia", "body_subtreemass", "dof_M0", "dof_invweight0", "stat.meaninertia"} <= set(found)


def test_a_heavier_object_still_falls_with_gravity() -> None:
    # mj_crb takes a free body's inertia from dof_M0: without mj_setConst a doubled mass falls at 19.62 m/s^2.
    subject = robot("FetchPush")
    subject.reset(values_with(object_mass=2.0), np.array([1.2, 1.0]), np.zeros(READING_SIZE))
    subject.data.qpos[-5] += 0.3
    mujoco.mj_forward(subject.model, subject.data)
    assert subject.data.qacc[-4] == pytest.approx(-9.81, abs=1e-3)


def test_lower_friction_of_object_and_table_takes_effect() -> None:
    # MuJoCo takes the larger of both geoms' friction: the object's own factor alone would change nothing.
    subject = robot("FetchPush")
    model = subject.model
    subject.writer.write(values_with(object_friction_slide=0.1), subject.data)
    names = {"object0", "table0", "robot0:r_gripper_finger_link", "robot0:l_gripper_finger_link"}
    touched = {i for i in range(model.ngeom) if model.body(model.geom_bodyid[i]).name in names}
    assert len(touched) == 4
    for i in range(model.ngeom):
        assert model.geom_friction[i, 0] == (0.1 if i in touched else 1.0)


SPANS = [
    st.floats(max(p.low, 0.3 if p.operation == "scale" else -1), min(p.high, 3.0), allow_nan=False)
    if p.writes
    else st.just(p.nominal)
    for p in PARAMETERS
]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(*SPANS), min_size=1, max_size=5), st.sampled_from(sorted(TASKS)))
def test_randomised_any_number_of_times_and_restored_is_bit_identical(
    changes: list[tuple[float, ...]], task: str
) -> None:
    subject = robot(task)
    for change in changes:
        subject.writer.write(np.array(change), subject.data)
    subject.writer.write(NOMINAL, subject.data)
    np.testing.assert_array_equal(rollout(subject.model, task, steps=3), nominal_rollout(task))


@functools.cache
def nominal_rollout(task: str) -> Array:
    return rollout(start(task).model, task, steps=3)


def test_writing_does_not_depend_on_what_was_written_before() -> None:
    train, rng = load_dynamics("train"), np.random.default_rng(5)
    a, b = train.sample(rng.random(len(PARAMETERS))), train.sample(rng.random(len(PARAMETERS)))
    used, fresh = robot("FetchPickAndPlace"), TASKS["FetchPickAndPlace"].robot(start("FetchPickAndPlace"))
    used.writer.write(a, used.data)
    used.writer.write(b, used.data)
    fresh.writer.write(b, fresh.data)
    np.testing.assert_array_equal(rollout(used.model, "FetchPickAndPlace"), rollout(fresh.model, "FetchPickAndPlace"))


def test_the_shared_nominal_model_is_never_written() -> None:
    before = start("FetchPush").model.body_mass.copy(), start("FetchPush").model.geom_friction.copy()
    subject = TASKS["FetchPush"].robot(start("FetchPush"))
    subject.writer.write(values_with(object_mass=2.0, object_friction_slide=0.5), subject.data)
    np.testing.assert_array_equal(start("FetchPush").model.body_mass, before[0])
    np.testing.assert_array_equal(start("FetchPush").model.geom_friction, before[1])


def test_a_writer_serves_any_copy_of_the_model() -> None:
    env: Any = gymnasium.make("FetchPush-v4").unwrapped
    DynamicsWriter(env.model, start("FetchPush").model, FETCH, TASKS["FetchPush"].features).write(
        values_with(gravity=0.5), env.data
    )
    assert env.model.opt.gravity[2] == -9.81 / 2


def test_a_command_in_the_middle_of_a_step_by_hand() -> None:
    subject, by_hand = robot("FetchPush"), TASKS["FetchPush"].robot(start("FetchPush"))
    commands = np.zeros((51, 4))
    commands[0] = 0.03, -0.02, 0.01, 0.0
    readings, expected = np.zeros((102, READING_SIZE)), np.zeros(READING_SIZE)
    where = np.array([1.45, 0.75])
    subject.reset(NOMINAL, where, readings[0])
    by_hand.reset(NOMINAL, where, expected)
    np.testing.assert_array_equal(readings[0], expected)
    subject.step((Segment(-1, 7, None), Segment(0, 13, 1)), commands, readings, end=1)

    model, data = by_hand.model, by_hand.data
    gripper = model.body("robot0:gripper_link").id
    for nstep, shift in ((7, 0.0), (13, commands[0, :3])):
        data.mocap_pos[0] = data.xpos[gripper] + shift
        data.mocap_quat[0] = data.xquat[gripper] + [1, 0, 1, 0]
        mujoco.mj_step(model, data, nstep=nstep)
    grip = model.site("robot0:grip").id
    mujoco.mj_forward(model, data)  # the reading for frame 1 is of this moment, with locked fingers shown as such
    np.testing.assert_allclose(readings[51 + 1, :3], data.site_xpos[grip], atol=1e-12)
    np.testing.assert_array_equal(readings[51 + 1, 15:17], [0.0, 0.0])
    np.testing.assert_allclose(readings[1, :3], data.site_xpos[grip], atol=1e-12)
