"""Neural architecture search with reinforcement learning (Zoph & Le 2017, section 3.2).

The controller proposes m architectures, children are trained and scored, and REINFORCE moves the controller:
``(1/m) sum_k sum_t grad log P(a_t | a_<t) (R_k - b)``, b an exponential moving average of the rewards before.

Choices where the paper says nothing: the average starts at the mean of the first m rewards (from zero, every
architecture of the first batches would be pushed up), and its decay is `baseline_decay`. Options beyond the paper: an
entropy bonus (Pham et al. 2018) and a clipped gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sim2real.agents.controller import Controller
from sim2real.agents.descent import descend
from sim2real.agents.found import BestFound, score
from sim2real.errors import at_least
from sim2real.search_types import Architecture, ArchitectureSource, SearchSpec
from sim2real.seeding import component_seed, torch_generator
from sim2real.types import FloatArray, Metrics, State


@dataclass(frozen=True)
class NASConfig:
    """Settings of the controller and of REINFORCE; defaults are the paper's for images."""

    batch: int = 8
    """Architectures of a round, m."""
    units: int = 35
    """Units of each of the controller's layers."""
    layers: int = 2
    """Layers of the controller's LSTM."""
    init: float = 0.08
    """Weights start from U(-init, init)."""
    learning_rate: float = 6e-4
    """Adam's step; the paper's searches take thousands of architectures, short ones want more."""
    baseline_decay: float = 0.95
    """Share of the old value in the moving average of rewards, once a batch."""
    reward: Literal["plain", "cubed"] = "plain"
    """What the controller is given for a child's score R: R, or R^3, which spreads the best ones."""
    entropy: float = 0.0
    """Weight of the mean entropy of a decision, in units of the reward."""
    max_grad_norm: float = 5.0
    """Largest norm of the controller's gradient."""

    def __post_init__(self) -> None:
        at_least(self, 1, "batch", "units", "layers")
        if not 0.0 <= self.baseline_decay < 1.0:
            raise ValueError(f"baseline_decay has to be in [0, 1), got {self.baseline_decay}")


class NASPolicy(nn.Module):
    """The controller, and the best architecture it has found."""

    def __init__(self, config: NASConfig, spec: SearchSpec) -> None:
        super().__init__()
        self.found = BestFound(spec)
        self.controller = Controller(spec, units=config.units, layers=config.layers, init=config.init)

    def architecture(self) -> Architecture:
        """The best architecture so far."""
        return self.found.architecture()


class NAS:
    """Algorithm: propose m architectures and have them scored, then one step of REINFORCE."""

    def __init__(self, config: NASConfig, source: ArchitectureSource, *, seed: int, device: str) -> None:
        self.config, self.source, self.device = config, source, torch.device(device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(component_seed(seed, "weights"))
            self._policy = NASPolicy(config, source.task).to(self.device)
        self.optimizer = torch.optim.Adam(self._policy.controller.parameters(), config.learning_rate)
        self.baseline: float | None = None
        self._draw = torch_generator(seed, "architectures", device=self.device)
        self._numbers = torch.empty((0, len(source.task.tokens)), dtype=torch.int64)
        self._rewards: Sequence[float] = ()

    @property
    def policy(self) -> NASPolicy:
        """Controller and best architecture."""
        return self._policy

    def collect(self) -> tuple[int, Metrics]:
        """Propose m architectures and have them scored."""
        self._numbers, architectures = self._proposed(self.config.batch)
        scored, metrics = score(self._policy.found, self.source, architectures)
        self._reward(scored.rewards)
        return len(architectures), metrics

    def _proposed(self, n: int) -> tuple[Tensor, Sequence[Architecture]]:
        """``n`` architectures from the controller, as numbers [n, T] and one by one."""
        numbers = self._policy.controller.sample(n, self._draw)
        return numbers, [tuple(row) for row in numbers.tolist()]

    def _reward(self, scores: FloatArray) -> None:
        """Note what the controller is given for the last m architectures."""
        power = 3 if self.config.reward == "cubed" else 1
        self._rewards = [float(score) ** power for score in scores]

    def update(self) -> Metrics:
        """One step of REINFORCE on the m architectures of the last `collect`."""
        rewards = torch.tensor(self._rewards, device=self.device)
        if self.baseline is None:
            self.baseline = float(rewards.mean())
        log_prob, entropy = self._policy.controller.log_prob(self._numbers)
        loss = -reinforce_terms(log_prob.sum(1), rewards, self.baseline).mean()
        bonus = self.config.entropy * entropy.mean()
        descend(self.optimizer, loss - bonus, max_norm=self.config.max_grad_norm)
        decay = self.config.baseline_decay
        before, self.baseline = self.baseline, decay * self.baseline + (1 - decay) * float(rewards.mean())
        return {"loss/reinforce": loss.detach(), "loss/entropy": entropy.detach().mean(), "loss/baseline": before}

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs."""
        return {
            "policy": self._policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline,
            "draw": self._draw.get_state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`."""
        self._policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline = None if state["baseline"] is None else float(state["baseline"])
        self._draw.set_state(state["draw"].cpu())


def reinforce_terms(log_prob: Tensor, rewards: Tensor, baseline: float) -> Tensor:
    """``log P(a) (R - b)`` of each sample, [m], [m] -> [m]: the gradient of their mean is REINFORCE's.

    The baseline leaves the expected gradient as it is and shrinks its variance.
    """
    return log_prob * (rewards - baseline)
