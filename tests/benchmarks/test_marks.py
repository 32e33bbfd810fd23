from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marks import Range, best, first_at, median_reached, reached, times_faster


def curve(*successes: float) -> dict[str, Any]:
    """Success after 1000, 2000, ... samples and 10, 20, ... seconds; the run ended 5 seconds and 500 samples later."""
    points = [
        {"samples": 1000 * k, "seconds": 10.0 * k, "success": success} for k, success in enumerate(successes, start=1)
    ]
    return {"points": points, "samples": 1000 * len(points) + 500, "seconds": 10.0 * len(points) + 5}


def test_a_mark_is_reached_at_the_first_point_that_is_not_below_it() -> None:
    found = first_at(curve(0.1, 0.9, 0.4, 0.95)["points"], 0.9)
    assert found is not None and found["seconds"] == 20.0
    assert first_at(curve(0.1, 0.89)["points"], 0.9) is None


def test_a_run_that_never_reached_a_mark_is_bounded_below_by_its_end() -> None:
    assert reached(curve(0.1, 0.6), 0.5, "samples") == Range(2000, 2000)
    assert reached(curve(0.1, 0.6), 0.9, "seconds") == Range(25.0, math.inf)


def test_the_median_stays_exact_while_the_missing_runs_are_the_slower_half() -> None:
    fast, slow, never = curve(0.9), curve(0.0, 0.0, 0.9), curve(0.0, 0.0, 0.0, 0.0)
    assert median_reached([fast, slow, never], 0.9, "seconds") == Range(30.0, 30.0)
    assert median_reached([fast, never, never], 0.9, "seconds") == Range(45.0, math.inf)
    # One that was stopped early may have been the faster one: 15 s or later, so the median is in [15, 30].
    assert median_reached([fast, slow, curve(0.0)], 0.9, "seconds") == Range(15.0, 30.0)


def test_times_faster() -> None:
    assert times_faster(Range(10, 10), Range(50, 50)) == Range(5, 5)
    assert times_faster(Range(10, 10), Range(90, math.inf)) == Range(9, math.inf)
    assert times_faster(Range(30, math.inf), Range(60, 60)) == Range(0, 2)
    assert times_faster(Range(30, math.inf), Range(60, math.inf)) == Range(0, math.inf)
    assert Range(0, math.inf).to_json() == [0.0, None]


def test_the_best_of_several_is_no_later_than_any() -> None:
    assert best([Range(50, 50), Range(20, math.inf)]) == Range(20, 50)


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=5), min_size=1, max_size=5), st.floats(0, 1))
def test_ranges_are_ordered_whatever_the_curves(successes: list[list[float]], mark: float) -> None:
    found = median_reached([curve(*values) for values in successes], mark, "seconds")
    assert found.low <= found.high
    ratio = times_faster(found, Range(10, 10))
    assert ratio.low <= ratio.high


@pytest.mark.parametrize("mark", [0.5, 0.9])
def test_a_higher_mark_is_never_reached_earlier(mark: float) -> None:
    assert reached(curve(0.2, 0.5, 0.9), mark, "seconds").low <= reached(curve(0.2, 0.5, 0.9), 0.95, "seconds").low
