from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sim2real.curriculum import Curriculum
from sim2real.envs import INDEX, PARAMETERS, TASKS, DynamicsSet, FetchVectorEnv, fetch, load_dynamics, make_vec
from sim2real.envs.distribution import fixed
from sim2real.envs.dynamics_sets import NOMINAL
from sim2real.envs.fetch import HORIZON
from sim2real.envs.model_names import FETCH
from sim2real.envs.physics import DynamicsWriter
from sim2real.envs.scripted import scripted
from sim2real.errors import UserError
from sim2real.types import GoalVectorEnv

Array = NDArray[np.floating[Any]]


def nominal_but(**values: float) -> DynamicsSet:
    distributions = list(NOMINAL.distributions)
    for name, value in values.items():
        distributions[INDEX[name]] = fixed(value)
    return DynamicsSet("test", tuple(distributions))


def only_model(name: str) -> DynamicsSet:
    """The set without delays, noise, jitter and gain: what gymnasium-robotics can do with a changed model."""
    dynamics = load_dynamics(name)
    pairs = zip(PARAMETERS, dynamics.distributions, strict=True)
    return DynamicsSet("model", tuple(d if p.writes else fixed(p.nominal) for p, d in pairs))


def random_actions(n: int, steps: int = HORIZON, seed: int = 0, size: int = 4) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, n, size)).astype(np.float32)


def play(env: FetchVectorEnv, actions: Array, seed: int | None = None) -> dict[str, Array]:
    """[T+1, N, ...] of every part of the observation."""
    frames = [env.reset(seed=seed)[0]]
    frames += [env.step(a)[0] for a in actions]
    return {key: np.stack([f[key] for f in frames]) for key in frames[0]}


def same(a: dict[str, Array], b: dict[str, Array], n: slice = slice(None), m: slice = slice(None)) -> None:
    for key in a:
        np.testing.assert_array_equal(a[key][:, n], b[key][:, m], err_msg=key)


# --- parity with gymnasium-robotics


@pytest.mark.parametrize("dynamics", ["nominal", "train"])
@pytest.mark.parametrize("task", fetch.TASKS)
def test_fifty_steps_equal_those_of_gymnasium_robotics(task: str, dynamics: str) -> None:
    n, rng = 3, np.random.default_rng(0)
    env = make_vec(task, n, only_model(dynamics), seed=4)
    obs, _ = env.reset()
    references: list[Any] = [gymnasium.make(fetch.TASKS[task].reference, max_episode_steps=100) for _ in range(n)]
    for i, reference in enumerate(references):
        reference.reset(seed=i)
        inner = reference.unwrapped
        DynamicsWriter(inner.model, env._initial.model, FETCH, TASKS[task].features).write(env._values[i], inner.data)
        mujoco.mj_copyData(inner.data, inner.model, env._robots[i].data)
        inner.goal = obs["desired_goal"][i].copy()
        np.testing.assert_allclose(inner._get_obs()["observation"], obs["observation"][i], rtol=0, atol=1e-9)
    for _ in range(50):
        actions = np.clip(scripted(task, obs) + rng.normal(0, 0.3, (n, 4)), -1.2, 1.2).astype(np.float32)
        actions[:, 3] *= rng.choice([1.0, 0.01])  # large finger commands end at the limits, where errors do not show
        obs, reward, _, _, info = env.step(actions)
        for i, reference in enumerate(references):
            expected, its_reward, _, _, its_info = reference.step(actions[i])
            np.testing.assert_allclose(obs["observation"][i], expected["observation"], rtol=0, atol=1e-9)
            np.testing.assert_allclose(obs["achieved_goal"][i], expected["achieved_goal"], rtol=0, atol=1e-9)
            assert reward[i] == its_reward and info["is_success"][i] == its_info["is_success"]
    env.close()


@pytest.mark.parametrize("task", fetch.TASKS)
def test_the_first_observation_equals_gymnasium_robotics(task: str) -> None:
    env = make_vec(task, 1, "nominal")
    reference: Any = gymnasium.make(fetch.TASKS[task].reference)
    expected, _ = reference.reset(seed=2)
    start = reference.unwrapped.data.qpos[-7:-5].copy()
    env.reset()
    env._object_starts[0] = start
    env._reset_robot(0)
    np.testing.assert_array_equal(env._observe()["observation"][0], expected["observation"])


# --- one episode is one episode


def test_an_episode_does_not_depend_on_how_many_run_beside_it() -> None:
    actions = random_actions(6, steps=8)
    together = play(make_vec("FetchPush", 6, "train", seed=3), actions)
    by_twos = make_vec("FetchPush", 2, "train", seed=3)
    for batch in range(3):
        some = slice(2 * batch, 2 * batch + 2)
        same(together, play(by_twos, actions[:, some]), n=some)


