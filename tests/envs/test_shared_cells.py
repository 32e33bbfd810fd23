from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sim2real.checkpoint import load_state, save_state
from sim2real.envs.character_model import CellConfig, CharacterModels
from sim2real.envs.recurrent_cells import cell_space
from sim2real.envs.shared_cells import SharedCells
from tests.envs.test_character_model import GATED
from tests.envs.test_recurrent_cells import PAPER

SMALL = CellConfig(hidden=16, streams=8, steps=8, learning_rate=2e-2)
SPACE = cell_space(2)
CELLS = [SPACE.encode(GATED), SPACE.encode(PAPER)]


@pytest.fixture
def shared(tmp_path: Path) -> SharedCells:
    """Of a text of four characters, each of which tells the next."""
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "tinyshakespeare.txt").write_text("abcd" * 2_000)
    return SharedCells(SPACE, SMALL, str(tmp_path), seed=0)


def test_every_cell_computes_with_the_same_weights(shared: SharedCells) -> None:
    pieces = shared._pieces(shared.training, 5)
    together = shared._bits(shared._models(CELLS), pieces).detach()
    for k, cell in enumerate(CELLS):
        alone = CharacterModels([SPACE.decode(cell)], SMALL, 4, [0])  # the same seed, so the same first weights
        logits, _ = alone(pieces[None, :-1], alone.initial_state(5))
        surprise = torch.nn.functional.cross_entropy(logits.flatten(0, 2), pieces[1:].flatten()) / torch.tensor(2).log()
        assert float(together[k]) == pytest.approx(float(surprise.detach()), abs=1e-5)


def test_a_regular_text_is_learned_by_all_at_once(shared: SharedCells) -> None:
    before = shared.score(CELLS)
    losses = [shared.learn(CELLS) for _ in range(150)]
    after = shared.score(CELLS)
    assert losses[-1] < 0.5 * losses[0]
    assert (after > before + 0.4).all()


def test_training_one_cell_changes_what_the_other_computes(shared: SharedCells) -> None:
    pieces = shared._pieces(shared.training, 5)
    before = shared._bits(shared._models(CELLS[1:]), pieces)
    shared.learn(CELLS[:1])
    assert not torch.equal(before, shared._bits(shared._models(CELLS[1:]), pieces))


def test_a_cell_that_overflows_spoils_nothing(shared: SharedCells) -> None:
    explosive = {name: "identity" if name.endswith("activation") else label for name, label in PAPER.items()}
    with torch.no_grad():
        shared.weights["cells.from_input"] *= 1e20
    spoiler = SPACE.encode(explosive)
    assert shared.score([spoiler]).tolist() == [0.0]
    assert shared.learn([spoiler, CELLS[0]]) < 10
    assert all(bool(weight.isfinite().all()) for weight in shared.weights.values())


def test_equal_architectures_are_scored_on_the_same_text(shared: SharedCells) -> None:
    first, second = shared.score([CELLS[0], CELLS[0]])
    assert first == second
    assert 0 <= first <= 1


def test_a_checkpoint_continues_bit_for_bit(shared: SharedCells, tmp_path: Path) -> None:
    resumed = SharedCells(SPACE, SMALL, str(tmp_path), seed=5)
    shared.learn(CELLS)
    save_state(tmp_path / "state", shared.state_dict())
    resumed.load_state_dict(load_state(tmp_path / "state"))
    assert shared.learn(CELLS) == resumed.learn(CELLS)
    assert (shared.score(CELLS) == resumed.score(CELLS)).all()
