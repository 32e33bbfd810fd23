"""Independent jobs on local processes, with progress. The results do not depend on how many processes there are.

Processes are spawned, not forked: torch's and MuJoCo's threads would not survive a fork. Each computes on one thread.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from sim2real.errors import UserError
from sim2real.progress import counting

Job = TypeVar("Job")
Result = TypeVar("Result")
AHEAD = 2
"""Jobs handed out for each process: one at work and one waiting."""


def run_jobs(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    size: Callable[[Job], int],
    unit: str = "episodes",
    keep: Callable[[int, Result], None] | None = None,
) -> list[Result]:
    """``[work(job) for job in jobs]`` on ``workers`` processes; progress goes to stderr.

    Args:
        work: function of a module, so that another process can import it; it must not depend on jobs before.
        jobs: picklable descriptions.
        workers: at least 1; with 1 everything happens in this process.
        size: what a job adds to the progress, in ``unit``.
        unit: what progress counts.
        keep: told of every result as it comes, by the number of its job.

    Raises:
        UserError: a process ended before its job did (killed, or out of memory).
    """
    done = 0
    results: dict[int, Result] = {}
    with counting(sum(map(size, jobs)), unit) as progress, Workers(min(workers, len(jobs))) as pool:
        for index, result in pool.completed(work, jobs):
            results[index] = result
            if keep is not None:
                keep(index, result)
            done += size(jobs[index])
            progress(done)
    return [results[index] for index in range(len(jobs))]


class Workers:
    """Processes that stay for the next jobs; with one, everything happens in this process. Close them at the end.

    With ``shielded``, Ctrl-C is for this process alone: jobs at work are finished, and it can stop in an orderly way.
    """

    def __init__(self, workers: int, *, shielded: bool = False) -> None:
        self.workers = workers
        self._start = _shielded_thread if shielded else _one_thread
        self._pool: ProcessPoolExecutor | None = None

    def completed(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[int, Result]]:
        """(number, result) of each job as it is done; the other terms are those of `run_jobs`."""
        if self.workers <= 1:
            _one_thread()
            for index, job in enumerate(jobs):
                yield index, work(job)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.workers, get_context("spawn"), self._start)
        waiting = iter(range(len(jobs)))
        running: dict[Future[Result], int] = {}
        finished = False
        try:
            while True:
                for index in itertools.islice(waiting, AHEAD * self.workers - len(running)):
                    running[self._pool.submit(work, jobs[index])] = index
                if not running:
                    finished = True
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool:
            raise UserError(
                f"one of {self.workers} worker processes was killed; out of memory? Give fewer --workers"
            ) from None
        finally:
            if not finished:  # jobs of a caller that has left must not run before the next ones
                self.close()

    def close(self) -> None:
        """End the processes; jobs that have not begun are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _shielded_thread() -> None:
    # A terminal sends Ctrl-C to all processes of a command.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _one_thread()


def _one_thread() -> None:
    """Libraries read their number of threads when they are imported; torch, once imported, is told."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
