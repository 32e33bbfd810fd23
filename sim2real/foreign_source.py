"""Models of other libraries on the command line: which environment they meet, and the policy that comes of both."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from sim2real.envs import TASKS, fetch, find, id_of, is_task
from sim2real.errors import UserError
from sim2real.foreign_env import ForeignVectorEnv, make
from sim2real.foreign_interface import Interface, Place, interface_of
from sim2real.types import Term

if TYPE_CHECKING:
    from sim2real.foreign import ForeignModel
    from sim2real.foreign_policy import ForeignPolicy


@dataclass(frozen=True)
class ForeignOptions:
    """What has to be said about a model of another library; nothing of it about our own."""

    env: str | None = None
    """Id of the environment it was trained in."""
    trust: bool = False
    """Whether its pickles may be loaded."""
    vec_normalize: Path | None = None
    """What ``VecNormalize.save`` wrote."""

    def refuse(self, source: Path) -> None:
        """Raise ``UserError`` if anything is given: ``source`` is ours."""
        given = {"--env": self.env, "--trust": self.trust, "--vec-normalize": self.vec_normalize}
        names = [name for name, value in given.items() if value]
        if names:
            raise UserError(f"{', '.join(names)}: only for models of other libraries (a .zip); {source} is a folder")


def open_foreign(path: Path, options: ForeignOptions) -> tuple[ForeignPolicy, str, ForeignModel]:
    """The policy in ``path``, the name of its task (of ours, or an id of gymnasium's), and the model it came from.

    Raises ``UserError`` where it is no zip or no environment is given, and what `sim2real.foreign` raises.
    """
    from sim2real.foreign import load_model
    from sim2real.foreign_policy import foreign_policy

    if not zipfile.is_zipfile(path):
        raise UserError(f"{path} is neither a folder (a run, a bundle) nor a model of stable-baselines3 (a zip)")
    if options.env is None:
        raise UserError(f"{path}: say which environment it was trained in: --env ID, such as FetchReach-v4")
    task = task_of(options.env)
    model = load_model(path, trust=options.trust, vec_normalize=options.vec_normalize)
    return foreign_policy(model, interface(task)), task, model


def task_of(env_id: str) -> str:
    """``FetchPush``, ``sim2real/FetchPush-v0`` and gymnasium-robotics' ``FetchPush-v4``, of which ours is a bit-equal
    copy with dynamics -> ``FetchPush``. Any other id stays what it is."""
    names = {known: name for name in TASKS for known in (name, id_of(name))}
    names |= {task.reference: name for name, task in fetch.TASKS.items()}
    return names.get(env_id, env_id)


def interface(task: str) -> Interface:
    """What a model meets in a task of ours, or in an environment of gymnasium. Raises ``UserError`` for unknown ids."""
    if not is_task(task):
        env = make(task)
        try:
            return interface_of(task, env)
        finally:
            env.close()
    definition = find(task)
    spec = definition.spec(())
    terms = Term("observation", "sensor", spec.observation), Term("desired_goal", "command", spec.goal)
    entries = {term.name: Place(term.name, 0, len(term.elements)) for term in terms}
    # The simulator's achieved goal knows neither noise nor delay; a policy gets what was measured, as on a robot.
    entries["achieved_goal"] = Place("observation", definition.measured_goal.start, definition.measured_goal.stop)
    limits: Any = np.ones(len(spec.action), np.float32)
    return Interface(spec, terms, entries, spaces.Box(-limits, limits))


def make_foreign_env(env_id: str, dynamics: str, num_envs: int) -> ForeignVectorEnv:
    """An environment of gymnasium; it has one set of dynamics, its own. Raises ``UserError`` for others."""
    if dynamics != "nominal":
        raise UserError(
            f"{env_id} has no dynamics {dynamics!r}: only the tasks of sim2real have sets of dynamics (see `sim2real "
            "list`); give --dynamics nominal"
        )
    return ForeignVectorEnv(env_id, num_envs)
