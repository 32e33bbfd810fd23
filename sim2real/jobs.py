"""One piece of an evaluation, described so that any process can do it: which policy, which dynamics, which episodes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sim2real.collect import rollout
from sim2real.envs import DynamicsSet, FetchVectorEnv, make_vec
from sim2real.envs.variations import DynamicsChange
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


def evaluate_cells(cells: Mapping[Key, Cell], *, workers: int) -> dict[Key, Evaluation]:
    """Score every cell; the result does not depend on ``workers``."""
    parts = _run(_evaluate, list(cells.values()), workers)
    return {key: join(part, cell.episodes) for (key, cell), part in zip(cells.items(), parts, strict=True)}


def trace_cells(cells: Mapping[Key, Cell], *, workers: int) -> dict[Key, Trace]:
    """Watch the memory in every cell; the policies need one."""
    parts = _run(_trace, list(cells.values()), workers)
    return {key: join_traces(part, cell.episodes) for (key, cell), part in zip(cells.items(), parts, strict=True)}


def _run(work: Callable[[Job], list[Part]], cells: Sequence[Cell], workers: int) -> list[list[Part]]:
    """The parts of each cell, in order."""
    jobs = [
        Job(cell, first, min(CHUNK, cell.episodes - first))
        for cell in cells
        for first in range(0, cell.episodes, CHUNK)
    ]
    results = iter(run_jobs(work, jobs, workers=workers, size=lambda job: job.count))
    return [[part for _ in range(0, cell.episodes, CHUNK) for part in next(results)] for cell in cells]


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
