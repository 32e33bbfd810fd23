"""Random search: every architecture equally likely. What a search has to beat at the same budget."""

from __future__ import annotations

from dataclasses import dataclass

from sim2real.agents.found import BestFound, score
from sim2real.errors import at_least
from sim2real.search_types import ArchitectureSource
from sim2real.seeding import numpy_generator
from sim2real.types import Metrics, State


@dataclass(frozen=True)
class RandomSearchConfig:
    """Settings of random search."""

    batch: int = 8
    """Architectures of a round."""

    def __post_init__(self) -> None:
        at_least(self, 1, "batch")


class RandomSearch:
    """Algorithm: draw architectures and keep the best."""

    def __init__(self, config: RandomSearchConfig, source: ArchitectureSource, *, seed: int, device: str) -> None:
        self.config, self.source = config, source
        self._policy = BestFound(source.task).to(device)
        self._draw = numpy_generator(seed, "architectures")

    @property
    def policy(self) -> BestFound:
        """The best architecture so far."""
        return self._policy

    def collect(self) -> tuple[int, Metrics]:
        """Draw architectures and have them scored."""
        architectures = [self.source.task.draw(self._draw) for _ in range(self.config.batch)]
        _, metrics = score(self._policy, self.source, architectures)
        return len(architectures), metrics

    def update(self) -> Metrics:
        """Nothing to learn."""
        return {}

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs."""
        return {"policy": self._policy.state_dict(), "draw": self._draw.bit_generator.state}

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`."""
        self._policy.load_state_dict(state["policy"])
        self._draw.bit_generator.state = state["draw"]
