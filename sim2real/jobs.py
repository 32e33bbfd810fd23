"""One piece of an evaluation, described so that any process can do it: which policy, which dynamics, which episodes."""

from __future__ import annotations

import functools
import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sim2real.collect import rollout
from sim2real.envs import DynamicsSet, FetchVectorEnv, find, make_vec
from sim2real.envs.privileged import privileged
from sim2real.envs.variations import DynamicsChange
from sim2real.episode_store import EpisodeStore, digest
from sim2real.evaluate import Evaluation, join, summarise
from sim2real.memory import Disturbed, Intervention, Trace, Watched, join_traces
from sim2real.pool import run_jobs
from sim2real.sources import MAX_ENVS, open_policy
from sim2real.types import Policy

Key = TypeVar("Key", bound=Hashable)
Part = TypeVar("Part", Evaluation, Trace)
CHUNK = 4 * MAX_ENVS
"""Episodes of a job. A multiple of `MAX_ENVS`, so that a policy sees the batches that `sim2real evaluate` gives it."""


@dataclass(frozen=True)
class Cell:
    """One policy under one condition."""

    source: Path
    """Run directory or bundle."""
    task: str
    dynamics: DynamicsSet
    episodes: int
    seed: int
    """Which episodes: the same for every cell that is to be compared."""
    intervention: Intervention | None = None
    change: DynamicsChange | None = None


@dataclass(frozen=True)
class Job:
    """Episodes ``first ... first + count - 1`` of a cell."""

    cell: Cell
    first: int
    count: int


def evaluate_cells(
    cells: Mapping[Key, Cell], *, workers: int, store: EpisodeStore | None = None
) -> dict[Key, Evaluation]:
    """Score every cell; the result does not depend on ``workers``, nor on what ``store`` holds already."""
    jobs = _jobs(cells.values())
    found = [_stored(store, job) if store else None for job in jobs]
    missing = [job for job, parts in zip(jobs, found, strict=True) if not parts]
    there = sum(job.count for job in jobs) - sum(job.count for job in missing)
    if there:
        print(f"{there:,} episodes were there already", file=sys.stderr)

    def keep(job: Job, parts: list[Evaluation]) -> None:
        if store:
            store.put(_described(job), parts)

    new = iter(run_jobs(_evaluate, missing, workers=workers, size=lambda job: job.count, keep=keep) if missing else [])
    parts = iter([known or next(new) for known in found])
    return {key: join(_next_parts(cell, parts), cell.episodes) for key, cell in cells.items()}


def trace_cells(cells: Mapping[Key, Cell], *, workers: int) -> dict[Key, Trace]:
    """Watch the memory in every cell; the policies need one."""
    parts = iter(run_jobs(_trace, _jobs(cells.values()), workers=workers, size=lambda job: job.count))
    return {key: join_traces(_next_parts(cell, parts), cell.episodes) for key, cell in cells.items()}


def _jobs(cells: Iterable[Cell]) -> list[Job]:
    return [
        Job(cell, first, min(CHUNK, cell.episodes - first))
        for cell in cells
        for first in range(0, cell.episodes, CHUNK)
    ]


def _next_parts(cell: Cell, parts: Iterator[list[Part]]) -> list[Part]:
    """The parts of a cell, from those of all jobs in their order."""
    return [part for _ in range(0, cell.episodes, CHUNK) for part in next(parts)]


def _described(job: Job) -> dict[str, Any]:
    """What decides a job's episodes, but for the program."""
    cell, policy = job.cell, job.cell.source / "policy"
    own = Path(cell.task)  # an arm of one's own is a file
    return {
        "policy": digest(policy if policy.is_dir() else cell.source),
        "task": [cell.task, digest(own) if own.is_file() else ""],
        "dynamics": cell.dynamics.to_dict(),
        "together": min(cell.episodes, MAX_ENVS),
        "disturbed": [repr(cell.intervention), repr(cell.change)],
        "episodes": [cell.seed, job.first, job.count],
    }


def _stored(store: EpisodeStore, job: Job) -> list[Evaluation] | None:
    task = find(job.cell.task)
    return store.get(_described(job), task.spec(privileged(task).names), job.cell.seed)


def _evaluate(job: Job) -> list[Evaluation]:
    env, policy = _prepared(job)
    if job.cell.intervention:
        policy = Disturbed(policy, job.cell.intervention)
    batches = range(0, job.count, env.num_envs)
    return [summarise(rollout(env, policy, deterministic=True), env.task, seed=job.cell.seed) for _ in batches]


def _trace(job: Job) -> list[Trace]:
    env, policy = _prepared(job)
    watched, traces = Watched(policy), []
    for _ in range(0, job.count, env.num_envs):
        rollout(env, watched, deterministic=True)
        traces.append(watched.trace())
    return traces


def _prepared(job: Job) -> tuple[FetchVectorEnv, Policy]:
    cell = job.cell
    env = _env(cell.task, min(cell.episodes, MAX_ENVS), cell.dynamics)
    env.change = cell.change
    env.load_state_dict({"seed": cell.seed, "next_episode": job.first})
    return env, _policy(cell.source)


def _env(task: str, num_envs: int, dynamics: DynamicsSet) -> FetchVectorEnv:
    """The last one again if it is the same: jobs of one condition follow each other, and environments take memory."""
    global _last
    key = (task, num_envs, dynamics)
    if _last is None or _last[0] != key:
        _last = key, make_vec(task, num_envs, dynamics, threads=1, held_out=True)
    return _last[1]


_last: tuple[tuple[str, int, DynamicsSet], FetchVectorEnv] | None = None


@functools.lru_cache(maxsize=8)
def _policy(source: Path) -> Policy:
    return open_policy(source)[0]
