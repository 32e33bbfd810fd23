from __future__ import annotations

from collections import Counter

import numpy as np

from sim2real.agents.random_search import RandomSearch, RandomSearchConfig
from tests.search_toys import SKIPS, Table


def test_every_architecture_is_as_likely_as_any() -> None:
    table = Table(SKIPS)
    agent = RandomSearch(RandomSearchConfig(batch=6400), table, seed=0, device="cpu")
    cost, metrics = agent.collect()
    counts = np.array(list(Counter(table.asked).values()))
    assert cost == 6400 and len(counts) == 64
    assert counts.min() > 55 and counts.max() < 145  # 100 +- 4.5 standard deviations
    assert metrics["collect/best"] == 1.0 and agent.policy.architecture() == (1, 0, 1, 1, 1, 3)


def test_the_earlier_of_equals_is_kept() -> None:
    agent = RandomSearch(RandomSearchConfig(batch=1), Table(SKIPS), seed=0, device="cpu")
    best, reward = None, -1.0
    for _ in range(20):
        agent.collect()
        if float(agent.policy.reward) > reward:
            best, reward = agent.policy.architecture(), float(agent.policy.reward)
        assert agent.policy.architecture() == best
