"""A recurrent cell's worth: a small character model of a text is trained with it for a fixed number of updates.

The score is ``1 - bits per character / log2(characters)`` on text not trained on: 0 for a model that knows nothing, 1
for one that foresees everything. (The paper's ``c / perplexity^2`` has no natural scale.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim2real.envs.data_folder import data_file
from sim2real.envs.recurrent_cells import TreeCells
from sim2real.errors import at_least
from sim2real.search_types import Labels

TEXT = "text/tinyshakespeare.txt"
State = tuple[Tensor, Tensor]
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
        at_least(self, 1, "base", "hidden", "updates", "streams", "steps")


class CharacterModels(nn.Module):
    """K models side by side: embedding, cell, logits of the next character; initial weights from seeds of their own."""

    def __init__(self, cells: Sequence[Labels], config: CellConfig, characters: int, seeds: Sequence[int]) -> None:
        super().__init__()
        k, h = len(cells), config.hidden
        self.embed = nn.Parameter(torch.empty(k, characters, h))
        self.cells = TreeCells(cells, config.base, h, h)
        self.weight = nn.Parameter(torch.empty(k, h, characters))
        self.bias = nn.Parameter(torch.zeros(k, 1, characters))
        # Each row of the flat table is one character of one model.
        self._offsets = characters * torch.arange(k)[:, None, None]
        with torch.no_grad():
            for i, seed in enumerate(seeds):
                self._initialise(i, torch.Generator().manual_seed(seed))

    def _initialise(self, i: int, generator: torch.Generator) -> None:
        self.embed[i].normal_(generator=generator)
        for weight in (self.cells.from_input, self.cells.from_hidden, self.weight):
            bound = weight.shape[1] ** -0.5
            weight[i].uniform_(-bound, bound, generator=generator)

    def forward(self, text: Tensor, state: State) -> tuple[Tensor, State]:
        """Characters [K, T, n] and (h, c), each [K, n, H] -> logits [K, T, n, characters] and the next state."""
        k, steps, n = text.shape
        table = self.embed.flatten(0, 1)
        x = functional.embedding(text + self._offsets, table).view(k, steps * n, -1)
        (h, c), outputs = state, []
        for wx in (x @ self.cells.from_input).view(k, steps, n, -1).unbind(1):
            h, c = self.cells(wx, h, c)
            outputs.append(h)
        logits = torch.stack(outputs, 1).view(k, steps * n, -1) @ self.weight + self.bias
        return logits.view(k, steps, n, -1), (h, c)

    def initial_state(self, n: int) -> State:
        """Zeros."""
        zeros = self.embed.new_zeros((len(self.embed), n, self.cells.hidden))
        return zeros, zeros


def score_cells(
    cells: Sequence[Labels], config: CellConfig, data: str | None, seeds: Sequence[int], *, test: bool = False
) -> list[dict[str, float]]:
    """Train a character model with each of the cells; ``reward`` and what it comes from, for each.

    Args:
        cells: by the tokens of `cell_space`; they train side by side, which is faster than one after the other.
        config: how they are trained.
        data: folder of the text, see `data_file`.
        seeds: of each: initial weights and where in the text training begins.
        test: score on the text kept for final tests.
    """
    text, characters = read_text(data_file(data, TEXT, "the text that character models learn"))
    training, validation, final = split(text)
    models = CharacterModels(cells, config, characters, seeds)
    starts = [int(torch.randint(len(training), (), generator=torch.Generator().manual_seed(seed))) for seed in seeds]
    _train(models, config, torch.stack([_streams(training.roll(-start), config.streams) for start in starts]))
    needed = bits_per_character(models, final if test else validation)
    size = sum(p[0].numel() for p in models.parameters())
    return [_numbers(float(found), characters, size) for found in needed]


def _numbers(found: float, characters: int, parameters: int) -> dict[str, float]:
    # A cell that overflowed knows nothing.
    found = found if math.isfinite(found) else math.log2(characters)
    return {"reward": reward(found, characters), "bits_per_character": found, "parameters": float(parameters)}


def reward(bits_per_character: float, characters: int) -> float:
    """``1 - bits per character / log2(characters)`` in [0, 1]; 0 for what is not finite."""
    return max(0.0, 1 - bits_per_character / math.log2(characters)) if math.isfinite(bits_per_character) else 0.0


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


def _train(models: CharacterModels, config: CellConfig, streams: Tensor) -> None:
    """``updates`` steps of Adam on ``streams`` [K, T, n]."""
    optimizer = torch.optim.Adam(models.parameters(), config.learning_rate)
    state = models.initial_state(config.streams)
    positions = range(0, streams.shape[1] - config.steps, config.steps)
    for update in range(config.updates):
        at = positions[update % len(positions)]
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 + math.cos(math.pi * update / config.updates)) / 2
        logits, (h, c) = models(streams[:, at : at + config.steps], state)
        state = (h.detach(), c.detach())
        loss = bits(logits, streams[:, at + 1 : at + 1 + config.steps]).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clip(models, 1.0)
        optimizer.step()


@torch.no_grad()
def clip(models: CharacterModels, most: float) -> None:
    """Each model's gradient to a norm of at most ``most``; one that is not finite stays its own model's trouble."""
    gradients = [p.grad for p in models.parameters() if p.grad is not None]
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
    scale = (most / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g *= scale[:, None, None]


@torch.no_grad()
def bits_per_character(models: CharacterModels, text: Tensor, streams: int = 256) -> Tensor:
    """Mean over the text of each model, [K]; read in ``streams`` pieces side by side, each from the zero state."""
    pieces = _streams(text, streams).expand(len(models.embed), -1, -1)
    logits, _ = models(pieces[:, :-1], models.initial_state(streams))
    return bits(logits, pieces[:, 1:])


def bits(logits: Tensor, text: Tensor) -> Tensor:
    """Mean surprise in bits: [K, T, n, characters], [K, T, n] -> [K]."""
    nats = functional.cross_entropy(logits.flatten(0, 2), text.flatten(), reduction="none")
    return nats.view(len(text), -1).mean(1) / math.log(2)


def _streams(text: Tensor, n: int) -> Tensor:
    """[T * n + rest] -> [T, n], stream k is the k-th piece of the text."""
    steps = len(text) // n
    return text[: steps * n].view(n, steps).T
