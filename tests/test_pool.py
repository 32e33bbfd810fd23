from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from sim2real.errors import UserError
from sim2real.pool import Workers, run_jobs


def square(x: int) -> tuple[int, int]:
    return x * x, os.getpid()


def threads(_: int) -> int:
    import torch

    return torch.get_num_threads()


def die(_: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def mistake(x: int) -> int:
    raise UserError(f"job {x} is a mistake")


def interrupt_and_go_on(x: int) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return x


def one(_: Any) -> int:
    return 1


def test_results_come_in_the_order_of_the_jobs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sim2real.progress.QUIET_SECONDS", 0.0)
    jobs = [3, 1, 2, 5, 4, 0]
    here, there = run_jobs(square, jobs, workers=1, size=one), run_jobs(square, jobs, workers=2, size=one)
    assert [value for value, _ in here] == [value for value, _ in there] == [9, 1, 4, 25, 16, 0]
    assert {process for _, process in here} == {os.getpid()}
    assert os.getpid() not in {process for _, process in there}
    out, err = capsys.readouterr()
    assert out == "" and "/6 episodes" in err


def test_every_process_computes_on_one_thread() -> None:
    assert run_jobs(threads, [0, 1], workers=2, size=one) == [1, 1]


def test_a_killed_worker_is_a_clear_error() -> None:
    with pytest.raises(UserError, match="one of 2 worker processes was killed"):
        run_jobs(die, [0, 1, 2], workers=2, size=one)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_job_is_the_callers(workers: int) -> None:
    with pytest.raises(UserError, match="job 7 is a mistake"):
        run_jobs(mistake, [7, 7], workers=workers, size=one)


def test_no_jobs_have_no_results() -> None:
    assert run_jobs(square, [], workers=3, size=one) == []


def test_workers_stay_for_the_next_jobs_and_begin_anew_after_a_caller_that_left() -> None:
    with Workers(2) as pool:
        first = {process for _, (_, process) in pool.completed(square, [1, 2, 3, 4])}
        again = dict(pool.completed(square, [5, 6]))
        assert [again[k][0] for k in (0, 1)] == [25, 36]
        assert {process for _, process in again.values()} <= first
        with pytest.raises(UserError, match="job 7 is a mistake"):
            list(pool.completed(mistake, [7, 7, 7, 7, 7, 7]))
        assert dict(pool.completed(square, [8]))[0][0] == 64


def test_shielded_workers_finish_their_jobs_when_the_terminal_interrupts() -> None:
    with Workers(2, shielded=True) as pool:
        assert dict(pool.completed(interrupt_and_go_on, [1, 2])) == {0: 1, 1: 2}
