from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim2real.envs import INDEX, PARAMETERS, TASKS, DynamicsError, FetchVectorEnv, load_dynamics, make_vec
from sim2real.envs.dynamics_sets import NOMINAL
from sim2real.envs.variations import (
    GROUPS,
    DynamicsChange,
    active,
    levels,
    members,
    span,
    with_values,
)

U = np.random.default_rng(0).random(len(PARAMETERS))


def test_the_groups_hold_what_their_names_say() -> None:
    assert members("fixed_timestep") == ("control_period_jitter",)
    assert set(members("no_noise")) == {"action_noise", "observation_noise", "observation_bias"}
    assert {"object_mass", "link_mass_gripper", "link_mass_fingers"} <= set(members("fixed_mass"))
    assert {"object_friction_slide", "table_friction_slide"} <= set(members("fixed_friction"))
    together = [name for group in GROUPS for name in members(group)]
    assert len(together) == len(set(together))


@pytest.mark.parametrize("group", GROUPS)
def test_leaving_out_a_group_changes_it_and_nothing_else(group: str) -> None:
    train, left = load_dynamics("train"), load_dynamics(f"train:{group}")
    assert left.name == f"train:{group}"
    a, b = train.sample(U), left.sample(U)
    changed = {p.name for p in PARAMETERS if train[p.name] != left[p.name]}
    assert changed <= set(members(group)) and changed
    for p in PARAMETERS:
        i = INDEX[p.name]
        assert b[i] == (p.nominal if p.name in members(group) else a[i])


def test_a_parameter_and_several_groups_can_be_left_out() -> None:
    left = load_dynamics("train:gravity:no_noise")
    assert not left["gravity"].varies and left["observation_noise"].span == (0.0, 0.0)
    assert left["object_mass"] == load_dynamics("train")["object_mass"]


def test_a_wrong_group_is_named() -> None:
    with pytest.raises(DynamicsError, match=r"'no_nose'\. Did you mean 'no_noise'"):
        load_dynamics("train:no_nose")
    with pytest.raises(DynamicsError, match="Did you mean 'train'"):
        load_dynamics("trian:no_noise")
    with pytest.raises(DynamicsError, match="object_mass at -1 leaves the allowed values"):
        with_values(NOMINAL, {"object_mass": -1.0})
    with pytest.raises(DynamicsError, match="gravity stays at its nominal 1 under nominal"):
        span(NOMINAL, "gravity")


def test_levels_by_hand() -> None:
    train = load_dynamics("train")
    # 0.8 to 1.2: middle 1, half 0.2, at -2, -1.5, ..., 2.
    assert levels(train, "action_gain") == pytest.approx([0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4])
    # 0.5 to 2 in logarithms: middle 1, half log 2: 1/4 to 4.
    assert levels(train, "arm_armature")[::4] == pytest.approx([0.25, 1.0, 4.0])
    # 0 to 40 ms: a delay below 0 makes no sense.
    assert levels(train, "action_delay") == pytest.approx([0, 10, 20, 30, 40, 50, 60])
    # Held at 0.05: between nominal 0 and there.
    assert span(train, "observation_noise") == (0.0, 0.05, False)
    assert levels(train, "observation_noise") == pytest.approx([0, 0.0125, 0.025, 0.0375, 0.05, 0.0625, 0.075])


def test_one_value_fixed_leaves_the_rest() -> None:
    changed = with_values(load_dynamics("train"), {"object_mass": 3.0, "gravity": 1.1})
    assert changed.name == "train object_mass=3, gravity=1.1"
    values, before = changed.sample(U), load_dynamics("train").sample(U)
    assert (values[INDEX["object_mass"]], values[INDEX["gravity"]]) == (3.0, 1.1)
    others = [i for name, i in INDEX.items() if name not in ("object_mass", "gravity")]
    np.testing.assert_array_equal(values[others], before[others])


def test_active_parameters_of_a_task_without_an_object() -> None:
    train = load_dynamics("train")
    assert "object_mass" in active(train, TASKS["FetchPush"].features)
    assert "object_mass" not in active(train, TASKS["FetchReach"].features)
    assert "observation_noise" in active(train, TASKS["FetchReach"].features)
    assert active(NOMINAL, TASKS["FetchPush"].features) == ()


