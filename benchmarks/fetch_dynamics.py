"""Who adapts to a robot whose dynamics nobody told it? Four learners on the same unseen draws of the dynamics.

Every run is scored on the same tasks of the family ``fetch_dynamics``: one draw of the `train` dynamics each, kept for
as many episodes as a learner takes. MAML adapts by gradient steps between episodes (`step_0` ... `step_3`), RL² by a
memory that outlives them (`episode_1` ... `episode_4`), RDPG by a memory within one episode, a feed-forward policy not
at all. A policy with RDPG's memory is scored once more with the memory emptied before every step (`forgetful`).
Intervals are over tasks; a gain is the difference on the same tasks.

    python benchmarks/fetch_dynamics.py results/runs/fetch_reach results/runs/fetch_reach_ff_dr \\
        results/runs/rl2_fetch_dynamics results/runs/maml_fetch_dynamics
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from publishing import publish
from sim2real.envs.fetch_family import FetchDynamics
from sim2real.estimates import mean_interval
from sim2real.meta_rl_domain import draw_tasks, scores_of
from sim2real.meta_rl_types import MetaPolicy, Outcomes
from sim2real.runs import load_policy
from sim2real.scores import Scores
from sim2real.types import FloatArray, Policy

CHUNK = 40
"""Tasks that are met together: every rollout of each has a model of its own, of about 9 MiB."""
ROLLOUTS = 5
"""Episodes of a task for a policy that keeps nothing between them."""


@dataclass(frozen=True)
class WithinEpisodes:
    """A policy of the recurrent agent as a `MetaPolicy`: what it learns of a task ends with the episode."""

    policy: Policy

    @property
    def headline(self) -> str:
        return "episode"

    def meet(
        self, family: FetchDynamics, tasks: Tensor, generator: torch.Generator, *, episodes: int | None = None
    ) -> Outcomes:
        """Settings ``episode`` and, where there is a memory, ``forgetful``: return and success, a mean of each task."""
        state = generator.get_state()
        settings = {"episode": self._episodes(family, tasks, generator, episodes or ROLLOUTS, forget=False)}
        if self.policy.initial_state(1):
            generator.set_state(state)
            settings["forgetful"] = self._episodes(family, tasks, generator, episodes or ROLLOUTS, forget=True)
        return settings

    def _episodes(
        self, family: FetchDynamics, tasks: Tensor, generator: torch.Generator, rollouts: int, *, forget: bool
    ) -> dict[str, Tensor]:
        env = family.batch(tasks, rollouts, generator)
        n, size = len(tasks) * rollouts, family.task.action
        read, memory = env.reset(), self.policy.initial_state(n)
        previous, total = np.zeros((n, size), np.float32), torch.zeros(len(tasks), rollouts)
        goal = len(family.interface.terms[1].elements)
        for _ in range(family.task.horizon):
            flat: FloatArray = read.flatten(0, 1).numpy()
            obs = {"observation": flat[:, :-goal], "desired_goal": flat[:, -goal:], "previous_action": previous}
            memory = self.policy.initial_state(n) if forget else memory
            previous, memory = self.policy.act(obs, memory, deterministic=True)
            read, reward, _ = env.step(torch.as_tensor(previous).view(len(tasks), rollouts, size))
            total += reward
        return {"return": total.mean(1), "success": env.success().float().mean(1)}


def scored(policy: MetaPolicy, family: FetchDynamics, tasks: int, seed: int) -> Scores:
    """The outcome of every task, met in chunks."""
    drawn, luck = draw_tasks(family, tasks, seed)
    with torch.no_grad():
        parts = [scores_of(policy.meet(family, chunk, luck)).values for chunk in torch.split(drawn, CHUNK)]
    return Scores({s: {m: np.concatenate([p[s][m] for p in parts]) for m in parts[0][s]} for s in parts[0]})


def gains(scores: Scores) -> list[dict[str, Any]]:
    """What the last setting of a learner is above its first, task by task."""
    settings = [s for s in scores.values if s != "trial"]
    first, last = settings[0], settings[-1]
    if first == last:
        return []
    pairs = {m: scores.values[last][m] - scores.values[first][m] for m in scores.values[first]}
    return [mean_interval(d).row(f"{last} - {first}", metric) for metric, d in pairs.items()]


def learner(folder: Path, tasks: int, seed: int, family: FetchDynamics) -> dict[str, Any]:
    """One run's rows, what it was trained on, and what it gains by adapting."""
    module, meta = load_policy(folder)
    learned: Any = module
    policy: Any = learned if hasattr(learned, "meet") else WithinEpisodes(learned)
    scores = scored(policy, family, tasks, seed)
    print(folder.name, scores.table(), sep="\n", flush=True)
    run: Mapping[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    trained = {"samples": run["samples"], "minutes": round(run["seconds"] / 60, 1), "commit": run["commit"]}
    return {
        "run": folder.name,
        "algorithm": meta["algorithm"],
        **trained,
        "rows": scores.rows(),
        "gains": gains(scores),
    }


def main() -> None:
    """Score every run, write and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run directories of any of the four learners")
    parser.add_argument("--task", default="FetchReach", help="robot task of the family")
    parser.add_argument("--dynamics", default="train", help="set that the tasks are drawn from")
    parser.add_argument("--tasks", type=int, default=200, help="unseen draws of the dynamics")
    parser.add_argument("--seed", type=int, default=7, help="which draws")
    parser.add_argument("--quick", action="store_true", help="four tasks, nothing kept")
    parser.add_argument("--out", type=Path, default=Path("results/fetch_dynamics.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    family = FetchDynamics(robot_task=args.task, dynamics=args.dynamics, episodes=4)
    tasks = 4 if args.quick else args.tasks
    found = [learner(folder, tasks, args.seed, family) for folder in args.runs]
    options = {"task": args.task, "dynamics": args.dynamics, "tasks": tasks, "eval_seed": args.seed}
    publish("fetch_dynamics", {**options, "learners": found}, None if args.quick else args.out, unprinted=["learners"])


if __name__ == "__main__":
    main()
