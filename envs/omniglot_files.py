"""Omniglot on disk: where it is, how it gets there, and its images as one array.

Lake, Salakhutdinov, Tenenbaum 2015; 1,623 characters of 50 alphabets, each drawn by 20 people. The repository holds
none of it. What is read are the two archives ``images_background.zip`` and ``images_evaluation.zip``, the original ones
or any with the same drawings in them: the check is a sha256 over names and contents, not over the archive's own bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

import imageio.v3
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from sim2real.errors import UserError

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
CONTENT = {
    "images_background": "07356096b8076fcf915341f8715e94822249e2a4d5b999fd2d0f6cf9ebffebd5",
    "images_evaluation": "f5165eb5f20d18e13c6515650b69a42a2c0507506969d410ba5e4a1c572bd542",
}
"""Archive -> sha256 over every drawing in order of its name: the name, a zero byte, the sha256 of the file."""
DRAWINGS = 20
SIZE = 28
"""Pixels of a side; the originals have 105."""


@dataclass(frozen=True)
class Characters:
    """Every character with its drawings."""

    names: tuple[str, ...]
    """``images_background/Greek/character01`` and so on, sorted."""
    images: Tensor
    """uint8 [characters, 20, 28, 28], ink 255 on 0."""


def load_characters(folder: str | None = None, *, download: bool = False) -> Characters:
    """All characters, decoded at the first call on a machine and from the cache ever after.

    Args:
        folder: where the archives are; None: ``SIM2REAL_DATA``, else the cache folder.
        download: fetch them into the cache folder (16 MB) if they are nowhere.

    Raises:
        UserError: there are none, or they hold other drawings than Omniglot.
    """
    cached = cache_folder() / f"omniglot_{SIZE}_{'_'.join(digest[:8] for digest in CONTENT.values())}.safetensors"
    if not cached.is_file():
        _save(_decode(find_archives(folder, download=download)), cached)
    with safe_open(cached, framework="pt") as file:
        return Characters(tuple(json.loads(file.metadata()["names"])), file.get_tensor("images"))


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/sim2real``, which is ``~/.cache/sim2real`` where nothing else is said."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sim2real"


def find_archives(folder: str | None, *, download: bool) -> Path:
    """The folder that holds both archives."""
    given = folder or os.environ.get("SIM2REAL_DATA")
    cache = cache_folder() / "omniglot"
    places = [Path(given), Path(given) / "omniglot"] if given else [cache]
    for place in places:
        if all((place / f"{name}.zip").is_file() for name in CONTENT):
            return place
    if download and not given:
        for name in CONTENT:
            _download(name, cache)
        return cache
    raise UserError(
        f"Omniglot is not in {places[0]}: expected {' and '.join(f'{name}.zip' for name in CONTENT)}. Give the folder "
        "that has them as env.data=FOLDER or in SIM2REAL_DATA, or let them be fetched once (16 MB) with "
        "env.download=true"
    )


def _download(name: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.zip"
    if target.is_file():
        return
    part = target.with_suffix(".part")
    try:
        with urllib.request.urlopen(f"{URL}{name}.zip", timeout=60) as answer:
            part.write_bytes(answer.read())
        with zipfile.ZipFile(part) as archive:
            _check(name, archive)
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"can't fetch {URL}{name}.zip: {error}; fetch it by hand and give env.data=FOLDER") from error
    os.replace(part, target)


def _drawings(name: str, archive: zipfile.ZipFile) -> list[str]:
    """Files of the drawings, sorted; archives of the Macintosh have others beside them."""
    return sorted(file for file in archive.namelist() if file.startswith(f"{name}/") and file.endswith(".png"))


def _check(name: str, archive: zipfile.ZipFile) -> None:
    digest = hashlib.sha256()
    for file in _drawings(name, archive):
        digest.update(file.encode() + b"\0" + hashlib.sha256(archive.read(file)).digest())
    if digest.hexdigest() != CONTENT[name]:
        raise UserError(
            f"{archive.filename} does not hold the drawings of Omniglot's {name} (sha256 over its contents is "
            f"{digest.hexdigest()}, expected {CONTENT[name]}); remove it and fetch it again from {URL}{name}.zip"
        )


def _decode(folder: Path) -> Characters:
    names: list[str] = []
    images: list[Tensor] = []
    for name in CONTENT:
        try:
            with zipfile.ZipFile(folder / f"{name}.zip") as archive:
                _check(name, archive)
                files = _drawings(name, archive)
                names += sorted({file.rpartition("/")[0] for file in files})
                images.append(shrink(np.stack([_picture(archive.read(f)) for f in files])))
        except zipfile.BadZipFile as error:
            raise UserError(f"{folder / f'{name}.zip'} is no zip archive ({error}); fetch it again") from error
    return Characters(tuple(names), torch.cat(images).view(len(names), DRAWINGS, SIZE, SIZE))


def _picture(png: bytes) -> NDArray[np.uint8]:
    # The drawings have one bit a pixel, which would be read as true and false.
    picture: NDArray[np.uint8] = imageio.v3.imread(png, extension=".png", mode="L")
    return picture


def shrink(drawings: NDArray[np.uint8]) -> Tensor:
    """uint8 [n, 105, 105], ink 0 on 255 -> uint8 [n, 28, 28], ink 255 on 0; bicubic, averaged over what a pixel
    covers."""
    ink = 1.0 - torch.from_numpy(drawings)[:, None].float() / 255
    parts = [
        torch.nn.functional.interpolate(part, (SIZE, SIZE), mode="bicubic", antialias=True).clamp(0, 1)
        for part in torch.split(ink, 1000)
    ]
    return (torch.cat(parts)[:, 0] * 255).round().to(torch.uint8)


def _save(characters: Characters, file: Path) -> None:
    """In one step: several processes may find the cache empty at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}")
    save_file({"images": characters.images.contiguous()}, new, {"names": json.dumps(characters.names)})
    os.replace(new, file)
