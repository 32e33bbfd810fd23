"""Policies of families of tasks as bundles: RL² as it was trained, and a policy that was adapted to one task.

What is told of a bundle's success is measured by playing it, through the runner and the safety filter, in the family.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim2real.agents.decisions import decision_of
from sim2real.agents.rl2_deployed import OUTCOME, TrialPolicy
from sim2real.agents.rl2_networks import RL2Policy
from sim2real.agents.trials import Encoder, play
from sim2real.bundle_documents import About
from sim2real.bundle_evaluation import Watch, entries
from sim2real.config import build
from sim2real.deploy import Bundle
from sim2real.domains import ExportRequest
from sim2real.export import export_policy
from sim2real.exportable import ExportablePolicy, ExportError
from sim2real.golden import least_episodes
from sim2real.meta_rl_domain import FamilyConfig, draw_tasks, make_family, scores_of
from sim2real.meta_rl_types import FamilySpec, Interface, TaskFamily, interface_of
from sim2real.types import FloatArray, Term

SEED = 0
"""Of the tasks that bundles are evaluated on: those of `sim2real evaluate`, unless told otherwise."""


def export_trained(request: ExportRequest) -> Path:
    """Write an RL² policy as a bundle.

    Raises:
        ExportError: the policy adapts by gradient steps, or the bundle computes something else than torch.
    """
    policy, meta = request.policy, request.meta
    if not isinstance(policy, RL2Policy):
        raise ExportError(
            f"{meta['algorithm']} adapts to a task by gradient steps, so there is a policy to export only once it has "
            "met one: sim2real adapt RUN --export DIR"
        )
    family = make_family(build(FamilyConfig, meta["env"], "env"))
    interface, episodes = interface_of(family), family.task.episodes
    about = About(
        trained={**request.trained, "dynamics": interface.dynamics},
        delays=interface.delays,
        episodes=episodes,
        simulated=False,
        notes={"Trials": _trials_note(family.task), "Decisions": _decisions_note(family.task)},
    )
    measure = functools.partial(_measure_trials, family, request.episodes)
    return export_policy(
        request.out,
        TrialPolicy(policy, interface),
        meta,
        about=about,
        readings=functools.partial(_trial_readings, policy, family),
        measure=measure if request.episodes else None,
    )


# ---- what is read ----------------------------------------------------------------------------------------------------


def _trial_readings(policy: RL2Policy, family: TaskFamily, exported: ExportablePolicy) -> FloatArray:
    """What the policy reads in whole trials in tasks of the family, see `golden.Readings`."""
    tasks, luck = draw_tasks(family, least_episodes(exported.spec.horizon), SEED)
    read: FloatArray = _readings(policy.play(family, tasks, luck, mode=True).inputs, family.task).numpy()
    return read


def _readings(inputs: Tensor, task: FamilySpec) -> Tensor:
    """Observation and outcome of what `trials.Encoder` makes: [..., I] -> [..., D + 2]."""
    outcome = task.observation + task.action
    return torch.cat([inputs[..., : task.observation], inputs[..., outcome : outcome + len(OUTCOME.elements)]], -1)


# ---- what it achieves ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Player:
    """A bundle where a policy is expected that plays trials; its outputs are actions in [-1, 1]."""

    watch: Watch
    task: FamilySpec

    def initial_state(self, n: int) -> Any:
        return self.watch.initial_state(n)

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        readings = _readings(inputs, self.task).numpy()
        action, state = self.watch.act(self._by_term(readings), state, deterministic=True)
        return torch.from_numpy(action), state

    def _by_term(self, readings: FloatArray) -> dict[str, FloatArray]:
        """Columns by the name of their term; the outcome, which comes last, need not be among them."""
        terms: list[Term] = [term for term in self.watch.bundle.contract.terms if term.source != "feedback"]
        ends = np.cumsum([len(term.elements) for term in terms])
        return {term.name: part for term, part in zip(terms, np.split(readings, ends, 1), strict=False)}


def _measure_trials(family: TaskFamily, tasks: int, bundle: Bundle) -> dict[str, Any]:
    """Entries of the contract: returns of ``tasks`` trials, each in a task of its own."""
    drawn, luck = draw_tasks(family, tasks, SEED)
    watch, episodes = Watch(bundle), family.task.episodes
    outcomes = _played(watch, family, drawn, luck, episodes)
    what = f"trials of {episodes} episodes in {tasks} tasks that training did not see (those of seed {SEED})"
    return entries(watch, scores_of(outcomes).summary(), _how(what, "tasks", tasks))


def _played(
    watch: Watch, family: TaskFamily, tasks: Tensor, luck: torch.Generator, episodes: int
) -> Mapping[str, Mapping[str, Tensor]]:
    """Outcomes of a bundle's trials, one in each of the tasks."""
    env = family.batch(tasks, 1, luck)
    player, encode = _Player(watch, family.task), Encoder(family.task, transition=False)
    return play(player, env, encode, episodes, decision_of(family.task).taken).outcomes(episodes)


def _how(what: str, unit: str, n: int) -> dict[str, Any]:
    return {"what": what, "columns": ["setting", unit], "seed": SEED, "episodes": n}


# ---- what is told ----------------------------------------------------------------------------------------------------


def _trials_note(task: FamilySpec) -> str:
    return f"""What this policy has learned of a task is in its memory, and nowhere else. A trial is {task.episodes} episodes of
{task.horizon} steps in one task. Call `reset()` when the task changes, **between trials and not between the episodes
of one**: a reset in between makes it a beginner again.

- `previous_reward` is what the step before was paid, in the family's own unit; `previous_done` is 1 if the step before
  ended its episode, the end of its time included, else 0. Both are 0 at the first step after a reset. In the first step
  of a later episode they are those of the last step of the episode before.
- The action before is the runner's business. It reads what was sent, within the limits; in training it was what the
  policy asked for.
- An episode that ends before its {task.horizon} steps stayed where it was in training: the same observation, reward 0 and
  `previous_done` 1 until they were over. Do the same here.
- Whoever drives it with an `EpisodicRobot` has to take a whole trial for an episode: the loop resets at each."""


def _decisions_note(task: FamilySpec) -> str:
    if task.action_kind == "discrete":
        return f"""The action is one of {task.action} choices: 1 in its place, 0 elsewhere. It is the most likely one (argmax); in training,
choices were drawn. Limits, rate limit, ramp and low-pass of the safety filter make no sense of choices: run it without
(`ramp_steps: 0`)."""
    return "The action is the mean of the policy's distribution, cut to the limits; in training, actions were drawn."
