from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from our_curves import curve, evaluations, train


def row(samples: int, seconds: float, success: float | None = None) -> dict[str, Any]:
    return {"samples": samples, "seconds": seconds, **({} if success is None else {"eval/success": success})}


def test_evaluations_are_taken_off_the_clock() -> None:
    # Iterations of 2 s; evaluations of 5 and 7 s after the second and the fourth one.
    rows = [row(100, 2), row(200, 4), row(200, 9, 0.1), row(300, 11), row(400, 13), row(400, 20, 0.6), row(500, 22)]
    assert curve(rows) == {
        "points": [
            {"samples": 200, "seconds": 4.0, "success": 0.1},
            {"samples": 400, "seconds": 8.0, "success": 0.6},
        ],
        "samples": 500,
        "seconds": 10.0,
        "evaluation_seconds": 12.0,
    }


def test_evaluations_of_a_run_by_its_own_clock(tmp_path: Path) -> None:
    rows = [row(100, 2), row(200, 9.04, 0.1), row(300, 11), row(400, 20.06, 0.6)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert evaluations(tmp_path) == [
        {"samples": 200, "seconds": 9.0, "success": 0.1},
        {"samples": 400, "seconds": 20.1, "success": 0.6},
    ]


def test_what_was_collected_during_an_evaluation_is_put_on_again() -> None:
    # The iteration after the evaluation takes 0.5 s instead of 2: 1.5 s of it happened beside the evaluation.
    rows = [row(100, 2), row(200, 4), row(200, 9, 0.1), row(300, 9.5), row(400, 11.5), row(400, 16.5, 0.6)]
    assert [point["seconds"] for point in curve(rows)["points"]] == [4.0, 8.0]


def test_no_more_is_put_on_than_the_evaluation_took() -> None:
    rows = [row(100, 5), row(200, 10), row(200, 11, 0.1), row(300, 11), row(400, 16), row(400, 18, 0.6)]
    assert [point["seconds"] for point in curve(rows)["points"]] == [10.0, 16.0]


def test_a_log_without_the_row_before_an_evaluation_is_refused() -> None:
    with pytest.raises(ValueError, match="log_every=1"):
        curve([row(100, 2), row(200, 9, 0.1)])


def test_a_run_that_has_not_begun_has_no_points() -> None:
    assert curve([]) == {"points": [], "samples": 0, "seconds": 0.0, "evaluation_seconds": 0.0}


def test_a_run_that_has_reached_its_mark_is_not_started_again(tmp_path: Path) -> None:
    rows = [row(100, 2), row(100, 3, 0.9)]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    found = train("no_such_preset", tmp_path / "run", [], seed=0, stop_at=0.9, minutes=1.0)
    assert found["points"] == [{"samples": 100, "seconds": 2.0, "success": 0.9}]
    with pytest.raises(SystemExit, match="exit code 2; its output is in"):
        train("no_such_preset", tmp_path / "run", [], seed=0, stop_at=0.95, minutes=1.0)
    assert "no_such_preset" in (tmp_path / "run.log").read_text(encoding="utf-8")
