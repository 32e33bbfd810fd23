"""Labelled images for classifiers: Fashion-MNIST as Debian's package ``dataset-fashion-mnist`` installs it, and
characters of Omniglot."""

from __future__ import annotations

import functools
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sim2real.envs.data_folder import data_file
from sim2real.envs.omniglot_files import load_characters
from sim2real.errors import UserError

DEBIAN = "/usr/share/datasets"
FILES = {
    ("train", "images"): "fashion-mnist/train-images-idx3-ubyte.gz",
    ("train", "labels"): "fashion-mnist/train-labels-idx1-ubyte.gz",
    ("test", "images"): "fashion-mnist/t10k-images-idx3-ubyte.gz",
    ("test", "labels"): "fashion-mnist/t10k-labels-idx1-ubyte.gz",
}
VALIDATION = 12_000
"""Images at the end of the training set that architectures are scored on."""


@dataclass(frozen=True)
class Images:
    """Images with their classes."""

    pixels: Tensor
    """[n, 1, H, W], mean 0 and standard deviation 1 over the training set."""
    classes: Tensor
    """[n], int64."""

    def first(self, n: int) -> Images:
        """The first ``n``."""
        return Images(self.pixels[:n], self.classes[:n])


def fashion_mnist(data: str | None, shrink: int) -> tuple[Images, Images, Images]:
    """Training (48,000), validation (12,000) and test (10,000) images of 28 / ``shrink`` pixels, by means over squares.

    They come from ``data`` (see `data_file`), or from where the package installs them.
    """
    folder = DEBIAN if data is None and Path(DEBIAN, FILES["train", "images"]).exists() else data
    what = "Fashion-MNIST (Debian's package dataset-fashion-mnist)"
    paths = {key: data_file(folder, name, what) for key, name in FILES.items()}
    train, test = (_read(paths[part, "images"], paths[part, "labels"], shrink) for part in ("train", "test"))
    mean, std = train.pixels.mean(), train.pixels.std()
    train, test = (Images((images.pixels - mean) / std, images.classes) for images in (train, test))
    rest = Images(train.pixels[-VALIDATION:], train.classes[-VALIDATION:])
    return train.first(len(train.classes) - VALIDATION), rest, test


CHARACTERS = 100
"""Characters of Omniglot that are told apart, the first of the background set."""
_PARTS = [14, 3, 3]
"""Of a character's 20 drawings, those for training, validation and test."""


def omniglot(data: str | None, shrink: int) -> tuple[Images, Images, Images]:
    """Training (1,400), validation (300) and test (300) drawings of 100 characters, 28 / ``shrink`` pixels, in an order
    that has every character equally often. See `load_characters` for ``data``."""
    drawings = load_characters(data).images[:CHARACTERS].float() / 255
    drawings = functional.avg_pool2d(drawings, shrink) if shrink > 1 else drawings
    train = drawings[:, : _PARTS[0]]
    drawings = (drawings - train.mean()) / train.std()
    train, validation, test = (part.transpose(0, 1) for part in torch.split(drawings, _PARTS, dim=1))
    return _labelled(train), _labelled(validation), _labelled(test)


def _labelled(drawings: Tensor) -> Images:
    """[drawings, characters, H, W], class k is the k-th character."""
    count, characters = drawings.shape[:2]
    return Images(drawings.flatten(0, 1)[:, None], torch.arange(characters).repeat(count))


@functools.cache
def _read(images: Path, classes: Path, shrink: int) -> Images:
    pixels = torch.from_numpy(read_idx(images)).float()[:, None] / 255
    pixels = functional.avg_pool2d(pixels, shrink) if shrink > 1 else pixels
    return Images(pixels, torch.from_numpy(read_idx(classes)).long())


def read_idx(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """An array of bytes from a gzipped idx file. Raises ``UserError`` for anything else."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise UserError(f"{path} is no idx file of bytes")
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", dimensions, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if len(values) != int(shape.prod()):
        raise UserError(f"{path} is damaged: {len(values)} bytes for an array of {shape.tolist()}")
    return values.reshape([int(n) for n in shape]).copy()
