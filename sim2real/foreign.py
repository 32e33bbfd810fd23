"""Policies that stable-baselines3 and sb3-contrib trained: the file, checked, and what of it acts.

Supported are SAC, TD3, DDPG, TQC, PPO and RecurrentPPO with vector observations, one or a dict of them, and bounded
continuous actions. `sim2real.foreign_policy` turns what is loaded here into a policy of ours.

Such a file is a zip with Python pickles in it, and unpickling runs whatever code its author put there. So nothing is
unpickled unless the user says that the file is to be trusted; which algorithm it holds is read before, from plain JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

from sim2real.errors import UserError
from sim2real.foreign_interface import entries_of

MODULES = {
    "SAC": "stable_baselines3",
    "TD3": "stable_baselines3",
    "DDPG": "stable_baselines3",
    "PPO": "stable_baselines3",
    "TQC": "sb3_contrib",
    "RecurrentPPO": "sb3_contrib",
}
"""Algorithm -> the package that has it."""
_NORMALIZER = "give what VecNormalize.save wrote"


class ForeignError(UserError):
    """A model of another library that can't be read, or that is none of those supported."""


@dataclass(frozen=True)
class Statistics:
    """What ``VecNormalize`` does to one entry of the observation: ``clip((x - mean) / std, -limit, limit)``."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    """``sqrt(var + epsilon)``"""
    limit: float


@dataclass(frozen=True)
class ForeignModel:
    """A trained model as it came from its file, on the CPU."""

    path: Path
    algorithm: str
    """One of `MODULES`."""
    model: Any
    """The library's own object; ``model.predict`` is what everything made of it has to equal."""
    normalizer: Any
    """The ``VecNormalize`` that it was trained behind, or None."""
    seed: int | None
    versions: Mapping[str, str]
    """Of the library and what it needs, when the model was saved."""

    def origin(self) -> dict[str, Any]:
        """Where the policy comes from, for a bundle's documents; JSON data."""
        return {
            "algorithm": self.algorithm,
            "library": MODULES[self.algorithm],
            "samples": int(self.model.num_timesteps),
            **({} if self.seed is None else {"seed": self.seed}),
        }

    @property
    def observation_spaces(self) -> dict[str, spaces.Box]:
        """Key -> space, in the order the network reads them; one that is no dict is called ``observation``."""
        return entries_of(self.model.observation_space)

    @property
    def reads_dict(self) -> bool:
        return isinstance(self.model.observation_space, spaces.Dict)

    def statistics(self) -> dict[str, Statistics]:
        """What is normalised, by key."""
        if self.normalizer is None or not self.normalizer.norm_obs:
            return {}
        moments = self.normalizer.obs_rms if self.reads_dict else {"observation": self.normalizer.obs_rms}
        epsilon, limit = self.normalizer.epsilon, float(self.normalizer.clip_obs)
        return {key: Statistics(rms.mean, np.sqrt(rms.var + epsilon), limit) for key, rms in moments.items()}

    def predict(
        self, obs: Mapping[str, NDArray[Any]], state: Any, episode_start: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], Any]:
        """The library's own answer to N observations by key, VecNormalize first: actions [N, ...] as its environment
        takes them, and the next state."""
        seen: Any = dict(obs) if self.reads_dict else obs["observation"]
        if self.normalizer is not None:
            seen = self.normalizer.normalize_obs(seen)
        action, state = self.model.predict(seen, state=state, episode_start=episode_start, deterministic=True)
        return action, state


def load_model(path: Path, *, trust: bool, vec_normalize: Path | None = None) -> ForeignModel:
    """Read ``path``, what ``model.save`` wrote, and the file that ``VecNormalize.save`` wrote, if there is one.

    Raises:
        ForeignError: it is not trusted, no model, of another algorithm, from an incompatible version, or was trained
            behind a VecNormalize that is not given.
    """
    if vec_normalize is not None and not vec_normalize.is_file():
        raise ForeignError(f"--vec-normalize: there is no file {str(vec_normalize)!r}; {_NORMALIZER}")
    archive = _read(path)
    algorithm = _algorithm(path, archive)
    if not trust:
        raise ForeignError(
            f"{path} is a {algorithm} model of stable-baselines3. Parts of such a file are Python pickles, and loading "
            "one runs any code that its author put in. If you trust where it came from, add --trust"
        )
    model = _load(path, algorithm, archive)
    _check_spaces(path, model)
    normalizer = None if vec_normalize is None else _load_normalizer(vec_normalize, model)
    if normalizer is None and archive.settings.get("_last_original_obs") is not None:
        raise ForeignError(
            f"{path} was trained behind VecNormalize, whose statistics are in another file, and acts at random without "
            "them: add --vec-normalize FILE (what VecNormalize.save wrote)"
        )
    return ForeignModel(path, algorithm, model, normalizer, archive.settings.get("seed"), archive.versions)


# ---- what can be read without unpickling -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Archive:
    """The harmless part of the file."""

    settings: Mapping[str, Any]
    """Its hyper-parameters; what is pickled stands there as a dict with the pickle as text."""
    weights: frozenset[str]
    """Names of the policy's tensors."""
    versions: Mapping[str, str]
    """What saved it: name -> version."""


