from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from time_to_solve import kept, ratios, summary

CURVE: dict[str, Any] = {
    "seed": 0,
    "points": [
        {"samples": 1000, "seconds": 10.0, "success": 0.5},
        {"samples": 2000, "seconds": 20.0, "success": 0.9},
    ],
    "samples": 2000,
    "seconds": 20.0,
}


def scaled(factor: float, **more: Any) -> dict[str, Any]:
    """The same curve, ``factor`` times as slow."""
    points = [{**point, "seconds": factor * point["seconds"]} for point in CURVE["points"]]
    return {**CURVE, "points": points, "seconds": factor * CURVE["seconds"], **more}


def test_a_finished_run_is_kept_and_not_made_again(tmp_path: Path) -> None:
    path, made = tmp_path / "a.json", []

    def make() -> dict[str, Any]:
        made.append(1)
        return dict(CURVE)

    first = kept(path, {"minutes": 1.0}, make)
    assert kept(path, {"minutes": 1.0}, make) == first
    assert len(made) == 1


def test_a_run_of_other_options_is_refused(tmp_path: Path) -> None:
    kept(tmp_path / "a.json", {"minutes": 1.0}, lambda: dict(CURVE))
    with pytest.raises(SystemExit, match=r"minutes: 1\.0 there, 2\.0 now"):
        kept(tmp_path / "a.json", {"minutes": 2.0}, lambda: dict(CURVE))


def test_a_run_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        kept(tmp_path / "a.json", {}, fail)
    assert not list(tmp_path.iterdir())


def test_ratios_compare_medians_and_the_best_leaves_out_what_was_projected() -> None:
    curves = {"ours": [CURVE], "slow": [scaled(8)], "fast": [scaled(3)], "tqc": [scaled(2, projected=True)]}
    found = ratios(curves, "ours")
    assert found["slow"]["0.9"] == [8.0, 8.0]
    assert found["tqc"]["0.5"] == [2.0, 2.0]
    assert found["best_measured"]["0.9"] == [3.0, 3.0]
    # Nobody reached 0.95: nothing is known.
    assert found["slow"]["0.95"] == [0.0, None]


def test_the_summary_names_what_each_seed_needed() -> None:
    found = summary([CURVE, scaled(3)])
    assert found["marks"]["0.9"] == {
        "samples": [2000.0, 2000.0],
        "seconds": [40.0, 40.0],
        "seconds_by_seed": [[20.0, 20.0], [60.0, 60.0]],
    }
    assert found["marks"]["0.95"]["seconds"] == [40.0, None]