@pytest.mark.parametrize("task", ["FetchSlide", "FetchPickAndPlace", "FetchPuck"])
def test_threads_change_nothing(task: str) -> None:
    actions = random_actions(5, steps=10, size=len(TASKS[task].spec(()).action))
    one, two, many = (play(make_vec(task, 5, "train", threads=k), actions) for k in (1, 2, 7))
    same(one, two)
    same(one, many)


def test_seed_restarts_the_sequence_and_no_seed_continues_it() -> None:
    env, actions = make_vec("FetchPush", 2, "train", seed=1), random_actions(2, steps=3)
    first, second = play(env, actions), play(env, actions)
    assert (first["desired_goal"] != second["desired_goal"]).all()
    same(first, play(env, actions, seed=1))
    same(second, play(env, actions))


def test_state_dict_continues_the_sequence_whatever_n_is() -> None:
    env, actions = make_vec("FetchPush", 4, "train", seed=9), random_actions(4, steps=3)
    play(env, actions)
    state = env.state_dict()
    assert state == {"seed": 9, "next_episode": 4}
    expected = play(env, actions)
    other = make_vec("FetchPush", 2, "train")
    other.reset()
    other.load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"call reset\(\) first"):
        other.step(actions[0, :2])
    same(expected, play(other, actions[:, :2]), n=slice(0, 2))


def test_every_set_of_dynamics_has_the_same_starts_and_goals() -> None:
    seen = [make_vec("FetchPush", 4, name, seed=5).reset()[0] for name in ("nominal", "train", "unseen")]
    for obs in seen[1:]:
        np.testing.assert_array_equal(obs["desired_goal"][:, :2], seen[0]["desired_goal"][:, :2])
        np.testing.assert_array_equal(obs["achieved_goal"][:, :2], seen[0]["achieved_goal"][:, :2])
        np.testing.assert_allclose(obs["desired_goal"][:, 2], seen[0]["desired_goal"][:, 2], atol=0.016)


def test_starts_and_goals_tell_nothing_about_the_dynamics() -> None:
    obs, _ = make_vec("FetchPush", 48, "train").reset()
    drawn = np.hstack([obs["achieved_goal"][:, :2], obs["desired_goal"][:, :2]])
    p = obs["dynamics"].shape[1]
    correlation = np.corrcoef(obs["dynamics"].T, drawn.T)[:p, p:]
    assert np.abs(correlation).max() < 0.6  # 1 if both came from one stream; chance stays below 0.55 at 48 episodes


def test_the_object_stands_on_the_raised_table() -> None:
    low, high = (make_vec("FetchPush", 2, s) for s in (NOMINAL, nominal_but(table_height=0.01)))
    a, b = (play(env, random_actions(2, steps=1) * 0) for env in (low, high))
    for key in ("achieved_goal", "desired_goal"):
        np.testing.assert_allclose(b[key] - a[key], np.broadcast_to([0, 0, 0.01], a[key].shape), atol=1e-5)


# --- what the dynamics outside of the model do


def test_a_delay_of_one_period_is_a_shift_by_one_step() -> None:
    actions = random_actions(2, steps=6)
    delayed = play(make_vec("FetchPush", 2, nominal_but(action_delay=40.0)), actions)
    shifted = play(make_vec("FetchPush", 2, "nominal"), np.concatenate([0 * actions[:1], actions[:-1]]))
    np.testing.assert_array_equal(delayed["state"], shifted["state"])


def test_an_observation_delay_of_one_period_shows_the_step_before() -> None:
    seen = play(make_vec("FetchPush", 2, nominal_but(observation_delay=40.0)), random_actions(2, steps=6))
    np.testing.assert_array_equal(seen["observation"][1:], seen["state"][:-1])
    np.testing.assert_array_equal(seen["observation"][0], seen["state"][0])
    np.testing.assert_array_equal(seen["achieved_goal"], seen["state"][..., 3:6])


def test_half_a_period_old_lies_between_the_frames() -> None:
    # Without contact the gripper's x moves smoothly: the frame of 20 ms ago is strictly between the two ends.
    actions = np.zeros((4, 1, 4), np.float32)
    actions[..., 0] = 1
    seen = play(make_vec("FetchReach", 1, nominal_but(observation_delay=20.0)), actions)
    x, old = seen["state"][:, 0, 0], seen["observation"][:, 0, 0]
    assert (np.diff(x) > 0).all()
    assert (x[1:-1] < old[2:]).all() and (old[2:] < x[2:]).all()


def test_reading_in_between_does_not_disturb_the_simulation() -> None:
    actions = random_actions(2, steps=10)
    looked, plain = (
        play(make_vec("FetchPickAndPlace", 2, s), actions) for s in (nominal_but(observation_delay=40.0), NOMINAL)
    )
    np.testing.assert_array_equal(looked["state"], plain["state"])
    blocked = [play(make_vec("FetchPush", 2, s), actions) for s in (nominal_but(observation_delay=20.0), NOMINAL)]
    # A step in two parts ends as one in one part does, but for the last bits: mj_step(nstep) is a loop.
    np.testing.assert_allclose(blocked[0]["state"], blocked[1]["state"], atol=1e-9)


