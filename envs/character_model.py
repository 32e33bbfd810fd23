"""A recurrent cell's worth: a small character model of a text is trained with it for a fixed number of updates.

The score is ``1 - bits per character / log2(characters)`` on text not trained on: 0 for a model that knows nothing, 1
for one that foresees everything. (The paper's ``c / perplexity^2`` has no natural scale.)
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim2real.envs.data_folder import data_file
from sim2real.envs.recurrent_cells import TreeCell
from sim2real.search_types import Labels

TEXT = "text/tinyshakespeare.txt"
VALIDATION = 0.05
"""Share of the text, at its end, that models are scored on; as much before it is kept for final tests."""


@dataclass(frozen=True)
class CellConfig:
    """How a cell is scored."""

    base: int = 2
    """Leaves of the cell's tree."""
    hidden: int = 64
    """Units of the cell and of the characters' embedding."""
    updates: int = 200
    """Gradient steps."""
    streams: int = 32
    """Places of the text that are read side by side."""
    steps: int = 32
    """Characters between two gradient steps (truncated backpropagation; the state is carried on)."""
    learning_rate: float = 5e-3
    """Adam's step; it falls to zero on half a cosine."""

    def __post_init__(self) -> None:
        for name in ("base", "hidden", "updates", "streams", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} has to be at least 1, got {getattr(self, name)}")


class CharacterModel(nn.Module):
    """Embedding, cell, logits of the next character."""

    def __init__(self, labels: Labels, config: CellConfig, characters: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(characters, config.hidden)
        self.cell = TreeCell(labels, config.base, config.hidden, config.hidden)
        self.logits = nn.Linear(config.hidden, characters)

    def forward(self, text: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Characters [T, n] and (h, c), each [n, H] -> logits [T, n, characters] and the next state."""
        (h, c), outputs = state, []
        for wx in self.cell.from_input(self.embed(text)):
            h, c = self.cell(wx, h, c)
            outputs.append(h)
        return self.logits(torch.stack(outputs)), (h, c)

    def initial_state(self, n: int) -> tuple[Tensor, Tensor]:
        zeros = self.embed.weight.new_zeros((n, self.cell.hidden))
        return zeros, zeros


def score_cell(
    labels: Labels, config: CellConfig, data: str | None, seed: int, *, test: bool = False
) -> dict[str, float]:
    """Train a character model with the cell; ``reward`` and what it comes from.

    Args:
        labels: the cell, by the tokens of `cell_space`.
        config: how it is trained.
        data: folder of the text, see `data_file`.
        seed: initial weights and where in the text training begins.
        test: score on the text kept for final tests.
    """
    text, characters = read_text(data_file(data, TEXT, "the text that character models learn"))
    training, validation, final = split(text)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CharacterModel(labels, config, characters)
        start = int(torch.randint(len(training), ()))
    _train(model, config, training.roll(-start))
    bits = bits_per_character(model, final if test else validation)
    # A cell that overflowed knows nothing.
    bits = bits if math.isfinite(bits) else math.log2(characters)
    return {
        "reward": max(0.0, 1 - bits / math.log2(characters)),
        "bits_per_character": bits,
        "parameters": float(sum(p.numel() for p in model.parameters())),
    }


@functools.cache
def read_text(path: Path) -> tuple[Tensor, int]:
    """The text as numbers, one a character, and how many different characters there are."""
    text = path.read_text(encoding="utf-8")
    numbers = {character: i for i, character in enumerate(sorted(set(text)))}
    return torch.tensor([numbers[character] for character in text]), len(numbers)


def split(text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Training, validation and final test: 90, 5 and 5 %."""
    part = int(VALIDATION * len(text))
    return text[: -2 * part], text[-part:], text[-2 * part : -part]


def _train(model: CharacterModel, config: CellConfig, text: Tensor) -> None:
    streams = _streams(text, config.streams)
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    state = model.initial_state(config.streams)
    positions = range(0, len(streams) - config.steps, config.steps)
    for update in range(config.updates):
        at = positions[update % len(positions)]
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 + math.cos(math.pi * update / config.updates)) / 2
        logits, state = model(streams[at : at + config.steps], state)
        state = (state[0].detach(), state[1].detach())
        loss = functional.cross_entropy(logits.flatten(0, 1), streams[at + 1 : at + 1 + config.steps].flatten())
        if not torch.isfinite(loss):
            return
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


@torch.no_grad()
def bits_per_character(model: CharacterModel, text: Tensor, streams: int = 256) -> float:
    """Mean over the text, read in ``streams`` pieces side by side, each from the zero state."""
    pieces = _streams(text, streams)
    logits, _ = model(pieces[:-1], model.initial_state(streams))
    return float(functional.cross_entropy(logits.flatten(0, 1), pieces[1:].flatten())) / math.log(2)


def _streams(text: Tensor, n: int) -> Tensor:
    """[T * n + rest] -> [T, n], stream k is the k-th piece of the text."""
    steps = len(text) // n
    return text[: steps * n].view(n, steps).T
