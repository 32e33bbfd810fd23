"""Models of other libraries on the command line, from the zip to a bundle that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sim2real.cli import main
from sim2real.foreign_source import task_of
from tests.foreign_models import make_model, saved


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("env_id", "task"),
    [
        ("FetchReach-v4", "FetchReach"),
        ("sim2real/FetchPush-v0", "FetchPush"),
        ("FetchSlide", "FetchSlide"),
        ("HalfCheetah-v5", "HalfCheetah-v5"),
    ],
)
def test_ids(env_id: str, task: str) -> None:
    assert task_of(env_id) == task


def test_a_model_of_an_environment_of_gymnasium(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluated, exported and run; the bundle needs no --trust any more, and scores what the model does."""
    saved(make_model("PPO", "InvertedPendulum-v5", normalize={}), tmp_path)
    options = ["--trust", "--env", "InvertedPendulum-v5", "--vec-normalize", "statistics.pkl", "--episodes", "3"]
    assert main(["evaluate", "model.zip", *options, "--json", "model.json"]) == 0
    assert main(["export", "model.zip", *options, "--out", "bundle"]) == 0
    assert "sim2real run bundle --env InvertedPendulum-v5" in capsys.readouterr().out
    assert main(["evaluate", "bundle", "--episodes", "3", "--json", "bundle.json"]) == 0
    returns: list[Any] = []
    for file in ("model.json", "bundle.json"):
        rows = json.loads(Path(file).read_text())["rows"]
        assert {row["setting"] for row in rows} == {"nominal"}
        returns += [row["value"] for row in rows if row["metric"] == "return"]
        assert [row["value"] for row in rows if row["metric"] == "success"] == [None]
    contract = json.loads(Path("bundle/policy.yaml").read_text())["contract"]
    assert returns == [contract["evaluation"]["nominal"]["return"]["value"]] * 2
    assert contract["trained"]["algorithm"] == "PPO"
    assert contract["trained"]["env"] == {"id": "InvertedPendulum-v5"}
    assert "| nominal | 3 | " in Path("bundle/README.md").read_text()

    capsys.readouterr()
    assert main(["run", "bundle", "--robot", "sim", "--episodes", "3", "--json", "run.json"]) == 0
    episodes = json.loads(Path("run.json").read_text())["episodes"]
    assert sum(episode["episode_return"] for episode in episodes) / 3 == pytest.approx(returns[0])
    assert {(episode["success"], episode["distance"]) for episode in episodes} == {(None, None)}
    assert "episode    1/3: ended, return " in capsys.readouterr().out


def test_a_model_of_a_task_of_ours_meets_every_set_of_dynamics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import gymnasium
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    saved(make_model("TD3", "FetchReach-v4"), tmp_path)
    assert main(["evaluate", "model.zip", "--trust", "--env", "FetchReach-v4", "--episodes", "2"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["nominal", "train", "unseen"]


def test_mistakes_give_one_message_and_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(make_model("SAC"), tmp_path)
    (tmp_path / "text.zip").write_text("text")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    here = ["--env", "Still-v0"]
    mistakes = [
        (["model.zip"], "say which environment it was trained in: --env ID"),
        (["model.zip", *here], "add --trust"),
        (["text.zip", "--trust", *here], "text.zip is neither a folder (a run, a bundle) nor a model"),
        (["model.zip", "--trust", "--env", "Stil-v0"], "Did you mean: `Still`?"),
        (["model.zip", "--trust", *here, "--dynamics", "train"], "Still-v0 has no dynamics 'train'"),
        (["model.zip", "--trust", *here, "--vec-normalize", "no.pkl"], "--vec-normalize: there is no file 'no.pkl'"),
        (["folder", "--trust"], "--trust: only for models of other libraries (a .zip); folder is a folder"),
        (["folder", *here], "--env: only for models of other libraries"),
    ]
    for command in (["evaluate"], ["export", "--out", "bundle"]):
        for arguments, message in mistakes:
            assert main([*command, *arguments]) == 2
            out, err = capsys.readouterr()
            assert message in err.splitlines()[-1]
            assert err.splitlines()[-1].startswith("sim2real: error: ")
            assert out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_other_commands_take_folders_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(make_model("SAC"), tmp_path)
    assert main(["record", "model.zip"]) == 2
    assert "model.zip is a file; give a run directory or a bundle" in capsys.readouterr().err
