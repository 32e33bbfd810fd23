from __future__ import annotations

import json
from pathlib import Path

import pytest

import puck


def test_every_seed_of_every_policy_and_variants_of_the_first() -> None:
    planned = dict(puck.plan([0, 1]))
    assert list(planned)[:4] == ["puck_lstm_s0", "puck_hist_s0", "puck_ff_s0", "puck_norand_s0"]
    assert len(planned) == 2 * 4 + 5 + 2
    assert planned["puck_norand_s1"] == [["puck_norand", "--seed", "1"]]
    assert planned["puck_lstm_2M_s0"] == [["puck_lstm", "--seed", "0", "--set", "trainer.total_samples=2_000_000"]]
    assert planned["puck_lstm_no_noise_s0"][0][-1] == "env.dynamics=train:no_noise"
    first, second = planned["puck_lstm_annealed_s1"]
    assert first[2:] == ["1", "--set", "agent.anneal_samples=1_000_000"]
    assert second[-2:] == ["agent.anneal_samples=2_000_000", "trainer.total_samples=2_000_000"]
    assert list(dict(puck.plan([4], [], ["annealed"]))) == ["puck_lstm_annealed_s4"]


def test_the_result_has_scores_and_curves_and_no_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = []

    def call(log: Path, *arguments: str) -> None:
        called.append(arguments)
        if arguments[0] == "train":
            run = Path(arguments[arguments.index("--run-dir") + 1])
            run.mkdir(exist_ok=True)
            (run / "run.json").write_text(json.dumps({"seconds": 90, "samples": 5, "commit": "abc"}))
            (run / "metrics.jsonl").write_text(json.dumps({"samples": 5, "seconds": 88, "eval/success": 0.5}) + "\n")
            return
        folder = Path(arguments[arguments.index("--out") + 1])
        folder.mkdir()
        kinds = [{"name": "puck_lstm", "sources": [arguments[1]]}]
        content = {"kinds": kinds, "rows": [], "comparisons": [], "sweeps": [1], "settings": ["train"]}
        (folder / "transfer.json").write_text(json.dumps(content))

    monkeypatch.setattr(puck, "call", call)
    out = tmp_path / "out.json"
    arguments = ["puck.py", "--seeds", "3", "--runs", str(tmp_path / "runs"), "--out", str(out), "--episodes", "9"]
    arguments += ["--variants", "2M", "annealed", "--beside", "a_bundle"]
    monkeypatch.setattr("sys.argv", arguments)
    puck.main()
    assert [c[0] for c in called] == ["train"] * (4 + 1 + 2) + ["transfer"] and "9" in called[-1]
    assert "a_bundle" in called[-1]
    result = json.loads(out.read_text())
    assert result["kinds"][0]["sources"] == ["puck_lstm_s3"] and "sweeps" not in result
    point = {"samples": 5, "seconds": 88, "success": 0.5}
    assert result["training"]["puck_ff_s3"] == {"minutes": 1.5, "samples": 5, "commit": "abc", "evaluations": [point]}
    assert "training" not in json.loads(capsys.readouterr().out)
