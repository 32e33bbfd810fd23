"""`sim2real transfer` and `sim2real probe` from the command line, on small policies in real environments."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2real.cli import main
from sim2real.envs import load_dynamics, make_vec
from sim2real.episode_store import EpisodeStore
from sim2real.evaluate import Evaluation, evaluate
from sim2real.jobs import Cell, Job, _evaluate, evaluate_cells
from sim2real.memory import Intervention
from sim2real.record import RecordError
from sim2real.sources import open_policy
from sim2real.transfer_command import _default_folder
from tests.test_report import Tags

TINY = """\
env: {task: FetchReach, num_envs: 2, threads: 1}
trainer: {total_samples: 100, eval_every: 100, eval_episodes: 0, log_every: 100}
agent: {memory_units: 8, embedding: 8, hidden: [16], batch_episodes: 2, updates_per_collect: 1}
device: cpu
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """lstm_s0, lstm_s1 and ff_s0, trained for one iteration."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sim2real.metrics._tensorboard", lambda run_dir, samples: None)
        for name, options in {
            "lstm_s0": [],
            "lstm_s1": ["--seed", "1"],
            "ff_s0": ["--set", "agent.memory=none"],
        }.items():
            assert main(["train", str(folder / "tiny.yaml"), "--run-dir", str(folder / name), *options]) == 0
    yield folder


def test_what_is_found_stays_in_a_run_but_beside_a_bundle(runs: Path, tmp_path: Path) -> None:
    assert _default_folder(runs / "ff_s0") == runs / "ff_s0" / "transfer"
    assert _default_folder(tmp_path) == tmp_path.with_name(f"{tmp_path.name}_transfer")


def test_cells_give_what_evaluate_gives_whatever_the_number_of_workers(runs: Path) -> None:
    train, source = load_dynamics("train"), runs / "lstm_s0"
    cells = {
        "plain": Cell(source, "FetchReach", train, 5, 3),
        "frozen": Cell(source, "FetchReach", train, 5, 3, Intervention("frozen", 0)),
        "long": Cell(runs / "ff_s0", "FetchReach", train, 66, 3),
    }
    one, two = evaluate_cells(cells, workers=1), evaluate_cells(cells, workers=2)
    reference = evaluate(open_policy(source)[0], make_vec("FetchReach", 5, train, threads=1), episodes=5, seed=3)
    long = evaluate(open_policy(runs / "ff_s0")[0], make_vec("FetchReach", 16, train, threads=1), episodes=66, seed=3)
    for name in ("success", "final_distance", "action_rate", "dynamics_values"):
        for key in cells:
            np.testing.assert_array_equal(getattr(one[key], name), getattr(two[key], name))
        np.testing.assert_array_equal(getattr(one["plain"], name), getattr(reference, name))
        np.testing.assert_array_equal(getattr(one["long"], name), getattr(long, name))
    assert (one["plain"].final_distance != one["frozen"].final_distance).any()


def test_episodes_that_are_there_are_not_computed_again(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, train = EpisodeStore(tmp_path), load_dynamics("train")
    lstm, ff = (Cell(runs / name, "FetchReach", train, 66, 3) for name in ("lstm_s0", "ff_s0"))
    first = evaluate_cells({"lstm": lstm}, workers=1, store=store)
    assert len(list(tmp_path.iterdir())) == 2  # 64 and 2 episodes
    computed: list[int] = []

    def counted(job: Job) -> list[Evaluation]:
        computed.append(job.count)
        return _evaluate(job)

    monkeypatch.setattr("sim2real.jobs._evaluate", counted)
    both = evaluate_cells({"ff": ff, "lstm": lstm}, workers=1, store=store)
    assert computed == [64, 2] and "66 episodes were there already" in capsys.readouterr().err
    for field in dataclasses.fields(Evaluation):
        np.testing.assert_array_equal(getattr(first["lstm"], field.name), getattr(both["lstm"], field.name))
    for other in (
        dataclasses.replace(lstm, seed=4),
        dataclasses.replace(lstm, dynamics=load_dynamics("unseen")),
        dataclasses.replace(lstm, intervention=Intervention("frozen", 0)),
    ):
        evaluate_cells({"other": other}, workers=1, store=store)
    monkeypatch.setattr("sim2real.episode_store.program", lambda: "changed")
    evaluate_cells({"lstm": lstm}, workers=1, store=store)
    assert computed == [64, 2] * 5


def test_transfer_writes_rows_episodes_and_one_page(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def film(policy: Any, env: Any, path: Path, caption: str) -> bool:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a film")
        return False

    monkeypatch.setattr("sim2real.transfer_command.record_next", film)
    sources = [str(runs / name) for name in ("lstm_s0", "ff_s0", "lstm_s1")]
    grid = ["--grid-episodes", "2", "--sweep", "gravity", "--workers", "1"]
    options = ["--dynamics", "nominal", "train", "--episodes", "6", "--out", str(tmp_path / "out"), *grid]
    assert main(["transfer", *sources, *options]) == 0
    out = capsys.readouterr().out
    assert "lstm/train:no_noise" in out and "lstm - ff, train" in out
    content = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert [(kind["name"], len(kind["sources"]), kind["memory"]) for kind in content["kinds"]] == [
        ("lstm", 2, "lstm"),
        ("ff", 1, "none"),
    ]
    assert {"command", "versions", "commit", "machine"} <= set(content)
    assert all(list(row) == ["setting", "metric", "value", "low", "high", "n"] for row in content["rows"])
    # FetchReach has no object, and with it no friction to leave out.
    assert {row["group"] for row in content["leave_one_out"]} == {"fixed_timestep", "no_noise", "fixed_mass"}
    (sweep,) = content["sweeps"]
    assert len(sweep["points"]) == 9 * 2
    assert sweep["trained"] == [0.97, 1.03, False]
    lines = list(csv.DictReader((tmp_path / "out" / "episodes.csv").open()))
    assert len(lines) == 3 * 5 * 6  # policies, settings, episodes
    assert {(line["policy"], line["kind"]) for line in lines} == {
        (source, "ff" if "ff" in source else "lstm") for source in sources
    }
    page = (tmp_path / "out" / "transfer.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert all(link.startswith("data:video/mp4;base64,") for link in tags.links) and tags.links
    for title in ("Differences", "Leave one out", "One parameter at a time", "Successes and failures"):
        assert title in page


def test_where_nothing_can_be_filmed_the_page_says_so(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def film(*_: Any) -> bool:
        raise RecordError("videos need ffmpeg: pip install 'sim2real[video]'")

    monkeypatch.setattr("sim2real.transfer_command.record_next", film)
    options = ["--dynamics", "nominal", "--leave-one-out", "--episodes", "2", "--workers", "1"]
    assert main(["transfer", str(runs / "ff_s0"), *options, "--out", str(tmp_path)]) == 0
    assert "No videos: videos need ffmpeg" in (tmp_path / "transfer.html").read_text()


def test_a_heat_map_has_a_point_for_every_pair(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim2real.envs.variations.REACH", (-2.0, 0.0, 2.0))
    heat = ["--heat", "gravity", "table_height", "--grid-episodes", "1"]
    options = ["--dynamics", "nominal", "--leave-one-out", "--episodes", "1", "--videos", "0", "--workers", "1"]
    assert main(["transfer", str(runs / "ff_s0"), *options, *heat, "--out", str(tmp_path)]) == 0
    nothing_else = [option for option in options if option != "nominal"]
    assert main(["transfer", str(runs / "ff_s0"), *nothing_else, *heat, "--out", str(tmp_path / "heat")]) == 0
    points = json.loads((tmp_path / "transfer.json").read_text())["heat"]["points"]
    assert len({tuple(point["values"].values()) for point in points}) == len(points) == 9
    assert "success in %" in (tmp_path / "transfer.html").read_text()


def test_probe_writes_rows_and_a_page_and_the_report_takes_them_in(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sim2real.probe_command.LEAST", 16)
    monkeypatch.setattr("sim2real.probe.intervention_steps", lambda horizon: [0, 6])
    monkeypatch.setattr("sim2real.probe.change_steps", lambda horizon: [6, 12])
    run = shutil.copytree(runs / "lstm_s0", tmp_path / "lstm_s0")
    assert main(["probe", str(run), "--episodes", "16", "--workers", "1"]) == 0
    assert "success, memory intact" in capsys.readouterr().out
    content = json.loads((run / "probe.json").read_text())
    assert all(list(row) == ["setting", "metric", "value", "low", "high", "n"] for row in content["rows"])
    assert {"memory reset at 6", "memory frozen at 0", "dynamics change at 12"} <= {
        row["setting"] for row in content["rows"]
    }
    assert len(content["parameters"]) == len(make_vec("FetchReach", 1, threads=1).task.dynamics_names)
    assert main(["report", str(run), "--dynamics", "nominal", "--episodes", "2"]) == 0
    assert "What the memory identifies" in (run / "report.html").read_text()
    for name in ("probe.html", "report.html"):
        tags = Tags()
        tags.feed((run / name).read_text())
        assert tags.open == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["probe", "ff_s0"],
            "has a policy without memory (agent.memory: none), so there is nothing to probe; give a run",
        ),
        (["probe", "lstm_s0", "--dynamics", "nominal"], "nothing varies under nominal dynamics"),
        (["probe", "lstm_s0", "--episodes", "20"], "--episodes has to be at least 50"),
        (["probe", "."], ". is not a run directory"),
        (["transfer", "nowhere"], "there is no file or folder 'nowhere'"),
        (["transfer", "lstm_s0", "lstm_s0"], "the same configuration and seed 0: it would count twice"),
        (["transfer", "lstm_s0", "--dynamics", "trian"], "unknown dynamics 'trian'. Did you mean 'train'?"),
        (["transfer", "lstm_s0", "--sweep", "gravty"], "unknown parameter of train 'gravty'. Did you mean 'gravity'?"),
        (["transfer", "lstm_s0", "--sweep", "object_mass"], "unknown parameter of train 'object_mass'"),
        (["transfer", "lstm_s0", "--heat", "gravity", "gravity"], "--heat needs two different parameters"),
        (["transfer", "lstm_s0", "--workers", "0"], "--workers has to be at least 1, got 0"),
        (["transfer", "lstm_s0", "--episodes", "0"], "--episodes has to be at least 1, got 0"),
        (["transfer", "lstm_s0", "--grid-episodes", "0"], "--grid-episodes has to be at least 1, got 0"),
        (["transfer", "lstm_s0", "--videos", "-1"], "--videos has to be at least 0 (0: film none), got -1"),
        (["transfer", "tiny.yaml"], "A model of stable-baselines3 becomes one: sim2real export tiny.yaml --trust"),
        (["transfer", "lstm_s0", "--out", "tiny.yaml"], "--out tiny.yaml is a file; give a folder"),
    ],
)
def test_mistakes(
    args: list[str], message: str, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(runs)
    before = sorted(file.name for file in runs.iterdir())
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1
    assert out == ""
    assert sorted(file.name for file in runs.iterdir()) == before
    assert not (runs / "lstm_s0" / "transfer").exists()


def test_transfer_needs_a_task_with_sets_of_dynamics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sim2real.transfer_command.open_policy", lambda source: (None, "Pendulum-v1"))
    assert main(["transfer", str(tmp_path)]) == 2
    assert "is a policy for Pendulum-v1, which has no sets of dynamics: FetchReach, " in capsys.readouterr().err
