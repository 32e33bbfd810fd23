"""Files of other libraries: what is read before they are trusted, and what is refused."""

from __future__ import annotations

import base64
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv

from sim2real.foreign import MODULES, ForeignError, load_model
from tests.foreign_models import Still, loaded, make_model, saved


@pytest.mark.parametrize("algorithm", MODULES)
def test_the_algorithm_is_recognised_and_its_origin_kept(algorithm: str, tmp_path: Path) -> None:
    model = make_model(algorithm)
    model.num_timesteps = 70
    found = loaded(model, tmp_path)
    assert type(found.model).__name__ == algorithm
    assert found.origin() == {"algorithm": algorithm, "library": MODULES[algorithm], "samples": 70, "seed": 3}
    assert found.versions["torch"] == torch.__version__
    assert found.versions["stable_baselines3"] == stable_baselines3.__version__


def test_loading_seeds_nobody_and_makes_no_replay_buffer(tmp_path: Path) -> None:
    path, _ = saved(make_model("SAC"), tmp_path)
    np.random.seed(11)
    expected = np.random.rand()
    np.random.seed(11)
    model = load_model(path, trust=True).model
    assert np.random.rand() == expected
    assert model.replay_buffer.buffer_size == 1


class Bomb:
    """Unpickling it makes a file: what an attacker's model would do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def _with_settings(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the settings inside a model."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    settings = json.loads(files["data"])
    change(settings)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, "data": json.dumps(settings).encode()}.items():
            archive.writestr(name, content)


def test_without_trust_nothing_is_unpickled(tmp_path: Path) -> None:
    path, _ = saved(make_model("SAC"), tmp_path)
    mark = tmp_path / "exploded"
    pickled = base64.b64encode(pickle.dumps(Bomb(mark))).decode()
    _with_settings(path, lambda settings: settings["policy_kwargs"].update({":serialized:": pickled}))
    with pytest.raises(ForeignError, match=r"is a SAC model .* runs any code .* add --trust"):
        load_model(path, trust=False)
    assert not mark.exists()
    with pytest.raises(ForeignError, match="can't load"):
        load_model(path, trust=True)
    assert mark.exists()  # the bomb was real


def test_statistics_need_trust_too(tmp_path: Path) -> None:
    path, _ = saved(make_model("SAC"), tmp_path)
    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(ForeignError, match="--trust"):
        load_model(path, trust=False, vec_normalize=tmp_path / "bomb.pkl")
    assert not (tmp_path / "exploded").exists()


def _refusal(path: Path, **options: Any) -> str:
    with pytest.raises(ForeignError) as caught:
        load_model(path, trust=True, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_are_no_models(tmp_path: Path) -> None:
    assert "there is no file" in _refusal(tmp_path / "nothing.zip")
    (tmp_path / "text.zip").write_text("text")
    assert "is not a model of stable-baselines3 (BadZipFile" in _refusal(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "hello")
    assert "is not a model of stable-baselines3 (KeyError" in _refusal(tmp_path / "other.zip")


def test_other_algorithms_are_refused(tmp_path: Path) -> None:
    env = DummyVecEnv([lambda: gymnasium.make("Still-v0")])
    stable_baselines3.A2C("MlpPolicy", env, device="cpu").save(tmp_path / "a2c.zip")
    assert "none of the supported algorithms: DDPG, PPO, RecurrentPPO, SAC, TD3, TQC" in _refusal(tmp_path / "a2c.zip")


def _ppo(observation: Any, action: Any, folder: Path) -> Path:
    env = DummyVecEnv([lambda: Still(observation, action)])
    stable_baselines3.PPO("MlpPolicy", env, device="cpu", n_steps=2, batch_size=2).save(folder / "ppo.zip")
    return folder / "ppo.zip"


def test_spaces_that_are_not_vectors_are_refused(tmp_path: Path) -> None:
    box = spaces.Box(-1, 1, (2,))
    assert "acts in Discrete(3)" in _refusal(_ppo(box, spaces.Discrete(3), tmp_path))
    assert "reads observation from Discrete(4)" in _refusal(_ppo(spaces.Discrete(4), box, tmp_path))


def test_a_forgotten_vec_normalize_is_noticed(tmp_path: Path) -> None:
    model = make_model("PPO", normalize={}, n_steps=4, batch_size=4)
    model.learn(4)
    path, statistics = saved(model, tmp_path)
    assert "was trained behind VecNormalize" in _refusal(path)
    assert load_model(path, trust=True, vec_normalize=statistics).statistics().keys() == {"observation"}


def test_wrong_statistics_are_refused(tmp_path: Path) -> None:
    path, _ = saved(make_model("PPO"), tmp_path)
    assert "there is no file" in _refusal(path, vec_normalize=tmp_path / "nothing.pkl")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1]))
    assert "holds a list; give what VecNormalize.save wrote" in _refusal(path, vec_normalize=tmp_path / "list.pkl")
    (tmp_path / "text.pkl").write_text("text")
    assert "can't load" in _refusal(path, vec_normalize=tmp_path / "text.pkl")
    (tmp_path / "goal").mkdir()
    _, other = saved(make_model("PPO", "StillGoal-v0", normalize={}), tmp_path / "goal")
    assert re.search("is of observations .*achieved_goal.* the model reads", _refusal(path, vec_normalize=other))


def test_code_that_is_not_importable_is_named(tmp_path: Path) -> None:
    path, _ = saved(make_model("SAC"), tmp_path)
    unknown = base64.b64encode(b"cnowhere.to_be\nfound\n.").decode()
    _with_settings(path, lambda settings: settings["policy_kwargs"].update({":serialized:": unknown}))
    message = _refusal(path)
    assert "No module named 'nowhere'" in message
    assert f"stable_baselines3 {stable_baselines3.__version__}" in message
    assert "PYTHONPATH" in message


def test_normalised_reward_alone_changes_nothing(tmp_path: Path) -> None:
    assert loaded(make_model("PPO", normalize={"norm_obs": False}), tmp_path).statistics() == {}
