"""A foreign model's policy against the library's own predict, for every algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sim2real.deploy import BundleRunner, load_bundle
from sim2real.export import write_bundle
from sim2real.foreign import MODULES, ForeignError
from sim2real.foreign_env import ForeignVectorEnv
from sim2real.foreign_policy import ForeignPolicy, Standardize, foreign_policy
from sim2real.foreign_source import interface
from tests.foreign_models import ACTION, loaded, make_model

IDS = ("Still-v0", "StillGoal-v0")
NORMALIZE = {"Still-v0": {"clip_obs": 2.0}, "StillGoal-v0": {"norm_obs_keys": ["observation", "desired_goal"]}}
SCALE, OFFSET = np.array([1.0, 3.0, 0.625]), np.array([0.0, 1.0, 0.125])


def policy_of(model: Any, env_id: str, folder: Path) -> ForeignPolicy:
    return foreign_policy(loaded(model, folder), ForeignVectorEnv(env_id, 1).interface)


def closed_loop(model: Any, policy: ForeignPolicy, env_id: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Physical actions of both in 3 environments over 12 steps; the episodes of the second one begin every 5 steps."""
    env = gymnasium.make(env_id)
    env.observation_space.seed(1)
    normalizer, state, theirs, ours = model.get_vec_normalize_env(), None, [], []
    memory = policy.initial_state(3)
    for step in range(12):
        samples: Any = [env.observation_space.sample() for _ in range(3)]
        if isinstance(samples[0], dict):
            obs = {key: np.stack([sample[key] for sample in samples]) for key in samples[0]}
        else:
            obs = {"observation": np.stack(samples)}
        seen: Any = dict(obs) if isinstance(samples[0], dict) else obs["observation"]
        if normalizer is not None:
            seen = normalizer.normalize_obs(seen)
        begins = np.array([step == 0, step % 5 == 0, step == 0])
        action, state = model.predict(seen, state=state, episode_start=begins, deterministic=True)
        theirs.append(action)
        keep = torch.from_numpy(1 - begins.astype(np.float32))[:, None]
        normalised, memory = policy.act(obs, tuple(part * keep for part in memory), deterministic=True)
        ours.append(normalised * SCALE + OFFSET)
    return np.stack(theirs), np.stack(ours)


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("algorithm", MODULES)
def test_policy_equals_predict(algorithm: str, normalize: bool, env_id: str, tmp_path: Path) -> None:
    model = make_model(algorithm, env_id, normalize=NORMALIZE[env_id] if normalize else None)
    theirs, ours = closed_loop(model, policy_of(model, env_id, tmp_path), env_id)
    np.testing.assert_allclose(ours / SCALE, theirs / SCALE, atol=1e-6, rtol=0)
    assert np.ptp(theirs / SCALE, axis=(0, 1)).min() > 0.05  # a model that always does the same would prove nothing
    assert (theirs >= ACTION.low).all() and (theirs <= ACTION.high).all()


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("SAC", {"use_sde": True}),
    ("TQC", {"use_sde": True, "policy_kwargs": {"clip_mean": 0.5}}),
    ("SAC", {"policy_kwargs": {"net_arch": [], "activation_fn": torch.nn.ELU}}),
    ("PPO", {"use_sde": True}),
    ("PPO", {"use_sde": True, "policy_kwargs": {"squash_output": True}}),
    ("PPO", {"policy_kwargs": {"net_arch": {"pi": [], "vf": [8]}}}),
    ("PPO", {"policy_kwargs": {"share_features_extractor": False, "activation_fn": torch.nn.SiLU}}),
    ("RecurrentPPO", {"policy_kwargs": {"n_lstm_layers": 2, "lstm_hidden_size": 7}}),
    ("RecurrentPPO", {"policy_kwargs": {"shared_lstm": True, "enable_critic_lstm": False}}),
]


@pytest.mark.parametrize(("algorithm", "options"), VARIANTS)
def test_variants_equal_predict(algorithm: str, options: dict[str, Any], tmp_path: Path) -> None:
    model = make_model(algorithm, **options)
    theirs, ours = closed_loop(model, policy_of(model, "Still-v0", tmp_path), "Still-v0")
    np.testing.assert_allclose(ours / SCALE, theirs / SCALE, atol=1e-6, rtol=0)


# ---- what the policy is made of --------------------------------------------------------------------------------------


def test_standardize_by_hand() -> None:
    module = Standardize(np.array([1.0, -2.0]), np.array([0.5, 4.0]), 3.0)
    x = torch.tensor([[2.0, 0.0], [9.0, -40.0]])
    np.testing.assert_array_equal(module(x).numpy(), [[2.0, 0.5], [3.0, -3.0]])
    assert module(x).dtype == torch.float32


def test_a_reading_that_hardly_varies_keeps_its_digits() -> None:
    """In single precision the mean is off by 6e-9, a quarter of a thousandth of this standard deviation."""
    mean, std = np.array([0.42]) + 1e-9, np.array([2e-5])
    readings = (mean + np.linspace(-3, 3, 7) * std)[:, None].astype(np.float32)
    expected = (readings.astype(np.float64) - mean) / std
    ours = Standardize(mean, std, 10.0)(torch.from_numpy(readings)).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    single = (readings - mean.astype(np.float32)) / std.astype(np.float32)
    assert np.abs(single - expected).max() > 1e-5


def test_only_the_actor_is_kept(tmp_path: Path) -> None:
    policy = policy_of(make_model("SAC", normalize=NORMALIZE["Still-v0"]), "Still-v0", tmp_path)
    sizes = {name: tuple(tensor.shape) for name, tensor in policy.state_dict().items()}
    assert sizes.pop("normalize.0.mean") == sizes.pop("normalize.0.std") == (5,)
    assert list(sizes.values()) == [(16, 5), (16,), (12, 16), (12,), (3, 12), (3,)]


