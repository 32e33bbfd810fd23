"""Untrained models of stable-baselines3 and sb3-contrib on small environments, for the tests of foreign models."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import sb3_contrib
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sim2real.foreign import MODULES, ForeignModel, load_model

BOX = spaces.Box(-math.inf, math.inf, (5,))
# Sizes and limits all differ, so that no mix-up of order or unit goes unnoticed.
DICT = spaces.Dict(
    {
        "observation": spaces.Box(-math.inf, math.inf, (5,), np.float64),
        "achieved_goal": spaces.Box(-math.inf, math.inf, (2,), np.float64),
        "desired_goal": spaces.Box(-math.inf, math.inf, (2,), np.float64),
    }
)
ACTION = spaces.Box(np.array([-1.0, -2.0, -0.5], np.float32), np.array([1.0, 4.0, 0.75], np.float32))


class Still(gymnasium.Env[Any, Any]):
    """Does nothing for ``length`` steps; every observation is a sample of the space. Success is the sign of a draw."""

    metadata: dict[str, Any] = {"render_modes": [], "render_fps": 20}  # noqa: RUF012 - gymnasium's own

    def __init__(
        self, observation: spaces.Space[Any] = BOX, action: spaces.Space[Any] = ACTION, length: int = 6
    ) -> None:
        self.observation_space, self.action_space, self.length = observation, action, length

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps, self.sent = 0, np.zeros(3)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps, self.sent = self.steps + 1, action
        ended = self.steps >= self.length
        return self.observation_space.sample(), float(self.steps), ended, False, {"is_success": ended}


HERE = "tests.foreign_models:Still"
gymnasium.register("Still-v0", HERE, max_episode_steps=9)
gymnasium.register("StillGoal-v0", HERE, max_episode_steps=9, kwargs={"observation": DICT})


def make_model(algorithm: str, env_id: str = "Still-v0", **options: Any) -> Any:
    """An untrained model; ``normalize`` stands for VecNormalize with statistics that are not trivial."""
    normalize, policy_kwargs = options.pop("normalize", None), options.pop("policy_kwargs", {})
    env: Any = DummyVecEnv([lambda: gymnasium.make(env_id)])
    goal = isinstance(env.observation_space, spaces.Dict)
    if normalize is not None:
        env = VecNormalize(env, **normalize)
        if env.norm_obs:
            _fill(env)
    if algorithm in ("SAC", "TD3", "DDPG", "TQC"):
        options |= {"buffer_size": 10}
    name = ("MultiInput" if goal else "Mlp") + ("LstmPolicy" if algorithm == "RecurrentPPO" else "Policy")
    library = getattr(sb3_contrib if MODULES[algorithm] == "sb3_contrib" else stable_baselines3, algorithm)
    model = library(name, env, device="cpu", seed=3, policy_kwargs={"net_arch": [16, 12], **policy_kwargs}, **options)
    with torch.no_grad():
        for parameter in model.policy.parameters():  # PPO's actions start near zero; parity has to be about something
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def _fill(env: Any) -> None:
    rng = np.random.default_rng(8)
    moments = env.obs_rms if isinstance(env.obs_rms, dict) else {"observation": env.obs_rms}
    for rms in moments.values():
        rms.mean, rms.var = rng.normal(0, 0.5, rms.mean.shape), rng.uniform(0.1, 2, rms.var.shape)


def saved(model: Any, folder: Path) -> tuple[Path, Path | None]:
    """Save ``model``, and the VecNormalize that it has; the two files."""
    model.save(folder / "model.zip")
    if model.get_vec_normalize_env() is None:
        return folder / "model.zip", None
    model.get_vec_normalize_env().save(str(folder / "statistics.pkl"))
    return folder / "model.zip", folder / "statistics.pkl"


def loaded(model: Any, folder: Path) -> ForeignModel:
    path, statistics = saved(model, folder)
    return load_model(path, trust=True, vec_normalize=statistics)
