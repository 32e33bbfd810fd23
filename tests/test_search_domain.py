"""`train`, `evaluate` and `report` of an architecture search, with children that take milliseconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim2real.agents.evolution import EvolutionConfig
from sim2real.cli import main
from sim2real.commands import resolve
from sim2real.search_children import FILE

OVERLAY = {
    "env": {"workers": 1, "cells": {"hidden": 4, "updates": 1, "streams": 2, "steps": 2}},
    "trainer": {"total_samples": 12, "eval_every": 8, "eval_episodes": 2, "log_every": 4, "save_every": 4},
    "agent": {"batch": 4},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A short search by the algorithm that the test names."""
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "tinyshakespeare.txt").write_text("abcd" * 3000)
    monkeypatch.setenv("SIM2REAL_DATA", str(tmp_path))
    monkeypatch.setattr("sim2real.metrics._tensorboard", lambda run_dir, samples: None)
    monkeypatch.chdir(tmp_path)
    algorithm = getattr(request, "param", "nas")
    (tmp_path / "search.yaml").write_text(json.dumps({"algorithm": algorithm, **OVERLAY}))
    assert main(["train", "search.yaml", "--run-dir", "run"]) == 0
    return Path("run")


@pytest.mark.parametrize("run", ["nas", "random_search", "evolution"], indirect=True)
def test_a_search_is_trained_evaluated_and_reported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--json", "out.json", "--seed", "7", "--episodes", "3"]) == 0
    rows = json.loads(Path("out.json").read_text())["rows"]
    assert {row["setting"] for row in rows} == {"best_found", "random"}
    assert {row["metric"] for row in rows} == {"reward", "bits_per_character", "parameters"}
    assert all(row["n"] == 3 for row in rows)
    assert main(["report", str(run), "--episodes", "2"]) == 0
    page = (run / "report.html").read_text()
    assert "Best architecture" in page and "next h" in page and "12 architectures" in page


def test_children_are_kept_in_the_run_and_continue_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in (run / FILE).read_text().splitlines()]
    assert 4 < len(lines) <= 12 and len({json.dumps(line["job"]) for line in lines}) == len(lines)
    assert str(Path.cwd()) not in (run / FILE).read_text()
    assert main(["train", "search.yaml", "--run-dir", "run", "--total-samples", "16"]) == 0
    assert (run / FILE).read_text().startswith((run / FILE).read_text()[:100])
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert logged[-1]["samples"] == 16 and any("eval/reward" in row for row in logged)


def test_a_missing_text_is_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SIM2REAL_DATA", raising=False)
    assert main(["train", "nas_cells", "--run-dir", str(tmp_path / "run"), "--set", "env.workers=1"]) == 2
    assert "SIM2REAL_DATA" in capsys.readouterr().err


def test_a_control_takes_the_presets_place() -> None:
    config = resolve("nas_cells", ["algorithm=evolution", "agent=null", "agent.population=16"])
    assert config.agent == EvolutionConfig(population=16) and config.env.space == "cells"


def test_networks_of_the_robot_policy_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("sim2real.metrics._tensorboard", lambda run_dir, samples: None)
    monkeypatch.chdir(tmp_path)
    tiny = ["evaluate_after=[1]", "episodes=1", "num_envs=1", "updates_per_collect=1"]
    options = [
        "env.workers=1",
        "trainer.eval_episodes=1",
        "agent.batch=1",
        *(f"env.policy.{option}" for option in tiny),
    ]
    assert main(["train", "nas_policy", "--run-dir", "run", "--total-samples", "1", "--set", *options]) == 0
    assert main(["report", "run", "--episodes", "1"]) == 0
    page = Path("run/report.html").read_text()
    assert "latency_us" in page and "state, goal" in page
