"""Several runs as kinds of policy: runs that differ in nothing but their seed are seeds of one kind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim2real.config import ExperimentConfig, to_dict
from sim2real.errors import UserError


@dataclass(frozen=True)
class PolicyKind:
    """Policies that one recipe gave, one a seed."""

    name: str
    sources: tuple[Path, ...]
    """Run directories, one a seed; or one bundle."""
    task: str
    memory: str = ""
    """Memory of the policy as the configuration names it; empty for a bundle."""
    dynamics: str = ""
    """Set of dynamics it was trained on; empty for a bundle."""


def policy_kinds(
    runs: Sequence[tuple[Path, ExperimentConfig]], bundles: Sequence[tuple[Path, str]]
) -> list[PolicyKind]:
    """Kinds in the order in which they are first given.

    Args:
        runs: run directories with their configurations.
        bundles: exported policies with the names of their tasks; each is a kind of its own.

    Raises:
        UserError: the same seed of a kind is given twice, or the tasks differ, so that episodes would be no pairs.
    """
    groups: dict[str, list[tuple[Path, ExperimentConfig]]] = {}
    for run in runs:
        groups.setdefault(repr(_recipe(run[1])), []).append(run)
    kinds = [_kind(members) for members in groups.values()]
    kinds += [PolicyKind(folder.name, (folder,), task) for folder, task in bundles]
    tasks = {kind.task: kind.sources[0] for kind in kinds}
    if len(tasks) > 1:
        found = ", ".join(f"{folder} does {task}" for task, folder in tasks.items())
        raise UserError(f"policies of different tasks can't be paired: {found}; compare the tasks one by one")
    return _distinct(kinds)


def _kind(members: list[tuple[Path, ExperimentConfig]]) -> PolicyKind:
    seeds: dict[int, Path] = {}
    for folder, config in members:
        if config.seed in seeds:
            raise UserError(
                f"{seeds[config.seed]} and {folder} are the same configuration and seed {config.seed}: it would count "
                "twice; give one of them"
            )
        seeds[config.seed] = folder
    first, config = members[0]
    name = re.sub(r"_s\d+$", "", first.resolve().name)
    memory = getattr(config.agent, "memory", "")
    return PolicyKind(name, tuple(seeds.values()), config.env.task, memory, config.env.dynamics)


def _recipe(config: ExperimentConfig) -> dict[str, Any]:
    """What decides a policy apart from its seed: how long it was trained and by which dynamics the best was chosen, but
    neither where it was computed, nor how often it was looked at."""
    data = to_dict(config)
    env = {key: value for key, value in data["env"].items() if key != "threads"}
    return {
        "algorithm": data["algorithm"],
        "env": env,
        "agent": data["agent"],
        **{key: data["trainer"][key] for key in ("total_samples", "max_minutes", "eval_dynamics")},
    }


def _distinct(kinds: list[PolicyKind]) -> list[PolicyKind]:
    """The kinds under names of their own: a repeated one gets a number."""
    taken: list[str] = []
    for kind in kinds:
        names = (kind.name, *(f"{kind.name} ({k})" for k in range(2, len(kinds) + 1)))
        taken.append(next(name for name in names if name not in taken))
    return [
        PolicyKind(name, kind.sources, kind.task, kind.memory, kind.dynamics)
        for name, kind in zip(taken, kinds, strict=True)
    ]
