"""Do the meta-gradients of two independent batches agree, for each form of MAML's inner loss?

All forms adapt alike; they differ in what their second derivatives take for given (`agents.adaptation.inner_loss`).
Where a training has become flat, a form whose batches agree well is not stopped by noise: it points, for sure, where
nothing is to be gained.

    python benchmarks/meta_gradient.py results/runs/maml_cheetah_dir_paper --out results/meta_gradient_cheetah.json
    python benchmarks/meta_gradient.py results/runs/maml_nav2d --tasks 4 --rollouts 4
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from publishing import publish
from sim2real.agents import ppo
from sim2real.agents.adaptation import AdaptivePolicy, InnerLoss, advantages
from sim2real.agents.functional import for_tasks
from sim2real.agents.maml_rl import meta_gradient
from sim2real.agents.trpo import flatten
from sim2real.config import build
from sim2real.meta_rl_domain import FamilyConfig, make_family
from sim2real.meta_rl_types import Parameters, TaskFamily, Trajectories
from sim2real.runs import load_policy

FORMS: tuple[InnerLoss, ...] = get_args(InnerLoss)


def gradients(
    policy: AdaptivePolicy, family: TaskFamily, *, tasks: int, rollouts: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """The meta-gradient of one new meta-batch after one inner step, by form of the inner loss."""
    drawn, start = family.sample(tasks, generator), policy.net.parameter_dict()
    before = policy.rollout(family, drawn, rollouts, for_tasks(start, tasks), generator)
    rate = policy.test.rates[0]
    after = policy.rollout(family, drawn, rollouts, policy.adapt(before, for_tasks(start, tasks), rate), generator)
    inner, outer = advantages(before, policy.returns), advantages(after, policy.returns)

    def query(end: Parameters) -> Tensor:
        return _surrogate(policy, end, after, outer)

    found: dict[str, Tensor] = {}
    for form in FORMS:
        losses = [policy.loss(before, inner, form)]
        found[form] = flatten(meta_gradient(losses, query, start, tasks, rate, "second")[1]).detach()
    return found


def _surrogate(policy: AdaptivePolicy, end: Parameters, after: Trajectories, advantage: Tensor) -> Tensor:
    log_prob = policy.net.head.log_prob(policy.net.per_task(end, after.observation), after.action)
    return ppo.surrogate(log_prob, after.log_prob, advantage, after.mask)


def agreement(batches: list[dict[str, Tensor]]) -> dict[str, dict[str, float]]:
    """Mean cosine between the batches' gradients, and their mean norm, for each form."""
    pairs = [(a, b) for k, a in enumerate(batches) for b in batches[k + 1 :]]
    return {
        form: {
            "cosine": round(sum(float(torch.cosine_similarity(a[form], b[form], 0)) for a, b in pairs) / len(pairs), 3),
            "norm": round(sum(float(batch[form].norm()) for batch in batches) / len(batches), 3),
        }
        for form in FORMS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run of maml_rl")
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--rollouts", type=int, default=20)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="file for the figures")
    args = parser.parse_args()
    policy, meta = load_policy(args.run)
    assert isinstance(policy, AdaptivePolicy), f"{args.run} holds no policy that adapts by gradient steps"
    family, generator = make_family(build(FamilyConfig, meta["env"], "env")), torch.Generator().manual_seed(args.seed)
    sizes = {"tasks": args.tasks, "rollouts": args.rollouts}
    batches = [gradients(policy, family, **sizes, generator=generator) for _ in range(args.batches)]
    publish(
        "meta_gradient",
        {"run": args.run.name, **sizes, "batches": args.batches, "forms": agreement(batches)},
        args.out,
    )


if __name__ == "__main__":
    main()
