"""One set of weights for all recurrent cells of a space (Pham et al. 2018, section 2.1).

A leaf of Zoph & Le's tree has W x and U h whatever the cell does with them, so cells of one base share all their
weights, and embedding and logits of the character model beside them. Every piece of text is read from the zero state:
a state that another cell has left means nothing to the next one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sim2real.envs.character_model import TEXT, CellConfig, CharacterModels, bits, clip, read_text, reward, split
from sim2real.envs.data_folder import data_file
from sim2real.search_types import Architecture, SearchSpec
from sim2real.types import FloatArray, State

PIECES = 128
"""Pieces of validation text that architectures are scored on."""


class SharedCells:
    """`sim2real.search_types.SharedWeights` of the cells of ``spec``, as character models of the text in ``data``."""

    def __init__(self, spec: SearchSpec, config: CellConfig, data: str | None, *, seed: int) -> None:
        self.spec, self.config = spec, config
        text, self.characters = read_text(data_file(data, TEXT, "the text that character models learn"))
        self.training, self.validation, _ = split(text)
        one = CharacterModels([spec.decode((0,) * len(spec.tokens))], config, self.characters, [seed])
        self.weights = {name: value.detach() for name, value in one.named_parameters()}
        """Each with a first axis of length 1, along which models lie side by side."""
        self.optimizer = torch.optim.Adam(self.weights.values(), config.learning_rate)
        self._draw = torch.Generator().manual_seed(seed)

    def learn(self, architectures: Sequence[Architecture]) -> float:
        """One step of Adam on their mean bits per character of the same pieces of training text.

        Each gradient is clipped on its own, and one that is not finite left out: a cell that overflows must not spoil
        the weights of all others. The loss is the mean of the finite ones; not a number if there are none.
        """
        models = self._models(architectures)
        losses = self._bits(models, self._pieces(self.training, self.config.streams))
        models.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]  # torch's has no types
        clip(models, 1.0)
        gradients = {name: p.grad for name, p in models.named_parameters() if p.grad is not None}
        finite = torch.stack([g.flatten(1).isfinite().all(1) for g in gradients.values()]).all(0)
        for name, gradient in gradients.items():
            self.weights[name].grad = gradient[finite].sum(0, keepdim=True) / len(architectures)
        self.optimizer.step()
        return float(losses.detach()[finite].mean())

    @torch.no_grad()
    def score(self, architectures: Sequence[Architecture]) -> FloatArray:
        """`reward` of each on the same pieces of validation text: [m]."""
        found = self._bits(self._models(architectures), self._pieces(self.validation, PIECES))
        return np.array([reward(float(b), self.characters) for b in found])

    def _models(self, architectures: Sequence[Architecture]) -> CharacterModels:
        """Character models of m architectures with copies of the shared weights."""
        cells = [self.spec.decode(architecture) for architecture in architectures]
        models = CharacterModels(cells, self.config, self.characters, seeds=())
        with torch.no_grad():
            for name, parameter in models.named_parameters():
                parameter.copy_(self.weights[name].expand_as(parameter))
        return models

    def _bits(self, models: CharacterModels, pieces: Tensor) -> Tensor:
        """Bits per character of m models on ``pieces`` [steps + 1, n]: [m]."""
        text = pieces.expand(len(models.embed), *pieces.shape)
        logits, _ = models(text[:, :-1], models.initial_state(pieces.shape[1]))
        return bits(logits, text[:, 1:])

    def _pieces(self, text: Tensor, n: int) -> Tensor:
        """``n`` pieces of ``text`` from anywhere in it: [steps + 1, n]."""
        steps = self.config.steps
        start = torch.randint(len(text) - steps, (n,), generator=self._draw)
        return text[torch.arange(steps + 1)[:, None] + start]

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs."""
        return {"weights": self.weights, "optimizer": self.optimizer.state_dict(), "draw": self._draw.get_state()}

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`."""
        for name, value in self.weights.items():
            value.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self._draw.set_state(state["draw"].cpu())
