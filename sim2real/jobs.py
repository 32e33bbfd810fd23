"""One piece of an evaluation, described so that any process can do it: which policy, which dynamics, which episodes."""

from __future__ import annotations

import functools
import hashlib
import itertools
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import mujoco
import numpy as np

from sim2real.collect import rollout
from sim2real.envs import DynamicsSet, FetchVectorEnv, find, make_vec
from sim2real.envs.privileged import privileged
from sim2real.envs.variations import DynamicsChange
from sim2real.episode_store import EpisodeStore, digest
from sim2real.evaluate import Evaluation, join, summarise
from sim2real.memory import Disturbed, Intervention, Trace, Watched, join_traces
from sim2real.pool import run_jobs
from sim2real.sources import MAX_ENVS, open_policy
from sim2real.types import Policy, TaskSpec

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
    parts = iter(_compute_missing(jobs, workers, store) if store else _compute(jobs, workers))
    return {key: join(_next_parts(cell, parts), cell.episodes) for key, cell in cells.items()}


def _compute(
    jobs: list[Job], workers: int, keep: Callable[[int, list[Evaluation]], None] | None = None
) -> list[list[Evaluation]]:
    return run_jobs(_evaluate, jobs, workers=workers, size=lambda job: job.count, keep=keep)


def _compute_missing(jobs: list[Job], workers: int, store: EpisodeStore) -> list[list[Evaluation]]:
    """The parts of all jobs; those that ``store`` does not hold are computed, and kept there as they come."""
    names = _described(jobs)
    found = [store.get(name, _spec(job.cell.task), job.cell.seed) for job, name in zip(jobs, names, strict=True)]
    missing = [k for k, parts in enumerate(found) if parts is None]
    there = sum(job.count for job, parts in zip(jobs, found, strict=True) if parts is not None)
    if there:
        print(f"{there:,} episodes were there already", file=sys.stderr)
    left = [jobs[k] for k in missing]
    new = _compute(left, workers, lambda index, parts: store.put(names[missing[index]], parts)) if left else []
    computed = iter(new)
    return [next(computed) if parts is None else parts for parts in found]


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


def _described(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """What decides the episodes of each job, but for the program."""
    groups = itertools.groupby(jobs, key=lambda job: id(job.cell))
    return [
        about | {"episodes": [job.cell.seed, job.first, job.count]}
        for group in (list(group) for _, group in groups)
        for about in [_about(group[0].cell)]
        for job in group
    ]


def _about(cell: Cell) -> dict[str, Any]:
    policy, own = cell.source / "policy", Path(cell.task)  # an arm of one's own is a file
    return {
        "policy": digest(policy if policy.is_dir() else cell.source),
        "task": [cell.task, digest(own) + _model_digest(cell.task) if own.is_file() else ""],
        "dynamics": cell.dynamics.to_dict(),
        "together": min(cell.episodes, MAX_ENVS),
        "disturbed": [repr(cell.intervention), repr(cell.change)],
    }


def _model_digest(task: str) -> str:
    """Of the compiled model, whatever files, meshes and includes it was made of."""
    model = find(task).initial().model
    content = np.zeros(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, content)
    return hashlib.sha256(content.tobytes()).hexdigest()


@functools.cache
def _spec(task: str) -> TaskSpec:
    found = find(task)
    return found.spec(privileged(found).names)


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
