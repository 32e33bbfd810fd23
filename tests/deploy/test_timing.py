from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim2real.deploy.timing import Schedule, StepTimes


def test_a_loop_in_time_keeps_the_grid() -> None:
    schedule = Schedule(10.0, 0.5)
    assert [schedule.next(now) for now in (10.1, 10.6, 11.0)] == [10.5, 11.0, 11.5]
    assert schedule.skipped == 0


def test_a_slot_that_is_half_over_is_skipped_not_made_up_for() -> None:
    schedule = Schedule(0.0, 1.0)
    assert schedule.next(1.25) == 1.0  # a little late
    assert schedule.skipped == 0
    assert schedule.next(2.75) == 3.0  # slot 2 is lost
    assert schedule.skipped == 1
    assert schedule.next(10.0) == 10.0
    assert schedule.skipped == 7


@given(st.lists(st.floats(0, 5), max_size=20))
def test_steps_are_never_closer_than_half_a_period(work: list[float]) -> None:
    schedule, started = Schedule(0.0, 1.0), 0.0
    for seconds in work:
        following = max(schedule.next(started + seconds), started + seconds)
        assert following - started >= 0.5 - 1e-9
        started = following


def test_step_times_count_and_rank() -> None:
    times = StepTimes(0.1)
    for seconds in [0.01] * 98 + [0.06, 0.2]:
        times.add(seconds)
    summary = times.summary()
    assert (summary["steps"], summary["slow"], summary["overruns"]) == (100, 2, 1)
    assert abs(summary["p50_ms"] - 10) < 1e-9
    assert 60 < summary["p99_ms"] < 200
    assert times.warning().startswith("2 of 100 steps took more than half of the control period of 100 ms, 1 more")


def test_no_steps_and_no_worries() -> None:
    times = StepTimes(0.1)
    assert times.summary() == {"steps": 0, "overruns": 0, "slow": 0}
    times.add(0.049)
    assert times.warning() == ""
