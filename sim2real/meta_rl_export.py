"""RL² as a bundle: proved on whole trials, measured in tasks that training did not see."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from sim2real.agents.rl2_deployed import TrialPolicy
from sim2real.agents.rl2_networks import RL2Policy
from sim2real.bundle_documents import About
from sim2real.bundle_evaluation import Watch, entries
from sim2real.deploy import Bundle
from sim2real.domains import ExportRequest
from sim2real.export import export_policy
from sim2real.exportable import ExportablePolicy, ExportError
from sim2real.golden import least_episodes
from sim2real.meta_rl_domain import draw_tasks, family_of, scores_of
from sim2real.meta_rl_types import FamilySpec, Interface, TaskFamily, interface_of
from sim2real.played_bundles import play_bundle, trial_readings
from sim2real.types import FloatArray

SEED = 0
"""Of the tasks that bundles are evaluated on: those of `sim2real evaluate`, unless it is told otherwise."""


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
    family = family_of(meta)
    interface = interface_of(family)
    about = About(
        trained={**request.trained, "dynamics": interface.dynamics},
        delays=interface.delays,
        episodes=family.task.episodes,
        simulated=False,
        notes={"Trials": _trials_note(family.task), "Interface": interface_note(family.task, interface)},
    )
    return export_policy(
        request.out,
        TrialPolicy(policy, interface),
        meta,
        about=about,
        readings=functools.partial(_trials_read, policy, family),
        measure=functools.partial(_measure, family, request.episodes) if request.episodes else None,
    )


def _trials_read(policy: RL2Policy, family: TaskFamily, exported: ExportablePolicy) -> FloatArray:
    """What the policy reads in whole trials in tasks of the family, see `golden.Readings`."""
    tasks, luck = draw_tasks(family, least_episodes(exported.spec.horizon), SEED)
    return trial_readings(policy.play(family, tasks, luck, mode=True).inputs, family.task)


def _measure(family: TaskFamily, tasks: int, bundle: Bundle) -> dict[str, Any]:
    """Entries of the contract: returns of ``tasks`` trials, each in a task of its own."""
    drawn, luck = draw_tasks(family, tasks, SEED)
    watch, episodes = Watch(bundle), family.task.episodes
    outcomes = play_bundle(watch, family, drawn, luck, episodes=episodes)
    what = f"trials of {episodes} episodes in {tasks} tasks that training did not see (those of seed {SEED})"
    how = {"what": what, "columns": ["setting", "tasks"], "seed": SEED, "episodes": tasks}
    return entries(watch, scores_of(outcomes).summary(), how)


# ---- what the card says ----------------------------------------------------------------------------------------------

_DECISIONS = {
    "discrete": """Actions are choices: 1 in the place of the one that was made, 0 elsewhere. It is the most likely one
(argmax); in training, choices were drawn. A ramp, rate limits or a low-pass of the safety filter make no sense of them:
give it `{"ramp_steps": 0}`.""",
    "gaussian": "Actions are the mean of the policy's distribution, cut to the limits; in training, they were drawn.",
}
_NUMBERED = """
Elements are numbered in the order of the family's observations. A step of this family has no duration; it counts as a
second here."""


def _trials_note(task: FamilySpec) -> str:
    return f"""What this policy has learned of a task is in its memory, and nowhere else. A trial is
{task.episodes} episodes of {task.horizon} steps in one task. Call `reset()` when the task changes: **between trials,
not between the episodes of one**. A reset in between makes it a beginner again.

- `previous_reward` is what the step before was paid, in the family's unit; `previous_done` is 1 if that step ended its
  episode, by the end of its time too, else 0. Both are 0 at the first step after a reset. At the first step of a later
  episode they are those of the last step of the episode before.
- In training, an episode that ended before its last step stayed where it was until then: the same observation, reward
  0 and `previous_done` 1. Step through the rest in the same way.
- The action before is the runner's business. It reads what was sent, which lies within the limits; in training it was
  what the policy had asked for.
- To a loop with episodes (`EpisodicRobot`) the whole trial is one: it resets the policy at the beginning of each."""


def interface_note(task: FamilySpec, interface: Interface) -> str:
    """How actions come about, and what names and times mean where a family has none."""
    told = interface.terms[0].source == "task"
    return "\n".join([_DECISIONS[task.action_kind], *([_NUMBERED] if told else [])])
