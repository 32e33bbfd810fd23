"""Families of few-shot tasks that are drawn from a formula: sinusoid regression."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch
from sim2real.types import State

AMPLITUDE = (0.1, 5.0)
PHASE = (0.0, math.pi)
INPUT = (-5.0, 5.0)


class SinusoidSource:
    """``y = A sin(x - phi)`` with A ~ U[0.1, 5], phi ~ U[0, pi], x ~ U[-5, 5] (Finn et al. 2017, section 5.1)."""

    def __init__(self, shots: int, queries: int, *, seed: int, reveal: bool = False) -> None:
        """``reveal``: every input is (x, A, phi) instead of x, for an oracle (the upper bound of section 5.1)."""
        self.reveal = reveal
        width = 3 if reveal else 1
        self.task = FewShotSpec("sinusoid", "regression", (width,), 1, shots, queries, parameter_size=2)
        self._draw = torch.Generator().manual_seed(seed)
        self._device = torch.device("cpu")

    def sample(self, tasks: int) -> TaskBatch:
        """The next tasks; ``parameters`` are amplitude and phase (in rad)."""
        t = self.task
        amplitude, phase = self._uniform((tasks, 1, 1), AMPLITUDE), self._uniform((tasks, 1, 1), PHASE)
        x = self._uniform((tasks, t.shots + t.queries, 1), INPUT)
        inputs = torch.cat([x, amplitude.expand_as(x), phase.expand_as(x)], 2) if self.reveal else x
        every = Examples(inputs, amplitude * torch.sin(x - phase))
        support = Examples(every.inputs[:, : t.shots], every.targets[:, : t.shots])
        query = Examples(every.inputs[:, t.shots :], every.targets[:, t.shots :])
        parameters = torch.cat([amplitude, phase], 2)[:, 0]
        return TaskBatch(support, query, parameters).to(self._device)

    def to(self, device: torch.device) -> None:
        """Give tasks on ``device``; they are drawn on the CPU, so they are the same ones."""
        self._device = device

    def state_dict(self) -> State:
        return {"draw": self._draw.get_state()}

    def load_state_dict(self, state: State) -> None:
        self._draw.set_state(state["draw"].cpu())

    def _uniform(self, shape: tuple[int, ...], bounds: tuple[float, float]) -> Tensor:
        low, high = bounds
        return low + (high - low) * torch.rand(shape, generator=self._draw)
