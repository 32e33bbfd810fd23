"""What the arguments of commands name: a policy in a run, a bundle or a zip, and the environments of its task.

Imports stay inside the functions: what needs no torch should start without it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim2real.errors import UserError
from sim2real.types import GoalVectorEnv, Policy

if TYPE_CHECKING:
    from sim2real.foreign_source import ForeignOptions

DYNAMICS = ("nominal", "train", "unseen")
"""What a policy is evaluated under if nothing else is said; tasks of other libraries have only the first."""
MAX_ENVS = 16
"""Environments that an evaluation steps together; its result does not depend on it."""


def open_policy(source: Path, foreign: ForeignOptions | None = None) -> tuple[Policy, str]:
    """The policy in a run directory (the best one), a bundle or a model of another library, and the name of its task:
    one of ours, or an id of gymnasium's."""
    from sim2real.foreign_source import interface, open_foreign

    if foreign is not None and source.is_file():
        policy, task, _ = open_foreign(source, foreign)
        return policy, task
    if source.is_file():
        raise UserError(
            f"{source} is a file; give a run directory or a bundle. A model of stable-baselines3 becomes one: "
            f"sim2real export {source} --trust --env ID --out BUNDLE"
        )
    if not source.is_dir():
        raise UserError(f"there is no file or folder {str(source)!r}; give a run directory or an exported bundle")
    if foreign is not None:
        foreign.refuse(source)
    if (source / "config.yaml").exists():
        from sim2real.runs import check_trained_on, load_policy, read_config

        read_config(source)  # says so if the run is about something else
        module, meta = load_policy(source)
        check_trained_on(source, meta["task"], interface(meta["task"]["name"]).task)
        trained: Any = module
        return trained, meta["task"]["name"]
    from sim2real.deploy import BundlePolicy, check_simulated, check_task, load_bundle

    bundle = load_bundle(source)
    check_simulated(bundle.contract)
    check_task(bundle.contract, interface(bundle.contract.task).task)
    return BundlePolicy(bundle), bundle.contract.task


def default_place(source: Path, in_run: str, suffix: str) -> Path:
    """Where what a command makes of a policy goes by default: into a run, but beside a bundle, which holds its own
    files and nothing else."""
    folder = source.resolve()
    return source / in_run if (source / "config.yaml").is_file() else folder.with_name(f"{folder.name}{suffix}")


def dynamics_of(task: str, dynamics: Sequence[str] | None) -> Sequence[str]:
    """What was asked for; else all that the task has."""
    from sim2real.envs import is_task

    return dynamics or (DYNAMICS if is_task(task) else DYNAMICS[:1])


def make_env(
    task: str, dynamics: str, episodes: int, threads: int | None = None, held_out: bool = True
) -> GoalVectorEnv:
    """Environments of a task of ours, or of an id of gymnasium's."""
    from sim2real.envs import is_task, make_vec
    from sim2real.foreign_source import make_foreign_env

    num_envs = min(episodes, MAX_ENVS)
    if not is_task(task):
        return make_foreign_env(task, dynamics, num_envs)
    return make_vec(task, num_envs, dynamics, threads=threads or os.cpu_count() or 1, held_out=held_out)


def refuse_dynamics(source: Path, dynamics: Sequence[str] | None) -> None:
    """Raise ``UserError`` where sets of dynamics are given for what has none."""
    if dynamics:
        raise UserError(f"--dynamics is for policies of robot tasks; {source} is scored on unseen tasks")


def check_episodes(episodes: int, seed: int) -> None:
    """Raise ``UserError`` for numbers that no evaluation has."""
    for option, value, least in (("--episodes", episodes, 1), ("--seed", seed, 0)):
        if value < least:
            raise UserError(f"{option} has to be at least {least}, got {value}")
