from __future__ import annotations

import numpy as np
import pytest

from sim2real.agents.evolution import Evolution, EvolutionConfig, mutate
from tests.search_toys import SKIPS, TWO, Table


def test_a_mutation_changes_one_token_and_of_an_anchor_one_connection() -> None:
    generator, parent = np.random.default_rng(0), (1, 0, 0, 1, 1, 2)
    children = [mutate(SKIPS, parent, generator) for _ in range(300)]
    for child in children:
        changed = [t for t in range(6) if child[t] != parent[t]]
        assert len(changed) == 1
        assert (child[changed[0]] ^ parent[changed[0]]).bit_count() == 1
    # The anchor without choices is never drawn; all others are.
    assert {t for child in children for t in range(6) if child[t] != parent[t]} == {0, 2, 3, 4, 5}


def test_the_oldest_die_whatever_they_are_worth() -> None:
    agent = Evolution(EvolutionConfig(batch=2, population=4, tournament=4), Table(TWO), seed=0, device="cpu")
    for _ in range(5):
        agent.collect()
    asked = agent.source.asked  # type: ignore[attr-defined]
    assert [architecture for architecture, _ in agent.population] == asked[-4:]


def test_children_come_from_the_best_of_the_tournament() -> None:
    agent = Evolution(EvolutionConfig(batch=1, population=3, tournament=3), Table(SKIPS), seed=0, device="cpu")
    agent.population = [((0, 0, 0, 0, 0, 0), 0.1), ((1, 0, 1, 1, 1, 0), 0.9), ((0, 0, 0, 0, 0, 1), 0.2)]
    child = agent._propose(0)
    assert sum(a != b for a, b in zip(child, (1, 0, 1, 1, 1, 0), strict=True)) == 1


def test_it_finds_the_best_architecture_of_a_table() -> None:
    agent = Evolution(EvolutionConfig(population=16, tournament=8), Table(SKIPS), seed=0, device="cpu")
    for _ in range(30):
        agent.collect()
    assert agent.policy.architecture() == (1, 0, 1, 1, 1, 3)


def test_a_tournament_larger_than_the_population_is_refused() -> None:
    with pytest.raises(ValueError, match="at most population, 4"):
        EvolutionConfig(population=4, tournament=5)
