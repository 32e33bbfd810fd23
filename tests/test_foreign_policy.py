"""A foreign model's policy against the library's own predict, for every algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sim2real.foreign import MODULES
from sim2real.foreign_env import ForeignVectorEnv
from sim2real.foreign_policy import ForeignPolicy, foreign_policy
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
