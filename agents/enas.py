"""Efficient neural architecture search: the controller of `sim2real.agents.nas`, children that share their weights.

Pham et al. 2018, "Efficient Neural Architecture Search via Parameter Sharing", section 2.2: the weights shared by all
architectures are trained for some minibatches with architectures from the controller; then the controller is trained by
REINFORCE on what architectures are worth with these weights on validation data. No child is trained on its own; what is
found is scored after a training of its own, as `sim2real evaluate` does.

The weights move, so a score is worth nothing later: the best architecture so far is scored again in every round, on the
data that those who challenge it are scored on.
"""

from __future__ import annotations

from dataclasses import dataclass

from sim2real.agents.nas import NAS, NASConfig
from sim2real.errors import at_least
from sim2real.search_types import Scored, SharingSource
from sim2real.seeding import component_seed
from sim2real.types import Metrics, State


@dataclass(frozen=True)
class ENASConfig(NASConfig):
    """Settings of the controller, of REINFORCE, and of the weights that are shared."""

    shared_updates: int = 20
    """Gradient steps of the shared weights before each round of the controller."""
    shared_batch: int = 4
    """Architectures whose losses such a step averages (the paper: one)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "shared_updates", "shared_batch")


class ENAS(NAS):
    """Algorithm: train the shared weights, score m architectures with them, then one step of REINFORCE."""

    config: ENASConfig

    def __init__(self, config: ENASConfig, source: SharingSource, *, seed: int, device: str) -> None:
        super().__init__(config, source, seed=seed, device=device)
        self.weights = source.shared_weights(component_seed(seed, "shared weights"))

    def collect(self) -> tuple[int, Metrics]:
        """Train the shared weights, propose m architectures and score them."""
        for _ in range(self.config.shared_updates):
            loss = self.weights.learn(self._proposed(self.config.shared_batch)[1])
        self._numbers, architectures = self._proposed(self.config.batch)
        found = self._policy.found
        scores = self.weights.score([*architectures, found.architecture()])
        rewards, defended = scores[:-1], scores[-1]
        found.reward.fill_(float(defended))
        self._reward(rewards)
        metrics = found.take(architectures, Scored(rewards, 0))
        return len(architectures), {**metrics, "loss/shared": loss}

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs."""
        return {**super().state_dict(), "weights": self.weights.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`."""
        super().load_state_dict(state)
        self.weights.load_state_dict(state["weights"])