def test_on_our_tasks_the_achieved_goal_is_what_was_measured(tmp_path: Path) -> None:
    """The simulator's own would look through noise and delay, and would be a reading that a robot does not have."""
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    for task, achieved in (("FetchReach", slice(0, 3)), ("FetchPush", slice(3, 6))):
        model = make_model("SAC", f"{task}-v4")
        policy = foreign_policy(loaded(model, tmp_path), interface(task))
        assert [term.name for term in policy.input_terms()] == ["observation", "desired_goal"]
        observation = np.random.default_rng(0).normal(size=(1, len(policy.spec.observation)))
        obs = {"observation": observation, "desired_goal": np.ones((1, 3))}
        expected, _ = model.predict({**obs, "achieved_goal": observation[:, achieved]}, deterministic=True)
        action, _ = policy.act({**obs, "achieved_goal": np.full((1, 3), np.nan)}, (), deterministic=True)
        np.testing.assert_allclose(action, expected, atol=1e-6)


# ---- what does not fit -----------------------------------------------------------------------------------------------


def test_models_of_other_environments(tmp_path: Path) -> None:
    source = loaded(make_model("SAC", "Pendulum-v1"), tmp_path)
    with pytest.raises(ForeignError, match=r"acts in Box\(-2.0, 2.0, .* Still-v0 takes .* in another environment, or"):
        foreign_policy(source, ForeignVectorEnv("Still-v0", 1).interface)


def test_entries_that_are_not_there(tmp_path: Path) -> None:
    source = loaded(make_model("SAC", "StillGoal-v0"), tmp_path)
    with pytest.raises(
        ForeignError, match=r"reads 2 numbers as '(achieved|desired)_goal', which .* {'observation': 5}"
    ):
        foreign_policy(source, ForeignVectorEnv("Still-v0", 1).interface)


def test_a_policy_that_acts_in_its_own_way_fails_the_proof(tmp_path: Path) -> None:
    source = loaded(make_model("SAC"), tmp_path)
    forward = source.model.policy.actor.forward
    source.model.policy.actor.forward = lambda *inputs, **options: 0.5 * forward(*inputs, **options)
    with pytest.raises(ForeignError, match=r"its SACPolicy acts otherwise than SAC policies do, by [1-9]\.\de-0[12]"):
        foreign_policy(source, ForeignVectorEnv("Still-v0", 1).interface)


def test_a_policy_without_the_known_parts(tmp_path: Path) -> None:
    source = loaded(make_model("SAC"), tmp_path)
    del source.model.policy.actor.latent_pi
    with pytest.raises(ForeignError, match="not built as SAC policies are"):
        foreign_policy(source, ForeignVectorEnv("Still-v0", 1).interface)


# ---- bundles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", MODULES)
def test_bundles_of_every_algorithm_act_as_the_model_in_both_backends(algorithm: str, tmp_path: Path) -> None:
    """From the library's predict to the robot's runner, in closed loop with a reset, physical units on both sides."""
    model = make_model(algorithm, "StillGoal-v0", normalize=NORMALIZE["StillGoal-v0"])
    policy = policy_of(model, "StillGoal-v0", tmp_path)
    (tmp_path / "bundle").mkdir()
    assert write_bundle(tmp_path / "bundle", policy, {"algorithm": algorithm}) <= 1e-5
    rng, normalizer = np.random.default_rng(2), model.get_vec_normalize_env()
    runners = [BundleRunner(load_bundle(tmp_path / "bundle", backend=name)) for name in ("onnx", "numpy")]
    state = None
    for step in range(14):
        names, values = runners[0].bundle.contract.readings, rng.normal(size=9).astype(np.float32)
        readings = dict(zip(names, values.tolist(), strict=True))
        obs = {
            key: np.array([[readings[name] for name in names if name.startswith(key)]], np.float32)
            for key in ("observation", "achieved_goal", "desired_goal")
        }
        begins = np.array([step in (0, 8)])
        expected, state = model.predict(normalizer.normalize_obs(obs), state, begins, deterministic=True)
        for runner in runners:
            if begins[0]:
                runner.reset()
            np.testing.assert_allclose(runner.step(readings) / SCALE, expected[0] / SCALE, atol=2e-6)


class Doubled(torch.nn.Module):
    """A features extractor of a user's."""

    def __init__(self, space: Any) -> None:
        super().__init__()
        self.features_dim = space.shape[0]

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return torch.sin(2 * observations)


@pytest.mark.parametrize(
    ("algorithm", "policy_kwargs"),
    [
        ("PPO", {"features_extractor_class": Doubled}),
        ("SAC", {"activation_fn": torch.nn.ELU}),
        ("RecurrentPPO", {"n_lstm_layers": 2, "lstm_hidden_size": 7}),
    ],
)
def test_what_numpy_cannot_say_runs_in_onnxruntime(
    algorithm: str, policy_kwargs: dict[str, Any], tmp_path: Path
) -> None:
    model = make_model(algorithm, policy_kwargs=policy_kwargs)
    policy = policy_of(model, "Still-v0", tmp_path)
    assert policy.network() is None
    theirs, ours = closed_loop(model, policy, "Still-v0")
    np.testing.assert_allclose(ours / SCALE, theirs / SCALE, atol=1e-6, rtol=0)
    (tmp_path / "bundle").mkdir()
    assert write_bundle(tmp_path / "bundle", policy, {"algorithm": algorithm}) <= 1e-5
