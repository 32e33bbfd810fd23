from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from sim2real.envs import TASKS, FetchEnv, make_vec
from sim2real.envs.gym_env import register
from sim2real.errors import UserError

IDS = [f"sim2real/{task}-v0" for task in TASKS]


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checker_passes(name: str) -> None:
    env = gymnasium.make(name, dynamics="train")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space m.*imum value is -?infinity")
        warnings.filterwarnings("ignore", message=".*not within the observation space")
        check_env(env.unwrapped, skip_render_check=True)
    env.close()


@pytest.mark.parametrize("name", IDS)
def test_stable_baselines_checker_passes(name: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the extra 'baselines'")
    env = gymnasium.make(name, dynamics="unseen")
    checker.check_env(env.unwrapped, warn=True)
    env.close()


def test_one_environment_is_a_vector_of_one() -> None:
    env: Any = gymnasium.make("sim2real/FetchPush-v0", dynamics="train")
    vector = make_vec("FetchPush", 1, "train", threads=1)
    obs, info = env.reset(seed=7)
    expected, its_info = vector.reset(seed=7)
    np.testing.assert_array_equal(info["dynamics_values"], its_info["dynamics_values"][0])
    rng = np.random.default_rng(0)
    for t in range(50):
        for key in obs:
            np.testing.assert_array_equal(obs[key], expected[key][0])
        action = rng.uniform(-1, 1, 4).astype(np.float32)
        obs, reward, terminated, truncated, info = env.step(action)
        expected, rewards, *_ = vector.step(action[None])
        assert isinstance(reward, float) and reward == rewards[0]
        assert not terminated and truncated == (t == 49)
        assert isinstance(info["is_success"], bool)


def test_episodes_follow_each_other_and_unseeded_ones_differ() -> None:
    env = FetchEnv("FetchReach", "nominal")
    goals = [env.reset(seed=s)[0]["desired_goal"][0] for s in (3, None, 3, None)]
    assert goals[0] == goals[2] and goals[1] == goals[3] and goals[0] != goals[1]
    other, another = (FetchEnv("FetchReach", "nominal").reset()[0]["desired_goal"][0] for _ in range(2))
    assert other != another


def test_registering_again_changes_nothing() -> None:
    before = dict(gymnasium.registry)
    register()
    assert dict(gymnasium.registry) == before


def test_unknown_render_mode() -> None:
    with pytest.raises(UserError, match="Allowed: rgb_array"):
        FetchEnv("FetchReach", render_mode="human")


def test_importing_and_stepping_is_quiet_and_needs_no_torch() -> None:
    program = (
        "import sys; from sim2real.envs import make_vec; make_vec('FetchReach', 1, 'train').reset(); "
        "assert 'torch' not in sys.modules; assert 'OpenGL.GL' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