def test_gain_scales_the_displacement() -> None:
    actions = random_actions(2, steps=6) / 2
    gained = play(make_vec("FetchPush", 2, nominal_but(action_gain=2.0)), actions)
    doubled = play(make_vec("FetchPush", 2, "nominal"), 2 * actions)
    np.testing.assert_allclose(gained["state"], doubled["state"], atol=1e-7)  # float32 rounds 0.05 a before doubling


def test_noise_is_on_the_observation_only() -> None:
    seen = play(make_vec("FetchPush", 3, nominal_but(observation_noise=0.05)), random_actions(3, steps=6))
    clean = play(make_vec("FetchPush", 3, "nominal"), random_actions(3, steps=6))
    np.testing.assert_array_equal(seen["state"], clean["state"])
    np.testing.assert_array_equal(clean["observation"], clean["state"])
    assert (seen["observation"] != seen["state"]).all()
    assert np.abs(seen["observation"] - seen["state"])[..., :3].max() < 0.05


# --- the contract of every task

OWN_ARMS = [str(path) for path in (Path(__file__).parents[2] / "examples" / "own_arm").glob("*.yaml")]


@pytest.mark.parametrize("dynamics", ["nominal", "train", "surrogate"])
@pytest.mark.parametrize("task", [*TASKS, *OWN_ARMS])
def test_contract(task: str, dynamics: str) -> None:
    n = 4
    env: GoalVectorEnv = make_vec(task, n, dynamics, seed=0, held_out=True)
    assert isinstance(env, FetchVectorEnv)
    rng, spec = np.random.default_rng(1), env.task
    size = (n, spec.sizes["action"])
    obs, info = env.reset()
    frames = [obs]
    assert info["dynamics_values"].shape == (n, len(spec.dynamics_names))
    for t in range(spec.horizon):
        actions = rng.uniform(-1, 1, size)
        if task in TASKS:
            actions = np.where(np.arange(n)[:, None] % 2, scripted(task, obs), actions)
        obs, reward, terminated, truncated, info = env.step(actions.astype(np.float32))
        assert env.observation_space.contains(obs)
        assert not terminated.any() and (truncated == (t == spec.horizon - 1)).all()
        np.testing.assert_array_equal(reward, env.compute_reward(obs["achieved_goal"], obs["desired_goal"]))
        np.testing.assert_array_equal(info["is_success"], reward == 0.0)
        tensors = [torch.from_numpy(obs[key]) for key in ("achieved_goal", "desired_goal")]
        np.testing.assert_array_equal(env.compute_reward(*tensors).numpy(), reward)
        frames.append(obs)
    for key, width in [("observation", "observation"), ("state", "observation"), ("dynamics", "dynamics")]:
        assert obs[key].shape == (n, spec.sizes[width]) and obs[key].dtype == np.float64
    for key in ("observation", "state"):
        assert np.isfinite([f[key] for f in frames]).all()
        assert (np.std([f[key] for f in frames], axis=(0, 1)) > 0).all(), "an element never changes"
    assert (np.std(frames[0]["desired_goal"], axis=0)[:2] > 0.01).all()
    if "object" in env.definition.features:
        assert (np.std(frames[0]["achieved_goal"], axis=0)[:2] > 0.01).all()
    assert not sum(int(w.number) for robot in env._robots for w in robot.data.warning), "MuJoCo warned"
    env.close()


def test_mu_of_train_fills_its_range() -> None:
    env = make_vec("FetchPush", 64, "train")
    mu = env.reset()[0]["dynamics"]
    assert (np.abs(mu) <= 1).all()
    assert (mu.min(0) < -0.8).all() and (mu.max(0) > 0.8).all()


@pytest.mark.parametrize(
    ("task", "at_least"), [("FetchReach", 0.9), ("FetchPush", 0.9), ("FetchPickAndPlace", 0.9), ("FetchPuck", 0.8)]
)
def test_a_script_solves_the_nominal_task(task: str, at_least: float) -> None:
    env = make_vec(task, 16, "nominal", seed=11)
    obs, info = env.reset()
    assert info["is_success"].mean() < 0.3
    for _ in range(env.task.horizon):
        obs, _, _, _, info = env.step(scripted(task, obs).astype(np.float32))
    assert info["is_success"].mean() >= at_least


