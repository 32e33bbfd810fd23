"""What do strategies that need no training earn in bandits and tabular MDPs, beside what Duan et al. 2016 (RL²) print?

Every strategy meets the same tasks that `sim2real evaluate RUN --seed 7 --episodes 1000` gives a learned policy. As in
the paper, the constants of UCB1, epsilon-greedy, the optimistic samplers, UCRL2 and BEB are searched on a grid for each
setting; here on other tasks than those that are reported. PSRL and its optimistic form are measured with the true prior
mean of the rewards, 1, and with 0, which gives the paper's figures.

    python benchmarks/reference_strategies.py
    python benchmarks/reference_strategies.py --only bandit_n10_k5 mdp_n10     # rows of other settings stay in the file
    python benchmarks/reference_strategies.py --quick
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from publishing import ROOT, load, publish
from sim2real.agents import bandit_strategies as bandits
from sim2real.agents import mdp_strategies as mdps
from sim2real.envs.bandits import Bandits
from sim2real.envs.tabular_mdps import TabularMDPs
from sim2real.estimates import mean_interval
from sim2real.seeding import numpy_generator, torch_generator
from sim2real.types import FloatArray

SEED, SEARCH_SEED = 7, 1_000
GRIDS: dict[str, tuple[float, ...]] = {
    "ucb1": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0),
    "epsilon_greedy": (0.01, 0.02, 0.05, 0.1, 0.2),
    "optimistic_thompson": (2, 4, 8, 16, 32),
    "optimistic_psrl": (2, 5, 10),
    "optimistic_psrl_prior_0": (5, 10, 20),
    "ucrl2": (0.02, 0.05, 0.1, 0.15, 0.2, 0.3),
    "beb": (1, 3, 10, 20, 30),
}
PUBLISHED_BANDITS: dict[tuple[int, int], tuple[float, ...]] = {
    (10, 5): (5.0, 6.6, 5.7, 6.5, 6.7, 6.6, 6.6, 6.7),
    (10, 10): (5.0, 6.6, 5.5, 6.2, 6.7, 6.6, 6.6, 6.7),
    (10, 50): (5.1, 6.5, 5.2, 5.5, 6.6, 6.5, 6.5, 6.8),
    (100, 5): (49.9, 78.3, 74.7, 77.9, 78.0, 75.4, 74.8, 78.7),
    (100, 10): (49.9, 82.8, 76.7, 81.4, 82.4, 77.4, 77.1, 83.5),
    (100, 50): (49.8, 85.2, 64.5, 67.7, 84.3, 78.3, 78.0, 84.9),
    (500, 5): (249.8, 405.8, 402.0, 406.7, 405.8, 388.2, 380.6, 401.6),
    (500, 10): (249.0, 437.8, 429.5, 438.9, 437.1, 408.0, 395.0, 432.5),
    (500, 50): (249.6, 463.7, 427.2, 437.6, 457.6, 413.6, 402.8, 438.9),
}
"""Duan et al. 2016, table 1, by (n, k): the columns of `BANDIT_COLUMNS`."""
BANDIT_COLUMNS = ("random", "gittins", "thompson", "optimistic_thompson", "ucb1", "epsilon_greedy", "greedy", "rl2")
PUBLISHED_MDPS: dict[int, tuple[float, ...]] = {
    10: (100.1, 138.1, 144.1, 146.6, 150.2, 132.8, 134.8, 156.2),
    25: (250.2, 408.8, 425.2, 424.1, 427.8, 377.3, 368.8, 445.7),
    50: (499.7, 904.4, 930.7, 918.9, 917.8, 823.3, 769.3, 936.1),
    75: (749.9, 1417.1, 1449.2, 1427.6, 1422.6, 1293.9, 1172.9, 1428.8),
    100: (999.4, 1939.5, 1973.9, 1942.1, 1935.1, 1778.2, 1578.5, 1913.7),
}
"""Table 2, by n: the columns of `MDP_COLUMNS`."""
MDP_COLUMNS = ("random", "psrl", "optimistic_psrl", "ucrl2", "beb", "epsilon_greedy", "greedy", "rl2")


@dataclass(frozen=True)
class Setting:
    """Tasks, and what plays a strategy in ``n`` of them from a seed: totals [n] for a strategy's name and constant."""

    name: str
    total: Callable[[str, float, int, int], FloatArray]
    strategies: tuple[str, ...]
    published: Mapping[str, float]
    search_tasks: int
    """Tasks on which a constant is searched."""


