"""A policy that was adapted to one task, as a bundle that says from which run, by what, and to which task."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sim2real.agents.adaptation import AdaptivePolicy
from sim2real.agents.mlp_deployed import TaskPolicy
from sim2real.bundle_documents import About, trained_with
from sim2real.bundle_evaluation import Watch, entries
from sim2real.deploy import Bundle
from sim2real.export import export_policy
from sim2real.exportable import ExportablePolicy, ExportError
from sim2real.golden import least_episodes
from sim2real.meta_rl_domain import draw_tasks, family_of, scores_of
from sim2real.meta_rl_export import interface_note
from sim2real.meta_rl_types import Parameters, TaskFamily, interface_of
from sim2real.played_bundles import play_bundle
from sim2real.scores import Scores
from sim2real.seeding import torch_generator
from sim2real.types import FloatArray


@dataclass(frozen=True)
class _Adapted:
    """A policy and the one task that it has met."""

    policy: AdaptivePolicy
    family: TaskFamily
    task: Tensor
    """[1, ...]"""
    parameters: Parameters
    """After the last gradient step, with a leading axis of one task."""
    seed: int
    episodes: int
    """Before each gradient step, and in each measurement."""


def export_adapted(
    policy: Any, meta: Mapping[str, Any], run_dir: Path, out: Path, *, episodes: int | None, seed: int
) -> Scores:
    """Adapt to one task, write what came of it as a bundle to ``out``, and return how the adaptation went.

    Args:
        policy: of the run, on the CPU.
        meta: the content of its ``policy.json``.
        run_dir: the run.
        out: folder of the bundle.
        episodes: of the task that it sees before each gradient step; None: as the run says.
        seed: which task, and the luck in it.

    Raises:
        ExportError: the policy adapts without gradient steps, or the bundle computes something else than torch.
    """
    if not isinstance(policy, AdaptivePolicy):
        raise ExportError(
            f"{meta['algorithm']} adapts with its memory, while it acts: there is nothing to adapt before. Export it "
            "as it is: sim2real export RUN --out DIR"
        )
    family = family_of(meta)
    task, luck = draw_tasks(family, 1, seed)
    outcomes, parameters = policy.fit(family, task, luck, episodes=episodes)
    scores = scores_of(outcomes)
    adapted = _Adapted(policy, family, task, parameters, seed, episodes or policy.test.rollouts)
    interface = interface_of(family)
    facts = _facts(adapted, scores, run_dir)
    about = About(
        trained={**trained_with(run_dir), "dynamics": interface.dynamics, "adapted": facts},
        delays=interface.delays,
        simulated=interface.simulated,
        notes={"Adaptation": _note(facts), "Interface": interface_note(family.task, interface)},
    )
    export_policy(
        out,
        TaskPolicy(policy.adapted(parameters, 0), family.task, interface),
        meta,
        about=about,
        readings=functools.partial(_episodes_read, adapted),
        measure=functools.partial(_measure, adapted),
    )
    return scores


def _episodes_read(adapted: _Adapted, exported: ExportablePolicy) -> FloatArray:
    """Observations of the adapted policy's own episodes in the task, see `golden.Readings`."""
    luck, n = torch_generator(adapted.seed, "golden rollouts"), least_episodes(exported.spec.horizon)
    played = adapted.policy.rollout(adapted.family, adapted.task, n, adapted.parameters, luck)
    observations: FloatArray = played.observation[0].numpy()
    return observations


def _measure(adapted: _Adapted, bundle: Bundle) -> dict[str, Any]:
    """Entries of the contract: returns of the bundle in the task, in episodes that it was not adapted with."""
    watch, n = Watch(bundle), adapted.episodes
    tasks = adapted.task.expand(n, *adapted.task.shape[1:])
    luck = torch_generator(adapted.seed, "bundle rollouts")
    outcomes = {"adapted": play_bundle(watch, adapted.family, tasks, luck, episodes=1)["trial"]}
    what = f"{n} episodes in the task that it was adapted to, and in no other"
    how = {"what": what, "columns": ["setting", "episodes"], "seed": adapted.seed, "episodes": n}
    return entries(watch, scores_of(outcomes).summary(), how)


# ---- provenance ------------------------------------------------------------------------------------------------------


def _facts(adapted: _Adapted, scores: Scores, run_dir: Path) -> dict[str, Any]:
    """What the contract says of the adaptation."""
    names, parameters = interface_of(adapted.family).parameters, adapted.task[0].tolist()
    returns = {setting: float(metrics["return"][0]) for setting, metrics in scores.values.items()}
    return {
        "run": run_dir.resolve().name,
        "task": {
            "family": adapted.family.task.name,
            "seed": adapted.seed,
            "parameters": dict(zip(names, parameters, strict=True)) if names else parameters,
        },
        "steps": len(adapted.policy.test.rates),
        "rates": list(adapted.policy.test.rates),
        "episodes_of_a_step": adapted.episodes,
        "return": returns,
    }


def _note(facts: Mapping[str, Any]) -> str:
    task, returns = facts["task"], facts["return"]
    rates = ", ".join(f"{rate:g}" for rate in facts["rates"])
    (before, *_, after) = returns.values()
    return f"""This policy is for **one task**: that of seed {task["seed"]} in the family {task["family"]}. The
task's parameters are `{json.dumps(task["parameters"])}`.

It comes from the run {facts["run"]}, adapted by {facts["steps"]} gradient steps (sizes {rates}), each on
{facts["episodes_of_a_step"]} episodes. Mean return of as many episodes, with actions drawn as in training:
{before:.4g} before the first step, {after:.4g} after the last. For another task, adapt the run again:
`sim2real adapt RUN --export DIR --seed S`."""
