"""What is a policy worth that takes a meta-learner's test without any training? The random baseline of its table.

The same tasks and the same gradient steps as `sim2real evaluate --seed S`, from random weights; several draws of them,
because one may be lucky.

    python benchmarks/untrained.py maml_nav2d --out results/random_nav2d.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from publishing import publish
from sim2real.agents import AGENTS
from sim2real.commands import resolve
from sim2real.config import to_dict
from sim2real.meta_rl_domain import make_family, measure
from sim2real.scores import Scores


def untrained(preset: str, overrides: list[str], *, tasks: int, seed: int, weights: int) -> Scores:
    """Scores of each task, the mean over ``weights`` random initialisations."""
    config = resolve(preset, overrides)
    entry, spec = AGENTS[config.algorithm], make_family(config.env).task
    found = []
    for k in range(weights):
        torch.manual_seed(k)
        policy = entry.build_policy(config.agent, spec)
        found.append(measure(policy, {"env": to_dict(config.env)}, episodes=tasks, seed=seed).values)
    return Scores({s: {m: np.mean([one[s][m] for one in found], 0) for m in found[0][s]} for s in found[0]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", help="preset of meta-reinforcement learning, or YAML file")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change keys of the configuration")
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--weights", type=int, default=5, help="random initialisations")
    parser.add_argument("--out", type=Path, required=True, help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    scores = untrained(args.preset, args.set, tasks=args.tasks, seed=args.seed, weights=args.weights)
    print(scores.table())
    figures: dict[str, Any] = {"preset": args.preset, "seed": args.seed, "weights": args.weights, "rows": scores.rows()}
    publish("untrained", figures, args.out, unprinted=("rows",))


if __name__ == "__main__":
    main()
