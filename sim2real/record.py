"""Videos of a policy, headless: the same episode under every set of dynamics side by side, one after another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sim2real.collect import rollout
from sim2real.errors import UserError
from sim2real.types import FloatArray, Policy, TaskSpec

Picture = NDArray[np.uint8]
CAPTION = 36
"""Height of the strip above each picture (in pixels)."""
HOLD = 0.6
"""How long the last picture of an episode stays (in seconds)."""
_BACKGROUND, _INK, _GOOD, _BAD = (24, 28, 36), (232, 236, 242), (96, 208, 160), (244, 140, 92)


class RecordError(UserError):
    """No video can be made here: the renderer or the encoder is missing."""


class _Filmed:
    """An environment that takes a picture of its first robot at every reset and step."""

    def __init__(self, env: Any) -> None:
        self.env, self.num_envs = env, env.num_envs
        self.task: TaskSpec = env.task
        self.pictures: list[Picture] = []
        self.success: list[bool] = []

    def reset(self, *, seed: int | None = None) -> tuple[dict[str, FloatArray], dict[str, Any]]:
        obs, info = self.env.reset(seed=seed)
        self.pictures, self.success = [], []
        self._shoot(info)
        return obs, info

    def step(self, actions: FloatArray) -> tuple[dict[str, FloatArray], FloatArray, Any, Any, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(actions)
        self._shoot(info)
        return obs, reward, terminated, truncated, info

    def _shoot(self, info: Mapping[str, Any]) -> None:
        try:
            picture = self.env.render(0)
        except Exception as error:  # OpenGL's platforms raise all kinds: ImportError, RuntimeError, FatalError, ...
            raise RecordError(
                f"cannot render: {type(error).__name__}: {error}. Without a display, set MUJOCO_GL=egl (Debian: "
                "apt-get install libegl1 libgl1-mesa-dri) or MUJOCO_GL=osmesa (libosmesa6)"
            ) from error
        self.pictures.append(np.asarray(picture, np.uint8))
        self.success.append(bool(info["is_success"][0]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)


def record(policy: Policy, envs: Mapping[str, Any], path: str | Path, *, episodes: int, seed: int) -> Path:
    """Film ``policy`` and return the path of the video.

    Args:
        policy: acts deterministically.
        envs: setting (``nominal``, ``train``, ``unseen``, ...) -> a vector env with ``render(index)``; the first of its
            robots is filmed, so one is enough.
        path: an ``.mp4`` file, replaced if it exists.
        episodes: how many, one after the other, from episode 0 of ``seed``.
        seed: which episodes.

    Raises:
        RecordError: there is no renderer or no encoder, or nothing to film.
    """
    out = Path(path)
    if episodes < 1 or not envs:
        raise RecordError(f"nothing to film: {episodes} episodes of {len(envs)} settings; give at least one of each")
    if out.suffix != ".mp4":
        raise RecordError(f"the video is an .mp4 file, got {str(out)!r}")
    filmed = {setting: _Filmed(env) for setting, env in envs.items()}
    task = next(iter(filmed.values())).task
    out.parent.mkdir(parents=True, exist_ok=True)
    with _writer(out, round(1 / task.control_dt)) as write:
        for episode in range(episodes):
            for env in filmed.values():
                # The wrapper has the part of the env that a rollout uses; the rest it passes on.
                rollout(env, policy, deterministic=True, seed=seed if episode == 0 else None)
            for frame in _frames(filmed, episode, task.control_dt):
                write(frame)
    return out


def record_next(policy: Policy, env: Any, path: Path, caption: str) -> bool:
    """Film the next episode of ``env``'s first robot as the .mp4 ``path`` and return whether it succeeded.

    Raises:
        RecordError: there is no renderer or no encoder.
    """
    filmed = _Filmed(env)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _writer(path, round(1 / filmed.task.control_dt)) as write:
        rollout(filmed, policy, deterministic=True)
        for frame in _frames({caption: filmed}, None, filmed.task.control_dt):
            write(frame)
    return filmed.success[-1]


def _frames(filmed: Mapping[str, _Filmed], episode: int | None, dt: float) -> Iterator[Picture]:
    """The pictures of one episode (its number is shown) under all settings, side by side; the last one is held."""
    number = "" if episode is None else f", episode {episode + 1}"
    last = len(next(iter(filmed.values())).pictures) - 1
    for t in [*range(last + 1), *[last] * round(HOLD / dt)]:
        parts = []
        for setting, env in filmed.items():
            outcome = ("success" if env.success[t] else "failure") if t == last else ""
            parts.append(captioned(env.pictures[t], f"{setting}{number}, {t * dt:.1f} s", outcome))
        yield np.concatenate(parts, 1)


def captioned(picture: Picture, text: str, outcome: str = "") -> Picture:
    """``picture [H, W, 3]`` under a strip with ``text`` on the left and ``success`` or ``failure`` on the right:
    ``[H + CAPTION, W, 3]``."""
    height, width, _ = picture.shape
    image = Image.new("RGB", (width, height + CAPTION), _BACKGROUND)
    image.paste(Image.fromarray(picture), (0, CAPTION))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(17)
    draw.text((12, CAPTION / 2), text, _INK, font, anchor="lm")
    draw.text((width - 12, CAPTION / 2), outcome, _GOOD if outcome == "success" else _BAD, font, anchor="rm")
    return np.asarray(image)


@contextlib.contextmanager
def _writer(path: Path, fps: int) -> Iterator[Any]:
    """Gives a function that appends a picture; the file stands at ``path`` only when all of them are in it."""
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise RecordError(f"videos need ffmpeg: pip install 'sim2real[video]' ({error})") from None
    unfinished, encoder = path.with_name(f".{path.name}.part.mp4"), None

    def write(picture: Picture) -> None:
        nonlocal encoder
        if encoder is None:
            size = picture.shape[1], picture.shape[0]
            encoder = imageio_ffmpeg.write_frames(
                str(unfinished), size, fps=fps, quality=7, macro_block_size=2, ffmpeg_log_level="error"
            )
            encoder.send(None)
        encoder.send(np.ascontiguousarray(picture))

    try:
        yield write
        if encoder is not None:
            encoder.close()
        unfinished.replace(path)
    finally:
        if encoder is not None:
            encoder.close()
        unfinished.unlink(missing_ok=True)
