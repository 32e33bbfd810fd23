from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from sim2real.envs.character_model import CellConfig, CharacterModels, _streams, bits_per_character, score_cells, split
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
    models = CharacterModels([PAPER, GATED], SMALL, characters=4, seeds=[0, 0])
    torch.nn.init.zeros_(models.weight)
    assert bits_per_character(models, torch.randint(4, (900,)), streams=4).tolist() == pytest.approx([2.0, 2.0])


def test_a_regular_text_is_learned(data: str) -> None:
    (found,) = score_cells([GATED], SMALL, data, [3])
    assert found["reward"] == pytest.approx(1 - found["bits_per_character"] / 2)
    assert found["reward"] > 0.9
    assert score_cells([GATED], SMALL, data, [3], test=True)[0]["reward"] > 0.9


def test_seed_and_cell_decide_everything_and_neighbours_nothing(data: str) -> None:
    many = score_cells([GATED, PAPER, GATED], SMALL, data, [3, 3, 4])
    assert many[0] != many[2]
    for k, (label, seed) in enumerate([(GATED, 3), (PAPER, 3), (GATED, 4)]):
        assert score_cells([label], SMALL, data, [seed])[0] == many[k]


def test_a_cell_that_overflows_is_worth_nothing_and_harms_nobody(data: str) -> None:
    explosive = {name: "identity" if name.endswith("activation") else label for name, label in PAPER.items()}
    fast = dataclasses.replace(SMALL, learning_rate=1e3)
    found = score_cells([explosive], fast, data, [0])[0]
    assert found["reward"] == 0.0 and math.isfinite(found["bits_per_character"])
    assert score_cells([GATED, explosive], fast, data, [0, 0])[0] == score_cells([GATED], fast, data, [0])[0]


def test_a_missing_text_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIM2REAL_DATA", raising=False)
    with pytest.raises(UserError, match=r"env.data=DIR or in SIM2REAL_DATA"):
        score_cells([PAPER], SMALL, None, [0])
    monkeypatch.setenv("SIM2REAL_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"there is no .*tinyshakespeare.txt"):
        score_cells([PAPER], SMALL, None, [0])
