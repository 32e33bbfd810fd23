from __future__ import annotations

import numpy as np
import pytest

from sim2real.scores import Scores

SCORES = Scores({"step_0": {"return": np.array([-4.0, -2.0])}, "step_1": {"return": np.array([1.0, 3.0])}})


def test_means_and_intervals_by_hand() -> None:
    # Standard deviation sqrt(2) of two tasks: the standard error is 1, Student's quantile 12.706.
    estimate = SCORES.summary()["step_1"]["return"]
    assert (estimate.value, estimate.n) == (2.0, 2)
    assert (estimate.low, estimate.high) == pytest.approx((2 - 12.706, 2 + 12.706), abs=1e-2)


def test_rows_are_one_a_setting_and_metric() -> None:
    rows = SCORES.rows()
    assert [(row["setting"], row["metric"], row["value"], row["n"]) for row in rows] == [
        ("step_0", "return", -3.0, 2),
        ("step_1", "return", 2.0, 2),
    ]


def test_scalars_for_a_training_log_leave_out_what_is_unknown() -> None:
    assert set(SCORES.scalars("step_0")) == {"return", "return_low", "return_high"}
    assert Scores({"trial": {"return": np.array([1.0])}}).scalars("trial") == {"return": 1.0}


def test_the_table_has_a_line_a_setting_and_a_gap_where_nothing_was_measured() -> None:
    lines = Scores({"a": {"error": np.ones(2)}, "b": {"accuracy": np.zeros(2)}}).table().splitlines()
    assert lines[0].split() == ["setting", "tasks", "error", "[95", "%]", "accuracy", "[95", "%]"]
    assert lines[1].split() == ["a", "2", "1.000", "[1.000,", "1.000]", "-"]
    assert lines[2].split() == ["b", "2", "-", "0.000", "[0.000,", "0.000]"]


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_who_diverged_on_a_task_is_not_scored_on_the_others(lost: float) -> None:
    scores = Scores({"step_1": {"error": np.array([0.1, 0.2, lost]), "accuracy": np.array([0.5, 0.5, 0.5])}})
    assert scores.rows()[0] == {
        "setting": "step_1",
        "metric": "error",
        "value": None,
        "low": None,
        "high": None,
        "n": 3,
    }
    assert set(scores.scalars("step_1")) == {"accuracy", "accuracy_low", "accuracy_high"}
    assert "not finite" in scores.table()
