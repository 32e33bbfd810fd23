from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from sim2real.envs.character_model import CellConfig, CharacterModel, _streams, bits_per_character, score_cell, split
from sim2real.errors import UserError
from tests.envs.test_recurrent_cells import PAPER

SMALL = CellConfig(hidden=16, updates=60, streams=8, steps=8, learning_rate=2e-2)
GATED = {**PAPER, "node_1_combine": "add", "node_1_activation": "sigmoid", "node_2_activation": "identity"}
GATED |= {"cell_from": "0", "inject_activation": "tanh"}


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A text of four characters, each of which tells the next."""
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "tinyshakespeare.txt").write_text("abcd" * 60_000)
    return str(tmp_path)


def test_the_text_is_split_without_overlap() -> None:
    training, validation, test = split(torch.arange(1000))
    assert [len(part) for part in (training, validation, test)] == [900, 50, 50]
    assert torch.equal(torch.cat([training, test, validation]), torch.arange(1000))


def test_streams_are_neighbouring_pieces() -> None:
    assert _streams(torch.arange(7), 2).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_model_that_knows_nothing_needs_the_logarithm_of_the_characters() -> None:
    model = CharacterModel(PAPER, SMALL, characters=4)
    torch.nn.init.zeros_(model.logits.weight)
    torch.nn.init.zeros_(model.logits.bias)
    assert bits_per_character(model, torch.randint(4, (900,)), streams=4) == pytest.approx(2.0)


def test_a_regular_text_is_learned_and_seeds_decide_everything(data: str) -> None:
    first = score_cell(GATED, SMALL, data, 3)
    assert first["reward"] == pytest.approx(1 - first["bits_per_character"] / 2)
    assert first["reward"] > 0.9
    assert score_cell(GATED, SMALL, data, 3) == first != score_cell(GATED, SMALL, data, 4)
    assert score_cell(GATED, SMALL, data, 3, test=True)["reward"] > 0.9


def test_a_cell_that_overflows_is_worth_nothing(data: str) -> None:
    explosive = {name: "identity" if name.endswith("activation") else label for name, label in PAPER.items()}
    config = dataclasses.replace(SMALL, learning_rate=1e30)
    found = score_cell(explosive, config, data, 0)
    assert found["reward"] == 0.0 and math.isfinite(found["bits_per_character"])


def test_a_missing_text_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIM2REAL_DATA", raising=False)
    with pytest.raises(UserError, match=r"env.data=DIR or in SIM2REAL_DATA"):
        score_cell(PAPER, SMALL, None, 0)
    monkeypatch.setenv("SIM2REAL_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"there is no .*tinyshakespeare.txt"):
        score_cell(PAPER, SMALL, None, 0)
