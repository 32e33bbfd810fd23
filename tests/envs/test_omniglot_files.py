from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import imageio.v3
import numpy as np
import pytest

from sim2real.envs import omniglot_files
from sim2real.envs.omniglot_files import find_archives, load_characters, shrink
from sim2real.errors import UserError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
REAL = Path(os.environ.get("SIM2REAL_DATA", SHARED))
"""Where the real archives may be on this machine."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SIM2REAL_DATA", raising=False)


def drawing(row: int) -> bytes:
    picture = np.ones((105, 105), np.bool_)  # one bit a pixel, as the real ones
    picture[row : row + 30] = False
    target = io.BytesIO()
    imageio.v3.imwrite(target, picture, extension=".png")
    return target.getvalue()


def archives(folder: Path, *, extra: bool = False) -> Path:
    """Both archives with two characters each; ``extra``: with what the original ones have beside the drawings."""
    folder.mkdir()
    for k, name in enumerate(omniglot_files.CONTENT):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            if extra:
                archive.writestr(f"{name}/", b"")
                archive.writestr(f"__MACOSX/{name}/._character01", b"x")
            for character in (1, 2):
                for n in range(20):
                    file = f"{name}/Greek/character{character:02d}/00{character}_{n + 1:02d}.png"
                    archive.writestr(file, drawing(40 * k + 5 * character))
    return folder


@pytest.fixture
def toy_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the digests of the toy archives for the right ones."""
    for name, archive in ((n, archives(tmp_path / f"for_{n}") / f"{n}.zip") for n in list(omniglot_files.CONTENT)):
        with pytest.raises(UserError) as caught, zipfile.ZipFile(archive) as opened:
            omniglot_files._check(name, opened)
        monkeypatch.setitem(omniglot_files.CONTENT, name, str(caught.value).split("contents is ")[1][:64])


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.usefixtures("toy_content")
def test_both_kinds_of_archive_are_read_once(tmp_path: Path, extra: bool) -> None:
    folder = archives(tmp_path / "omniglot", extra=extra)
    found = load_characters(str(tmp_path))
    assert found.names[0] == "images_background/Greek/character01" and len(found.names) == 4
    assert found.images.shape == (4, 20, 28, 28)
    # Ink in rows 5 to 35 of 105: pixels 1.3 to 9.3 of 28.
    assert (found.images[0, 0, 3:8] == 255).all() and (found.images[0, 0, 12:] == 0).all()
    for archive in folder.iterdir():
        archive.unlink()
    assert load_characters(str(tmp_path)).images.equal(found.images)  # from the cache


def test_other_drawings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not hold the drawings"):
        load_characters(str(archives(tmp_path / "mine")))


def test_what_is_missing_is_said_with_what_to_do(tmp_path: Path) -> None:
    for folder in (None, str(tmp_path)):
        with pytest.raises(UserError, match=r"env\.download=true"):
            find_archives(folder, download=False)


@pytest.mark.usefixtures("toy_content")
def test_a_download_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = archives(tmp_path / "served")
    monkeypatch.setattr(omniglot_files, "URL", f"{served.as_uri()}/")
    assert load_characters(download=True).images.shape == (4, 20, 28, 28)
    (served / "images_evaluation.zip").write_bytes((served / "images_background.zip").read_bytes())
    for file in (omniglot_files.cache_folder(), omniglot_files.cache_folder() / "omniglot"):
        for old in file.glob("*.*"):
            old.unlink()
    with pytest.raises(UserError, match="does not hold the drawings"):
        load_characters(download=True)


def test_shrinking_inverts_and_keeps_the_ink() -> None:
    picture = np.full((1, 105, 105), 255, np.uint8)
    picture[0, :, 45:60] = 0
    small = shrink(picture).float() / 255
    assert abs(float(small.mean()) - 15 / 105) < 0.01


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "omniglot" / "images_background.zip").is_file(), reason=f"no Omniglot in {REAL}")
def test_the_real_archives(tmp_path: Path) -> None:
    found = load_characters(str(REAL))
    assert found.images.shape == (1623, 20, 28, 28) and len({name.split("/")[1] for name in found.names}) == 50
    ink = found.images.float().mean((1, 2, 3)) / 255
    assert float(ink.min()) > 0.005 and float(ink.max()) < 0.35
