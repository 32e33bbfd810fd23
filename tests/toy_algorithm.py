"""An algorithm without environments or losses, for the tests of the trainer: a random walk with everything in its state
that a real learner has (weights, an optimiser's moments, a replay, two generators, a counter)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sim2real.checkpoint import save_policy
from sim2real.seeding import numpy_generator, torch_generator
from sim2real.types import FloatArray, Metrics, Obs, State


class ToyPolicy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))

    def initial_state(self, n: int) -> tuple[()]:
        return ()

    def act(self, obs: Obs, state: Any, *, deterministic: bool) -> tuple[FloatArray, Any]:
        return np.zeros((1, 1), np.float32), state


class ToyAlgorithm:
    """Walks its weights to (1, 1, 1) with noise; 10 samples an iteration."""

    def __init__(self, seed: int) -> None:
        self.policy = ToyPolicy()
        self.optimizer = torch.optim.Adam(self.policy.parameters(), lr=0.05)
        self.replay: list[float] = []
        self.iterations = 0
        self._numpy = numpy_generator(seed, "walk")
        self._torch = torch_generator(seed, "noise")

    def collect(self) -> tuple[int, Metrics]:
        self.replay.append(float(self._numpy.normal()))
        self.iterations += 1
        return 10, {"collect/drawn": self.replay[-1]}

    def update(self) -> Metrics:
        noise = torch.randn(3, generator=self._torch) + self.replay[-1]
        loss = ((self.policy.weight - 1 + 0.1 * noise) ** 2).sum()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return {"loss": loss}

    def state_dict(self) -> State:
        return {
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "replay": np.array(self.replay),
            "iterations": self.iterations,
            "numpy": self._numpy.bit_generator.state,
            "torch": self._torch.get_state(),
        }

    def load_state_dict(self, state: State) -> None:
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.replay = state["replay"].tolist()
        self.iterations = state["iterations"]
        self._numpy.bit_generator.state = state["numpy"]
        self._torch.set_state(state["torch"])


class ToyFiles:
    """The run directory as the trainer sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recorded: list[tuple[int, float]] = []
        self.saved: list[tuple[str, int]] = []

    def save_policy(self, name: str, policy: Any, samples: int, scores: Mapping[str, float]) -> None:
        self.saved.append((name, samples))
        save_policy(self.folder / name, policy, {"samples": samples, "eval": dict(scores)})

    def record(self, samples: int, seconds: float) -> None:
        self.recorded.append((samples, seconds))