def test_returned_arrays_are_the_callers_own() -> None:
    env, actions = make_vec("FetchPush", 2, "train"), random_actions(2, steps=2)
    obs, _ = env.reset()
    kept = {key: value.copy() for key, value in obs.items()}
    env.step(actions[0])
    for key, value in obs.items():
        np.testing.assert_array_equal(value, kept[key])
        value[:] = np.nan
    assert all(np.isfinite(v).all() for v in env.step(actions[1])[0].values())


# --- mistakes


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'FetchPush'"):
        make_vec("FetchPsh", 2)
    with pytest.raises(UserError, match="at least 1"):
        make_vec("FetchPush", 0)
    env = make_vec("FetchReach", 2, "nominal")
    with pytest.raises(RuntimeError, match=r"call reset\(\) first"):
        env.step(np.zeros((2, 4)))
    env.reset()
    with pytest.raises(ValueError, match=r"of shape \(2, 4\), got shape \(4,\)"):
        env.step(np.zeros(4))
    with pytest.raises(ValueError, match="finite"):
        env.step(np.full((2, 4), np.nan))
    with pytest.raises(ValueError, match="one seed gives all"):
        env.reset(seed=[1, 2])
    for _ in range(HORIZON):
        env.step(np.zeros((2, 4)))
    with pytest.raises(RuntimeError, match="the episodes are over"):
        env.step(np.zeros((2, 4)))


def test_a_picture_does_not_disturb_the_simulation() -> None:
    env, plain = (make_vec("FetchPickAndPlace", 1, "nominal") for _ in range(2))
    actions = random_actions(1, steps=4)
    env.reset()
    plain.reset()
    for a in actions:
        try:
            picture = env.render(0)
        except RuntimeError as error:
            pytest.skip(str(error))
        np.testing.assert_array_equal(env.step(a)[0]["state"], plain.step(a)[0]["state"])
    assert picture.shape == (480, 480, 3) and picture.dtype == np.uint8
    assert (picture[..., 0].astype(int) - picture[..., 1] > 100).sum() > 20, "the red goal is not in the picture"
    env.close()


def test_a_demonstration_is_what_the_hand_written_policy_does() -> None:
    env = make_vec("FetchPush", 3, "nominal", seed=3, threads=1)
    obs, _ = env.reset()
    actions = env.demonstrate(obs)
    assert actions.dtype == np.float32
    np.testing.assert_array_equal(actions, scripted("FetchPush", obs).astype(np.float32))


def test_a_tolerance_tightens_rewards_and_not_success() -> None:
    env = make_vec("FetchPuck", 2, "nominal", seed=3, threads=1, curriculum=Curriculum(tolerance=0.5))
    goal = np.zeros((3, 3))
    achieved = np.array([[0.03, 0.0, 0.0], [0.04, 0.0, 0.0], [0.08, 0.0, 0.0]])  # half of 0.07 m is 0.035 m
    assert env.compute_reward(achieved, goal).tolist() == [0.0, -1.0, -1.0]
    plain = make_vec("FetchPuck", 2, "nominal", seed=3, threads=1)
    assert plain.compute_reward(achieved, goal).tolist() == [0.0, 0.0, -1.0]
    env.reset()
    env._goals[:] = env._achieved() + np.array([0.05, 0.0, 0.0])
    _, reward, _, _, info = env.step(np.zeros((2, 7)))
    assert info["is_success"].all() and (reward == -1).all()


@pytest.mark.parametrize("widen", [0, 4])
def test_dynamics_are_nominal_before_they_widen(widen: int) -> None:
    env = make_vec(
        "FetchPush", 4, "train", seed=3, threads=1, curriculum=Curriculum(nominal_episodes=8, widen_episodes=widen)
    )
    full = make_vec("FetchPush", 4, "train", seed=3, threads=1)
    nominal = np.array([PARAMETERS[i].nominal for i in full.privileged.indices])
    share = np.arange(4)[:, None] / 4 if widen else np.ones((4, 1))
    for expected in (0.0, 0.0, share, 1.0):  # episodes 0-3, 4-7, 8-11 and 12-15
        drawn = nominal + expected * (full.reset()[1]["dynamics_values"] - nominal)
        np.testing.assert_allclose(env.reset()[1]["dynamics_values"], drawn, rtol=1e-12)


def test_dynamics_widen_from_nominal_to_the_full_set() -> None:
    full = make_vec("FetchPush", 4, "train", seed=3, threads=1)
    widening = make_vec("FetchPush", 4, "train", seed=3, threads=1, curriculum=Curriculum(widen_episodes=8))
    nominal = np.array([PARAMETERS[i].nominal for i in full.privileged.indices])
    for first in (0, 4, 8):  # episodes 0-3, 4-7 and 8-11
        values = full.reset()[1]["dynamics_values"]
        share = np.minimum((first + np.arange(4)) / 8, 1.0)[:, None]
        expected = nominal + share * (values - nominal)
        np.testing.assert_allclose(widening.reset()[1]["dynamics_values"], expected, rtol=1e-12)
