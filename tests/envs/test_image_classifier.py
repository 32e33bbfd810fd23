from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sim2real.envs import image_data
from sim2real.envs.image_classifier import ImageConfig, score_convnet
from sim2real.envs.image_data import FILES, fashion_mnist, omniglot, read_idx
from sim2real.envs.omniglot_files import Characters
from sim2real.errors import UserError
from tests.envs.test_convnets import labels

SMALL = ImageConfig(shrink=4, images=100, validation_images=100, epochs=4, best_of_last=2, batch=10)


def write_idx(path: Path, array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    path.parent.mkdir(exist_ok=True)
    header = b"\x00\x00\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Ten classes, each with a bright row of its own."""
    monkeypatch.setattr(image_data, "VALIDATION", 100)
    for part, n in (("train", 300), ("test", 50)):
        classes = (np.arange(n) % 10).astype(np.uint8)
        pixels = np.zeros((n, 28, 28), np.uint8)
        pixels[np.arange(n), 2 * classes] = 255
        write_idx(tmp_path / FILES[part, "images"], pixels)
        write_idx(tmp_path / FILES[part, "labels"], classes)
    return str(tmp_path)


def test_images_are_split_shrunk_and_standardised(data: str) -> None:
    training, validation, test = fashion_mnist(data, 2)
    assert [len(part.classes) for part in (training, validation, test)] == [200, 100, 50]
    assert training.pixels.shape == (200, 1, 14, 14)
    everything = torch.cat([training.pixels, validation.pixels])
    assert float(everything.mean()) == pytest.approx(0, abs=1e-5)
    assert float(everything.std()) == pytest.approx(1, abs=1e-4)


def test_a_network_learns_and_its_seed_decides_everything(data: str) -> None:
    found = score_convnet(labels((), ("layer_0",), ("layer_1",)), SMALL, data, 0, dataset="fashion_mnist")
    assert found["reward"] > 0.3  # chance: 0.1
    assert found["reward"] >= found["accuracy"]
    assert score_convnet(labels((), ("layer_0",), ("layer_1",)), SMALL, data, 0, dataset="fashion_mnist") == found


def test_characters_of_omniglot_are_split_by_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Drawing k of character c is bright in c + 1 pixels of row k.
    drawings = torch.zeros(3, 20, 28, 28, dtype=torch.uint8)
    for character in range(3):
        drawings[character, range(20), range(20), : character + 1] = 255
    monkeypatch.setattr(image_data, "load_characters", lambda folder: Characters(("a", "b", "c"), drawings))
    training, validation, test = omniglot(None, 1)
    assert [part.classes.tolist()[:4] for part in (training, validation, test)] == [[0, 1, 2, 0]] * 3
    assert [len(part.classes) for part in (training, validation, test)] == [42, 9, 9]
    bright = validation.pixels[:, 0] > validation.pixels.min()
    assert bright.sum((1, 2)).tolist() == [1, 2, 3] * 3
    assert bright.any(2).nonzero()[:, 1].tolist() == [14] * 3 + [15] * 3 + [16] * 3
    assert float(training.pixels.mean()) == pytest.approx(0, abs=1e-5)


def test_missing_images_name_the_package(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dataset-fashion-mnist"):
        fashion_mnist(str(tmp_path), 1)


@given(st.binary(max_size=40))
def test_what_is_no_idx_file_is_refused(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.gz"
        path.write_bytes(gzip.compress(content))
        if content[:3] != b"\x00\x00\x08":
            with pytest.raises(UserError, match="no idx file"):
                read_idx(path)
        path.write_bytes(content)
        if content[:2] != b"\x1f\x8b":
            with pytest.raises(UserError):
                read_idx(path)