def bandit_setting(pulls: int, arms: int) -> Setting:
    """Bandits with ``arms`` arms and ``pulls`` pulls."""
    family = Bandits(arms, pulls)
    # The product bounds the memory; the error of an index, 1 / resolution^2, is far below any noise.
    tables = bandits.gittins_indices(pulls, resolution=min(500, 50_000 // pulls))
    make: dict[str, Callable[[float], bandits.Strategy]] = {
        "random": lambda _: bandits.random,
        "gittins": lambda _: bandits.gittins(tables),
        "thompson": lambda _: bandits.thompson,
        "optimistic_thompson": lambda x: bandits.optimistic_thompson(int(x)),
        "ucb1": bandits.ucb1,
        "epsilon_greedy": bandits.epsilon_greedy,
        "greedy": lambda _: bandits.greedy,
    }

    def total(name: str, constant: float, n: int, seed: int) -> FloatArray:
        batch = family.batch(family.sample(n, torch_generator(seed, "test tasks")), 1, _luck(seed))
        return bandits.play(make[name](constant), batch, arms, pulls, numpy_generator(seed, name))

    published = dict(zip(BANDIT_COLUMNS, PUBLISHED_BANDITS[pulls, arms], strict=True))
    return Setting(f"bandit_n{pulls}_k{arms}", total, tuple(make), published, search_tasks=1_000)


def mdp_setting(episodes: int) -> Setting:
    """Tabular MDPs that are met for ``episodes`` episodes."""
    family = TabularMDPs(episodes)
    make: dict[str, Callable[[float], mdps.Strategy]] = {
        "random": lambda _: mdps.random,
        "psrl": lambda _: mdps.psrl,
        "psrl_prior_0": lambda _: mdps.psrl,
        "optimistic_psrl": lambda x: mdps.optimistic_psrl(int(x)),
        "optimistic_psrl_prior_0": lambda x: mdps.optimistic_psrl(int(x)),
        "ucrl2": mdps.ucrl2,
        "beb": mdps.beb,
        "epsilon_greedy": mdps.epsilon_greedy,
        "greedy": lambda _: mdps.greedy,
    }

    def total(name: str, constant: float, n: int, seed: int) -> FloatArray:
        batch = family.batch(family.sample(n, torch_generator(seed, "test tasks")), 1, _luck(seed))
        prior_mean = 0.0 if name.endswith("_prior_0") else 1.0
        returns = mdps.play(make[name](constant), batch, family.task, numpy_generator(seed, name), prior_mean)
        return np.asarray(returns.sum(1))

    published = dict(zip(MDP_COLUMNS, PUBLISHED_MDPS[episodes], strict=True))
    return Setting(f"mdp_n{episodes}", total, tuple(make), published, search_tasks=300)


def _luck(seed: int) -> Any:
    return torch_generator(seed, "test rollouts")


def measure(setting: Setting, name: str, instances: int) -> dict[str, Any]:
    """A row: mean return with its 95 % interval, the constant that was found, and what the paper prints."""
    began = time.monotonic()
    grid = GRIDS.get(name, ())
    search_tasks = min(instances, setting.search_tasks)
    found = {x: float(setting.total(name, x, search_tasks, SEARCH_SEED).mean()) for x in grid}
    constant = max(found, key=lambda x: found[x]) if found else 0.0
    estimate = mean_interval(setting.total(name, constant, instances, SEED))
    row: dict[str, Any] = {**estimate.row(setting.name, "return"), "strategy": name}
    if grid:
        row |= {
            "constant": constant,
            "search_tasks": search_tasks,
            "search": {f"{x:g}": round(value, 3) for x, value in found.items()},
        }
    return {**row, "published": setting.published.get(name), "seconds": round(time.monotonic() - began, 2)}


SETTINGS: dict[str, Callable[[], Setting]] = {
    **{f"bandit_n{n}_k{k}": functools.partial(bandit_setting, n, k) for n, k in PUBLISHED_BANDITS},
    **{f"mdp_n{n}": functools.partial(mdp_setting, n) for n in PUBLISHED_MDPS},
}
"""All settings of the paper."""
SMALLEST = ("bandit_n10_k5", "mdp_n10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest settings on few tasks, nothing written")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, default=list(SETTINGS), help="settings to measure")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "reference_strategies.json")
    args = parser.parse_args()
    instances = 100 if args.quick else 1_000
    chosen = SMALLEST if args.quick else args.only
    before = (load("reference_strategies") or {}).get("rows", [])
    rows = [row for row in before if row["setting"] not in chosen]
    for setting in (SETTINGS[name]() for name in chosen):
        for name in setting.strategies:
            rows.append(measure(setting, name, instances))
            print({key: value for key, value in rows[-1].items() if key != "search"}, flush=True)
    figures = {
        "seed": SEED,
        "search_seed": SEARCH_SEED,
        "instances": instances,
        "grids": {name: list(values) for name, values in GRIDS.items()},
        "published_rl2": {
            **{f"bandit_n{n}_k{k}": row[-1] for (n, k), row in PUBLISHED_BANDITS.items()},
            **{f"mdp_n{n}": row[-1] for n, row in PUBLISHED_MDPS.items()},
        },
        "rows": sorted(rows, key=lambda row: list(SETTINGS).index(row["setting"])),
    }
    publish("reference_strategies", figures, None if args.quick else args.out, unprinted=("rows",))


if __name__ == "__main__":
    main()
