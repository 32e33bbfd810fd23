"""Do the meta-gradients of two independent batches agree, for each form of MAML's inner loss?

All forms adapt alike; they differ in what their second derivatives take for given (`agents.adaptation.inner_loss`).
Where a training has become flat, a form whose batches agree well is not stopped by noise: it points, for sure, where
nothing is to be gained.

    python benchmarks/meta_gradient.py results/runs/maml_cheetah_dir_paper --out results/meta_gradient_cheetah.json
    python benchmarks/meta_gradient.py results/runs/maml_nav2d --tasks 4 --rollouts 4
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from statistics import fmean
from typing import get_args

import torch
from torch import Tensor

from publishing import publish
from sim2real.agents import ppo
from sim2real.agents.adaptation import AdaptivePolicy, InnerLoss, advantages
from sim2real.agents.functional import for_tasks
from sim2real.agents.maml_rl import meta_gradient
from sim2real.agents.trpo import flatten
from sim2real.meta_rl_domain import family_of
from sim2real.meta_rl_types import Parameters, TaskFamily
from sim2real.runs import load_policy

FORMS: tuple[InnerLoss, ...] = get_args(InnerLoss)


def gradients(
    policy: AdaptivePolicy, family: TaskFamily, *, tasks: int, rollouts: int, generator: torch.Generator
) -> dict[str, Tensor]:
    """The meta-gradient of one new meta-batch after one inner step of the test's first size, by form of the inner
    loss: vectors over all parameters."""
    drawn, start, rate = family.sample(tasks, generator), policy.net.parameter_dict(), policy.test.rates[0]
    unadapted = for_tasks(start, tasks)
    before = policy.rollout(family, drawn, rollouts, unadapted, generator)
    inner = advantages(before, policy.returns)
    after = policy.rollout(family, drawn, rollouts, policy.step(before, inner, unadapted, rate), generator)
    outer = advantages(after, policy.returns)

    def query(end: Parameters) -> Tensor:
        log_prob = policy.net.head.log_prob(policy.net.per_task(end, after.observation), after.action)
        return ppo.surrogate(log_prob, after.log_prob, outer, after.mask)

    losses = {form: [policy.loss(before, inner, form)] for form in FORMS}
    return {form: flatten(meta_gradient(loss, query, start, tasks, rate, "second")[1]) for form, loss in losses.items()}


def agreement(batches: list[dict[str, Tensor]]) -> dict[str, dict[str, float]]:
    """Mean cosine between the gradients of every two batches, and their mean norm, for each form."""
    pairs = list(itertools.combinations(batches, 2))
    return {
        form: {
            "cosine": round(fmean(float(torch.cosine_similarity(a[form], b[form], 0)) for a, b in pairs), 3),
            "norm": round(fmean(float(batch[form].norm()) for batch in batches), 3),
        }
        for form in FORMS
    }


def main() -> None:
    """Open the run, draw the batches, compare their gradients; an error for a run without an inner loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run of maml_rl")
    parser.add_argument("--tasks", type=int, default=40)
    parser.add_argument("--rollouts", type=int, default=20)
    parser.add_argument("--batches", type=int, default=3, help="at least 2")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="file for the figures")
    args = parser.parse_args()
    policy, meta = load_policy(args.run)
    if not isinstance(policy, AdaptivePolicy) or not policy.test.rates:
        parser.error(
            f"{args.run} holds a policy of {meta['algorithm']}; give a run of maml_rl that is tested with steps"
        )
    if min(args.tasks, args.rollouts) < 1 or args.batches < 2:
        parser.error("--tasks and --rollouts have to be at least 1, --batches at least 2")
    family, generator = family_of(meta), torch.Generator().manual_seed(args.seed)
    sizes = {"tasks": args.tasks, "rollouts": args.rollouts}
    batches = [gradients(policy, family, **sizes, generator=generator) for _ in range(args.batches)]
    publish(
        "meta_gradient",
        {"run": args.run.name, **sizes, "batches": args.batches, "forms": agreement(batches)},
        args.out,
    )


if __name__ == "__main__":
    main()
