"""What does it bring to adapt to all tasks at once, and how fast do the families of tasks step?

Inner adaptation: one policy-gradient step in each of 40 tasks of 2D navigation (the network of MAML's experiments,
100-100) on 10 to 2000 steps of experience, once for all tasks under ``torch.func.vmap`` and once in a loop over tasks
with a module call and a backward pass each. Advantages are computed beforehand for both. A task differs from another by
its own weights, so the vectorised form is batched matrix products: it saves what every call costs, not arithmetic. The
same numbers have to come out.

Families: environment steps of a batch, with random actions. All times are seconds of the processor, on one thread.

    python benchmarks/meta_rl.py
    python benchmarks/meta_rl.py --quick
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from publishing import publish
from sim2real.agents.adaptation import AdaptationConfig, AdaptivePolicy, PolicyConfig, ReturnConfig, advantages
from sim2real.agents.functional import for_tasks
from sim2real.agents.heads import head_of
from sim2real.envs.families import FAMILIES, family_type
from sim2real.envs.navigation import Navigation
from sim2real.meta_rl_types import TaskFamily, Trajectories

RATE = 0.1


def vectorized(policy: AdaptivePolicy, t: Trajectories, advantage: Tensor) -> dict[str, Tensor]:
    """Parameters of every task after one step, as many tasks at once as the cache holds."""
    return policy.step(t, advantage, for_tasks(policy.net.parameter_dict(), len(t.reward)), RATE)


def looped(policy: AdaptivePolicy, t: Trajectories, advantage: Tensor) -> dict[str, Tensor]:
    """The same, one task after the other."""
    start, found = policy.net.parameter_dict(), []
    for i in range(len(t.reward)):
        leaves = {name: p.clone().requires_grad_() for name, p in start.items()}
        outputs = torch.func.functional_call(policy.net, leaves, (t.observation[i],))
        log_prob = policy.net.head.log_prob(outputs, t.action[i])
        loss = -(log_prob * advantage[i] * t.mask[i]).sum() / t.mask[i].sum()
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        found.append({n: (p - RATE * g).detach() for (n, p), g in zip(leaves.items(), slopes, strict=True)})
    return {name: torch.stack([one[name] for one in found]) for name in start}


def adaptation(*, tasks: int, rollouts: int, horizon: int, rounds: int) -> dict[str, float]:
    """Seconds of both forms, taking turns (medians), their ratio, and how far the results are apart."""
    torch.manual_seed(0)
    family, generator = Navigation(horizon=horizon), torch.Generator().manual_seed(0)
    policy = AdaptivePolicy(family.task, PolicyConfig(), ReturnConfig(), AdaptationConfig())
    start = for_tasks(policy.net.parameter_dict(), tasks)
    t = policy.rollout(family, family.sample(tasks, generator), rollouts, start, generator)
    advantage = advantages(t, policy.returns)
    seconds: dict[str, list[float]] = {"vectorized": [], "looped": []}
    forms = {"vectorized": vectorized, "looped": looped}
    results = {name: form(policy, t, advantage) for name, form in forms.items()}
    for _ in range(rounds):
        for name, form in forms.items():
            seconds[name].append(_seconds(lambda form=form: form(policy, t, advantage)))  # type: ignore[misc]
    a, b = results["vectorized"], results["looped"]
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {
        "tasks": tasks,
        "rollouts": rollouts,
        "horizon": horizon,
        "vectorized_ms": round(1e3 * medians["vectorized"], 3),
        "looped_ms": round(1e3 * medians["looped"], 3),
        "loop_over_vectorized": round(medians["looped"] / medians["vectorized"], 3),
        "largest_difference": max(float((a[name] - b[name]).abs().max()) for name in a),
    }


def steps_per_second(family: TaskFamily, *, tasks: int, rollouts: int, steps: int) -> float:
    """Environment steps of the whole batch in a second of one core, with random actions."""
    generator = torch.Generator().manual_seed(0)
    env = family.batch(family.sample(tasks, generator), rollouts, generator)
    head = head_of(family.task)
    outputs = torch.zeros(tasks, rollouts, head.outputs)
    actions = [head.sample(outputs, generator) for _ in range(steps)]
    env.reset()

    def run() -> None:
        for k, action in enumerate(actions):
            if k and k % family.task.horizon == 0:
                env.reset()
            env.step(action)

    return tasks * rollouts * steps / _seconds(run)


def _seconds(work: Callable[[], Any]) -> float:
    """Seconds of the processor, which others on the machine do not change."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def rate(name: str, steps: int) -> int:
    """`steps_per_second` of a family: 800 rollouts of batched tensors, 20 of MuJoCo's."""
    family = family_type(name)
    one_thread = {"threads": 1} if any(f.name == "threads" for f in dataclasses.fields(family)) else {}
    tasks, rollouts = (4, 5) if one_thread else (40, 20)
    return round(steps_per_second(family(**one_thread), tasks=tasks, rollouts=rollouts, steps=steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few rounds only")
    parser.add_argument("--out", type=Path, default=Path("results/meta_rl_speed.json"), help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rounds, steps = (3, 20) if args.quick else (9, 100)
    sizes = [(1, 10), (1, 100), (20, 100)]  # few steps, where overhead decides, to those of the preset
    found = [adaptation(tasks=40, rollouts=r, horizon=h, rounds=rounds) for r, h in sizes]
    figures = {"adaptation": found, "env_steps_per_core_second": {name: rate(name, steps) for name in FAMILIES}}
    publish("meta_rl", figures, None if args.quick else args.out)


if __name__ == "__main__":
    main()
