"""Regularised evolution (Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search", alg. 1).

A population of fixed size: the best of a random tournament is copied with one token changed, and the oldest one dies.
Deviation: `batch` children are made from the same population, so that they can be scored in parallel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim2real.agents.found import BestFound, score
from sim2real.errors import at_least
from sim2real.search_types import Architecture, ArchitectureSource, SearchSpec
from sim2real.seeding import numpy_generator
from sim2real.types import Metrics, State


@dataclass(frozen=True)
class EvolutionConfig:
    """Settings of regularised evolution."""

    batch: int = 8
    """Children of a round."""
    population: int = 24
    """Architectures that live; the first ones are drawn at random."""
    tournament: int = 6
    """Members of the population of whom the best one has a child."""

    def __post_init__(self) -> None:
        at_least(self, 1, "batch", "population", "tournament")
        if self.tournament > self.population:
            raise ValueError(f"tournament has to be at most population, {self.population}, got {self.tournament}")


class Evolution:
    """Algorithm: breed architectures from a population and have them scored; the oldest ones die."""

    def __init__(self, config: EvolutionConfig, source: ArchitectureSource, *, seed: int, device: str) -> None:
        self.config, self.source = config, source
        self._policy = BestFound(source.task).to(device)
        self._draw = numpy_generator(seed, "architectures")
        self.population: list[tuple[Architecture, float]] = []
        """Architecture and reward, oldest first."""

    @property
    def policy(self) -> BestFound:
        """The best architecture so far."""
        return self._policy

    def collect(self) -> tuple[int, Metrics]:
        """Propose architectures, have them scored and let them live."""
        architectures = [self._propose(k) for k in range(self.config.batch)]
        scored, metrics = score(self._policy, self.source, architectures)
        born = [(a, float(r)) for a, r in zip(architectures, scored.rewards, strict=True)]
        self.population = (self.population + born)[-self.config.population :]
        return len(architectures), metrics

    def _propose(self, already: int) -> Architecture:
        """A random one until the population is full, ``already`` of this round counted in; then a mutated one."""
        if len(self.population) + already < self.config.population:
            return self.source.task.draw(self._draw)
        size = min(self.config.tournament, len(self.population))
        picked = self._draw.choice(len(self.population), size, replace=False)
        parent, _ = max((self.population[i] for i in picked), key=lambda member: member[1])
        return mutate(self.source.task, parent, self._draw)

    def update(self) -> Metrics:
        """Nothing more to learn."""
        return {}

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs."""
        return {
            "policy": self._policy.state_dict(),
            "draw": self._draw.bit_generator.state,
            "population": [[list(architecture), reward] for architecture, reward in self.population],
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`."""
        self._policy.load_state_dict(state["policy"])
        self._draw.bit_generator.state = state["draw"]
        self.population = [(tuple(map(int, numbers)), float(reward)) for numbers, reward in state["population"]]


def mutate(spec: SearchSpec, parent: Architecture, generator: np.random.Generator) -> Architecture:
    """``parent`` with one token, drawn from those that have a choice, set to another value; of an anchor one
    connection is made or cut."""
    open_tokens = [t for t, token in enumerate(spec.tokens) if token.size > 1]
    if not open_tokens:
        return parent
    t = int(generator.choice(open_tokens))
    token, child = spec.tokens[t], list(parent)
    if token.anchor:
        child[t] ^= 1 << int(generator.integers(len(token.choices)))
    else:
        child[t] = (child[t] + int(generator.integers(1, token.size))) % token.size
    return tuple(child)
