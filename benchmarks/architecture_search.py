"""The controller beside random search and regularised evolution, at the same budget, on real scores.

The searches draw from tables that hold the score of every architecture of a part of two spaces, measured once
(`architecture_tables.py`): so many seeds cost seconds, and each search sees what it would have seen by training. A
table has one score for an architecture, of one seed of the child; what is found is the best of the table, noise
included.

    python benchmarks/architecture_search.py
    python benchmarks/architecture_search.py --quick
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from architecture_tables import PARTS, SEED, everything, table
from publishing import ROOT, publish
from sim2real.agents import AGENTS
from sim2real.commands import resolve
from sim2real.estimates import mean_interval, student_quantile
from sim2real.search_children import Child
from sim2real.search_types import Architecture, Scored, SearchSpec

OUT = ROOT / "results" / "architecture_search.json"
PRESETS = {"cells": "nas_cells", "images": "nas_fashion", "policy": "nas_policy"}
"""Where the controller's options come from."""
BUDGET = {"cells": 64, "images": 64, "policy": 64}
"""Architectures of a search; one that comes again counts again."""
LAST = 16
"""Architectures at the end of a search whose mean says how far it has moved to good ones."""
HEADLINE_SEEDS = 3
Rewards = NDArray[np.float64]


class MeasuredTable:
    """An `ArchitectureSource` that knows all scores, and remembers what was asked."""

    def __init__(self, spec: SearchSpec, rewards: Mapping[Architecture, float]) -> None:
        self.task, self.rewards = spec, rewards
        self.seen: list[float] = []

    def score(self, architectures: Sequence[Architecture]) -> Scored:
        rewards = np.array([self.rewards[architecture] for architecture in architectures])
        self.seen += rewards.tolist()
        return Scored(rewards, 0)


def measured(part: str) -> tuple[SearchSpec, dict[Architecture, float]]:
    """All scores of a part. Raises ``SystemExit`` where some are missing."""
    source = table(part)
    rewards: dict[Architecture, float] = {}
    for architecture in everything(source.task):
        found = source.cache.get(Child(source.config, source.task.decode(architecture), SEED).key())
        if found is None:
            raise SystemExit(f"{part}: scores are missing; run `python benchmarks/architecture_tables.py {part}`")
        rewards[architecture] = found["reward"]
    return source.task, rewards


def search(algorithm: str, options: Any, source: MeasuredTable, budget: int, seed: int) -> Rewards:
    """One search: the reward of each architecture in its order, [budget]."""
    learner = AGENTS[algorithm].build(options, source, seed=seed, device="cpu")
    while len(source.seen) < budget:
        learner.collect()
        learner.update()
    return np.array(source.seen[:budget])


def contenders(part: str) -> dict[str, tuple[str, Any]]:
    """Name -> algorithm and options: of the controller those of the preset. Evolution also comes with a population that
    is small for a short budget, so that the control is not held back by its first random generation."""
    evolution = AGENTS["evolution"].config
    return {
        "nas": ("nas", resolve(PRESETS[part], []).agent),
        "random_search": ("random_search", AGENTS["random_search"].config()),
        "evolution": ("evolution", evolution()),
        "evolution_small": ("evolution", evolution(population=8, tournament=4)),
    }


def compare(part: str, seeds: int) -> dict[str, Any]:
    """All searches on one table."""
    spec, rewards = measured(part)
    budget = BUDGET[part]
    runs = {
        name: np.stack([search(*contender, MeasuredTable(spec, rewards), budget, seed) for seed in range(seeds)])
        for name, contender in contenders(part).items()
    }
    values = np.array(list(rewards.values()))
    return {
        "space": spec.name,
        "architectures": len(values),
        "budget": budget,
        "seeds": seeds,
        "table": {"best": float(values.max()), "mean": float(values.mean()), "std": float(values.std())},
        "searches": {name: summary(seen) for name, seen in runs.items()},
        "controller_minus": {name: difference(runs["nas"], seen) for name, seen in runs.items() if name != "nas"},
    }


def summary(seen: Rewards) -> dict[str, Any]:
    """Of searches [seeds, budget]: best so far after every eighth architecture, and both figures with intervals."""
    best = np.maximum.accumulate(seen, 1)
    first = slice(0, HEADLINE_SEEDS)
    return {
        "best": estimate(best[:, -1]),
        "mean_of_last": estimate(seen[:, -LAST:].mean(1)),
        "best_of_first_seeds": best[first, -1].tolist(),
        "mean_of_last_of_first_seeds": seen[first, -LAST:].mean(1).tolist(),
        "samples": list(range(8, seen.shape[1] + 1, 8)),
        "best_so_far": np.round(best[:, 7::8].mean(0), 5).tolist(),
        "best_so_far_half_width": np.round(_half_width(best[:, 7::8]), 5).tolist(),
        "reward_by_round": np.round(seen.reshape(len(seen), -1, 8).mean((0, 2)), 5).tolist(),
    }


def difference(a: Rewards, b: Rewards) -> dict[str, Any]:
    """a minus b, with the same seed number; [seeds, budget] each."""
    return {
        "best": estimate(a.max(1) - b.max(1)),
        "mean_of_last": estimate(a[:, -LAST:].mean(1) - b[:, -LAST:].mean(1)),
        "best_of_first_seeds": float((a.max(1) - b.max(1))[:HEADLINE_SEEDS].mean()),
        "mean_of_last_of_first_seeds": float((a - b)[:HEADLINE_SEEDS, -LAST:].mean()),
    }


def estimate(values: Rewards) -> dict[str, float]:
    """Mean over seeds with its 95 % interval."""
    e = mean_interval(values)
    return {"value": e.value, "low": e.low, "high": e.high}


def _half_width(values: Rewards) -> Rewards:
    width: Rewards = student_quantile(len(values) - 1) * values.std(0, ddof=1) / np.sqrt(len(values))
    return width


def main() -> None:
    """Search in every part with every seed, write the figures and print them as a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["cells", "images"])
    parser.add_argument("--quick", action="store_true", help="three seeds, and nothing is written")
    arguments = parser.parse_args()
    seeds = HEADLINE_SEEDS if arguments.quick else arguments.seeds
    figures = {part: compare(part, seeds) for part in arguments.parts}
    out: Path | None = None if arguments.quick else OUT
    publish("architecture_search", {"last": LAST, **figures}, out)


if __name__ == "__main__":
    main()