# ---- a change in the middle of an episode


def play(change: DynamicsChange | None, dynamics: str = "train", n: int = 2) -> tuple[FetchVectorEnv, Any]:
    """Frames of an episode under fixed random actions: [T+1] dicts."""
    env = make_vec("FetchPush", n, dynamics, threads=1)
    env.change = change
    actions = np.random.default_rng(1).uniform(-1, 1, (TASKS["FetchPush"].horizon, n, 4)).astype(np.float32)
    frames = [env.reset(seed=3)[0], *(env.step(action)[0] for action in actions)]
    return env, {key: np.stack([frame[key] for frame in frames], 1) for key in frames[0]}


def test_a_change_keeps_the_past_and_changes_the_future() -> None:
    change = DynamicsChange(20, load_dynamics("train"))
    (_, plain), (env, changed) = play(None), play(change)
    # Frame 20 is what the step before the change ends with; its noise is already that of the new dynamics.
    np.testing.assert_array_equal(plain["state"][:, :21], changed["state"][:, :21])
    np.testing.assert_array_equal(plain["observation"][:, :20], changed["observation"][:, :20])
    np.testing.assert_array_equal(plain["desired_goal"], changed["desired_goal"])
    assert not np.allclose(plain["state"][:, 25:], changed["state"][:, 25:])
    mu = changed["dynamics"]
    assert (mu[:, :21] == mu[:, :1]).all() and (mu[:, 21:] == mu[:, 21:22]).all()
    other = [name for name in env.task.dynamics_names if name != "table_height"]
    index = [env.task.dynamics_names.index(name) for name in other]
    assert (np.abs(mu[:, 0, index] - mu[:, 30, index]) > 1e-6).all()
    assert (mu[:, 0] == mu[:, 30])[:, env.task.dynamics_names.index("table_height")].all()


def test_a_change_to_the_same_dynamics_changes_nothing() -> None:
    same = load_dynamics("nominal")
    (_, plain), (_, changed) = play(None, "nominal"), play(DynamicsChange(10, same), "nominal")
    for key in plain:
        np.testing.assert_array_equal(plain[key], changed[key], err_msg=key)


def test_the_new_dynamics_are_those_of_a_model_written_afresh() -> None:
    env, _ = play(DynamicsChange(20, load_dynamics("train")))
    fresh = make_vec("FetchPush", 1, "nominal", threads=1)
    fresh.reset(seed=0)
    fresh._robots[0].writer.write(env._values[1], fresh._robots[0].data)
    for field in (
        "body_mass",
        "body_inertia",
        "geom_friction",
        "dof_damping",
        "dof_M0",
        "body_subtreemass",
        "body_pos",
    ):
        a: NDArray[Any] = getattr(env._robots[1].model, field)
        np.testing.assert_array_equal(a, getattr(fresh._robots[0].model, field), err_msg=field)


def test_the_change_of_an_episode_does_not_depend_on_the_number_of_envs() -> None:
    change = DynamicsChange(20, load_dynamics("unseen"))
    (three, _), (one, _) = play(change, n=3), play(change, n=1)
    np.testing.assert_array_equal(three._values[0], one._values[0])
    assert not (three._values[0] == three._values[1]).all()
    again, _ = play(change, n=3)
    np.testing.assert_array_equal(three._values, again._values)


def test_a_group_is_left_out_for_every_task() -> None:
    train, left = load_dynamics("train"), load_dynamics("train:fixed_mass")
    assert train.of("FetchPuck")["link_mass_gripper"].varies
    for task in ("FetchPuck", "FetchPush"):
        assert not any(left.of(task)[name].varies for name in members("fixed_mass"))
    assert left.of("FetchPuck")["observation_noise"] == train.of("FetchPuck")["observation_noise"]


def test_a_surrogate_with_a_group_left_out_is_still_one() -> None:
    left = load_dynamics("surrogate:no_noise")
    assert left.effects == load_dynamics("surrogate").effects != ()
    with pytest.raises(DynamicsError, match="surrogate robot"):
        make_vec("FetchPush", 1, left)
