"""A toy family of few-shot tasks: each class is a Gaussian cluster around a centre of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch
from sim2real.types import State


class Clusters:
    """Classification of vectors or, given three numbers, of images; centres and examples are drawn anew a task."""

    def __init__(
        self, shape: tuple[int, ...] = (4,), *, ways: int = 3, shots: int = 2, queries: int = 4, seed: int = 0
    ) -> None:
        self.task = FewShotSpec("clusters", "classification", shape, ways, shots, queries)
        self._draw = torch.Generator().manual_seed(seed)

    def sample(self, tasks: int) -> TaskBatch:
        t = self.task
        centres = torch.randn((tasks, t.ways, 1, *t.input_shape), generator=self._draw)
        noise = torch.randn((tasks, t.ways, t.shots + t.queries, *t.input_shape), generator=self._draw)
        inputs = centres + 0.3 * noise
        labels = torch.arange(t.ways)[None, :, None].expand(tasks, -1, t.shots + t.queries)

        def part(x: Tensor, of: slice) -> Tensor:
            return x[:, :, of].flatten(1, 2)

        seen, asked = slice(t.shots), slice(t.shots, None)
        support = Examples(part(inputs, seen), part(labels, seen))
        query = Examples(part(inputs, asked), part(labels, asked))
        return TaskBatch(support, query, torch.zeros(tasks, 0))

    def to(self, device: torch.device) -> None:
        if device.type != "cpu":
            raise ValueError(f"the toy lives on the CPU, not on {device}")

    def state_dict(self) -> State:
        return {"draw": self._draw.get_state()}

    def load_state_dict(self, state: State) -> None:
        self._draw.set_state(state["draw"])
