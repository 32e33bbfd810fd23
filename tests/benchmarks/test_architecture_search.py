from __future__ import annotations

import numpy as np
import pytest

from architecture_search import MeasuredTable, difference, search, summary
from architecture_tables import PARTS, everything
from sim2real.agents import AGENTS
from sim2real.search_children import Child, space_of
from tests.search_toys import TWO

REWARDS = {architecture: sum(architecture) / 3 for architecture in everything(TWO)}


def test_everything_is_everything_once() -> None:
    assert everything(TWO) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


@pytest.mark.parametrize("algorithm", ["nas", "random_search", "evolution"])
def test_a_search_costs_its_budget_and_no_more(algorithm: str) -> None:
    table = MeasuredTable(TWO, REWARDS)
    seen = search(algorithm, AGENTS[algorithm].config(), table, 20, seed=0)
    assert seen.shape == (20,) and set(seen.tolist()) <= set(REWARDS.values())


def test_figures_worked_by_hand() -> None:
    seen = np.zeros((2, 48))
    seen[0, 3], seen[1, 20] = 0.8, 0.4
    found = summary(seen)
    assert found["best_so_far"] == pytest.approx([0.4, 0.4, 0.6, 0.6, 0.6, 0.6])
    assert found["best"]["value"] == pytest.approx(0.6) and found["samples"][-1] == 48
    assert found["mean_of_last"]["value"] == 0.0  # the last 16 are from the 33rd on
    assert found["reward_by_round"][0] == pytest.approx(0.8 / 16)
    minus = difference(seen, np.zeros((2, 48)))
    assert minus["best"]["value"] == pytest.approx(0.6)


def test_the_tables_are_as_large_as_they_say() -> None:
    sizes = {name: space_of(config).size for name, config in PARTS.items()}
    assert sizes == {"cells": 128, "images": 128, "policy": 144}
    policy = space_of(PARTS["policy"])
    networks = {str(Child(PARTS["policy"], policy.decode(a), 0).key()) for a in everything(policy)}
    assert len(networks) == 45