def _read(path: Path) -> _Archive:
    if not path.is_file():
        raise ForeignError(f"there is no file {str(path)!r}; give a zip that stable-baselines3's model.save wrote")
    try:
        with zipfile.ZipFile(path) as archive:
            settings = json.loads(archive.read("data"))
            weights = torch.load(io.BytesIO(archive.read("policy.pth")), map_location="cpu", weights_only=True)
            system = archive.read("system_info.txt").decode() if "system_info.txt" in archive.namelist() else ""
        return _Archive(dict(settings), frozenset(weights), _versions(system))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise ForeignError(
            f"{path} is not a model of stable-baselines3 ({type(error).__name__}: {error}); give a zip that model.save "
            "wrote"
        ) from None


def _versions(system: str) -> dict[str, str]:
    """Versions in the lines ``- Stable-Baselines3: 2.9.2`` that the library writes beside a model."""
    lines = [line.removeprefix("- ").partition(": ") for line in system.splitlines() if line.startswith("- ")]
    named = {name.lower().replace("-", "_"): value.strip() for name, _, value in lines}
    kept = {"python": "python", "stable_baselines3": "stable_baselines3", "pytorch": "torch", "gymnasium": "gymnasium"}
    return {ours: named[theirs] for theirs, ours in kept.items() if theirs in named}


def _algorithm(path: Path, archive: _Archive) -> str:
    """Whose settings these are. The file does not name its algorithm; each has hyper-parameters of its own."""
    has, recurrent = archive.settings.keys(), any(name.startswith("lstm_actor.") for name in archive.weights)
    if "top_quantiles_to_drop_per_net" in has:
        return "TQC"
    if "target_policy_noise" in has:
        # DDPG is TD3 with these two.
        without_tricks = (archive.settings["policy_delay"], archive.settings["target_noise_clip"]) == (1, 0.0)
        return "DDPG" if without_tricks else "TD3"
    if {"target_entropy", "target_update_interval"} <= has:
        return "SAC"
    if "clip_range" in has:
        return "RecurrentPPO" if recurrent else "PPO"
    raise ForeignError(f"{path} is of none of the supported algorithms: {', '.join(sorted(MODULES))}")


# ---- what unpickles ----------------------------------------------------------------------------------------------


def _not_needed() -> dict[str, Any]:
    """Stand-ins for what only training needs. It is not unpickled then: fewer things that another Python version can't
    read, no replay buffer of a million steps, no environment for hindsight, no seeding of everybody's generators."""
    return {
        **dict.fromkeys(("_last_obs", "_last_original_obs", "_last_episode_starts", "seed", "action_noise")),
        **dict.fromkeys(("ep_info_buffer", "ep_success_buffer", "clip_range_vf", "tensorboard_log")),
        **dict.fromkeys(("replay_buffer_class", "rollout_buffer_class")),
        **{"replay_buffer_kwargs": {}, "rollout_buffer_kwargs": {}, "optimize_memory_usage": False},
        **{"buffer_size": 1, "n_envs": 1, "train_freq": 1, "learning_rate": 0.0, "lr_schedule": 0.0, "clip_range": 0.2},
    }


def _load(path: Path, algorithm: str, archive: _Archive) -> Any:
    library = getattr(importlib.import_module(MODULES[algorithm]), algorithm)
    with _told(path, archive.versions):
        model = library.load(path, device="cpu", custom_objects=_not_needed())
    model.policy.set_training_mode(False)
    return model


@contextlib.contextmanager
def _told(path: Path, versions: Mapping[str, str]) -> Iterator[None]:
    """Turn whatever a pickle raises into one message, with what the library warned of before."""
    from stable_baselines3 import __version__

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except Exception as error:  # unpickling calls arbitrary code, so it raises arbitrary things
            reasons = "; ".join([*(str(w.message).strip() for w in caught), f"{type(error).__name__}: {error}"])
            saved_by = ", ".join(f"{name} {version}" for name, version in versions.items()) or "an unknown version"
            raise ForeignError(
                f"can't load {path}: {' '.join(reasons.split())}. Saved by {saved_by}, read by stable_baselines3 "
                f"{__version__}; if it uses code of its author's, that has to be importable (PYTHONPATH)"
            ) from error


def _load_normalizer(path: Path, model: Any) -> Any:
    from stable_baselines3.common.save_util import load_from_pkl
    from stable_baselines3.common.vec_env import VecNormalize

    with _told(path, {}):
        normalizer = load_from_pkl(path)
    if not isinstance(normalizer, VecNormalize):
        raise ForeignError(f"--vec-normalize {path} holds a {type(normalizer).__name__}; {_NORMALIZER}")
    shapes, expected = (
        {key: part.shape for key, part in entries_of(whose.observation_space).items()} for whose in (normalizer, model)
    )
    if shapes != expected:
        raise ForeignError(f"--vec-normalize {path} is of observations {shapes}, the model reads {expected}")
    return normalizer


def _check_spaces(path: Path, model: Any) -> None:
    from stable_baselines3.common.preprocessing import is_image_space

    if not isinstance(model.action_space, spaces.Box):  # which the library keeps to finite limits
        raise ForeignError(f"{path} acts in {model.action_space}; supported are continuous actions (Box)")
    for key, part in entries_of(model.observation_space).items():
        if not isinstance(part, spaces.Box) or is_image_space(part):
            raise ForeignError(f"{path} reads {key} from {part}; supported are vectors of numbers (Box), no pictures")
