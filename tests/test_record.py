from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest

from sim2real.record import CAPTION, RecordError, captioned, record, record_next
from tests.toys import Counting, CountingPolicy

SIZE = 64


class Filmable(Counting):
    """Its picture is one grey that grows by 20 a step; it notes how it was reset."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self.seeds: list[int | None] = []

    def reset(self, *, seed: int | None = None) -> Any:
        self.seeds.append(seed)
        return super().reset(seed=seed)

    def render(self, index: int) -> Any:
        assert index == 0
        return np.full((SIZE, SIZE, 3), 20 * self._step, np.uint8)


def frames(path: Path) -> Any:
    """The video as [frames, height, width, 3], and its rate."""
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    return np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]), meta["fps"]


def test_video_holds_all_settings_and_episodes(tmp_path: Path) -> None:
    envs = {"nominal": Filmable(1), "unseen": Filmable(2)}
    path = record(CountingPolicy(), envs, tmp_path / "new" / "film.mp4", episodes=2, seed=0)
    assert envs["nominal"].seeds == envs["unseen"].seeds == [0, None]  # the second episode is another one
    video, fps = frames(path)
    # 5 steps of 0.04 s: 6 pictures and 15 more of the last one (0.6 s), twice; settings side by side.
    assert fps == 25
    assert video.shape == (2 * (6 + 15), SIZE + CAPTION, 2 * SIZE, 3)
    middle = video[:, CAPTION + SIZE // 2, [SIZE // 2, SIZE + SIZE // 2]].mean(-1)
    expected = np.array([0, 20, 40, 60, 80, 100] + [100] * 15)
    np.testing.assert_allclose(middle, np.tile(expected, 2)[:, None] * np.ones(2), atol=6)
    assert [file.name for file in path.parent.iterdir()] == ["film.mp4"]


def test_one_episode_is_filmed_from_where_the_environment_stands(tmp_path: Path) -> None:
    env = Filmable(1)
    env.load_state_dict({"episode": 4})
    assert record_next(CountingPolicy(), env, tmp_path / "new" / "film.mp4", "lstm, train") is False
    assert env.seeds == [None] and env.state_dict() == {"episode": 5}
    video, _ = frames(tmp_path / "new" / "film.mp4")
    assert video.shape == (6 + 15, SIZE + CAPTION, SIZE, 3)


def test_caption_keeps_the_picture_and_names_the_outcome() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (SIZE, 200, 3), np.uint8)
    plain, good, bad = captioned(picture, "x"), captioned(picture, "x", "success"), captioned(picture, "x", "failure")
    for image in (plain, good, bad):
        assert image.shape == (SIZE + CAPTION, 200, 3)
        np.testing.assert_array_equal(image[CAPTION:], picture)
    assert not np.array_equal(plain, good)
    strip = good[:CAPTION, 100:].astype(int)
    assert (strip[..., 1] > strip[..., 0] + 40).any()  # green
    strip = bad[:CAPTION, 100:].astype(int)
    assert (strip[..., 0] > strip[..., 2] + 40).any()  # orange


def test_without_a_renderer(tmp_path: Path) -> None:
    class Blind(Filmable):
        def render(self, index: int) -> Any:
            raise RuntimeError("no EGL here")

    with pytest.raises(RecordError, match=r"cannot render: RuntimeError: no EGL here.*MUJOCO_GL=egl"):
        record(CountingPolicy(), {"train": Blind(1)}, tmp_path / "film.mp4", episodes=1, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_without_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def no_ffmpeg(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "imageio_ffmpeg":
            raise ImportError("No module named 'imageio_ffmpeg'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_ffmpeg)
    with pytest.raises(RecordError, match=r"videos need ffmpeg: pip install 'sim2real\[video\]'"):
        record(CountingPolicy(), {"train": Filmable(1)}, tmp_path / "film.mp4", episodes=1, seed=0)


def test_a_failure_in_the_middle_leaves_the_old_video(tmp_path: Path) -> None:
    class Failing(Filmable):
        def render(self, index: int) -> Any:
            if self._episode == 1 and self._step == 3:
                raise RuntimeError("lost the display")
            return super().render(index)

    (tmp_path / "film.mp4").write_bytes(b"old")
    with pytest.raises(RecordError, match="lost the display"):
        record(CountingPolicy(), {"train": Failing(1)}, tmp_path / "film.mp4", episodes=2, seed=0)
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]
    assert (tmp_path / "film.mp4").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "episodes", "message"),
    [("film.mp4", 0, "nothing to film: 0 episodes"), ("film.gif", 1, r"an .mp4 file, got '.*film.gif'")],
)
def test_wrong_requests(tmp_path: Path, name: str, episodes: int, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        record(CountingPolicy(), {"train": Filmable(1)}, tmp_path / name, episodes=episodes, seed=0)
