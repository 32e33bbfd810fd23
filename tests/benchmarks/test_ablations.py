from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ablations
import performance_tables
from sim2real.commands import resolve


def run(samples_at: dict[float, int], *, end: int, seconds: float) -> dict[str, Any]:
    points = [{"samples": n, "seconds": 0.0, "success": success} for success, n in samples_at.items()]
    return {"points": points, "samples": end, "seconds": seconds}


CURVES = {
    "preset": {
        0: run({0.5: 100, 0.8: 150, 0.9: 200}, end=200, seconds=0.2),
        1: run({0.5: 100, 0.8: 250, 0.92: 300}, end=300, seconds=0.3),
    },
    "twice the updates": {0: run({0.55: 100, 0.85: 125}, end=400, seconds=0.8)},
}


def test_rows_stand_beside_the_preset() -> None:
    preset, twice = ablations.summary(CURVES)
    assert preset["samples"] == {"0.5": [100.0, 100.0], "0.8": [200.0, 200.0], "0.9": [250.0, 250.0]}
    assert preset["by_seed"] == [[200.0, 200.0], [300.0, 300.0]]
    assert preset["samples_over_preset"] == [1.0, 1.0] and preset["pace_over_preset"] == 1.0
    # never at 0.9, stopped at 400: at least 400 / 250; 2 ms a sample against 1
    assert twice["samples"]["0.9"] == [400.0, None] and twice["samples_over_preset"] == [1.6, None]
    assert twice["pace_over_preset"] == 2.0 and twice["overrides"] == ["agent.updates_per_collect=240"]


def test_rows_alone_have_no_ratios() -> None:
    (twice,) = ablations.summary({"twice the updates": CURVES["twice the updates"]})
    assert "samples_over_preset" not in twice


def test_the_table_says_what_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(performance_tables, "load", lambda name: {"rows": ablations.summary(CURVES)})
    lines = performance_tables.ablations()
    assert lines[2] == "| preset | 2 | 0.1 k | 0.2 k | 0.2 k, 0.3 k | 1 | 1.00 |"
    assert lines[3] == "| twice the updates | 1 | 0.1 k | 0.125 k | > 0.4 k | > 1.6 | 2.00 |"


@pytest.mark.parametrize("row", ablations.CHANGES)
def test_every_change_is_one(row: str) -> None:
    changed = resolve(ablations.PRESET, ablations.CHANGES[row], seed=0)
    assert (changed == resolve(ablations.PRESET, [], seed=0)) == (row == ablations.REFERENCE)


def test_the_file_is_written_after_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    trained: list[list[str]] = []

    def train(preset: str, run_dir: Path, overrides: list[str], **options: Any) -> dict[str, Any]:
        if trained:  # the one before is there already
            assert len(json.loads(out.read_text())["rows"]) == len(trained)
        trained.append(overrides)
        return run({0.9: 100}, end=100, seconds=0.1)

    monkeypatch.setattr(ablations, "train", train)
    monkeypatch.setattr("sys.argv", ["ablations.py", "--only", "preset", "twin critics", "--out", str(out)])
    ablations.main()
    assert [overrides[0] for overrides in trained] == ["trainer.total_samples=400000", "agent.twin_critics=true"]
    assert set(json.loads(out.read_text())["curves"]["twin critics"]["0"]) == {"points", "samples", "seconds"}
    assert "curves" not in json.loads(capsys.readouterr().out.splitlines()[-1])
