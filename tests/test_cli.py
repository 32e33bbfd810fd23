from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sim2real import commands
from sim2real.checkpoint import load_state
from sim2real.cli import COMMANDS, main
from sim2real.commands import resolve
from sim2real.metrics import read_metrics
from sim2real.overlays import presets

from .bundles import make_policy

ROOT = Path(__file__).resolve().parent.parent
# One iteration of two environments is 100 samples.
TINY = """\
env: {task: FetchReach, num_envs: 2, threads: 1}
trainer: {total_samples: 200, eval_every: 100, eval_episodes: 2, log_every: 100}
agent: {memory_units: 8, embedding: 8, hidden: [16], batch_episodes: 2, updates_per_collect: 1}
device: cpu
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In an empty folder, and without TensorBoard, whose writer takes longer than such a run."""
    monkeypatch.setattr("sim2real.metrics._tensorboard", lambda run_dir, samples: None)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    (tmp_path / "tiny.yaml").write_text(TINY)
    return "tiny.yaml"


def written(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.name != "tiny.yaml")


# ---- mistakes --------------------------------------------------------------------------------------------------------

TRAIN = ["train", "tiny.yaml", "--run-dir", "run"]
MISTAKES = [
    (
        ["trian", "fetch_reach"],
        "unknown command 'trian'. Did you mean 'train'? Allowed: adapt, doctor, drill",
    ),
    (["train", "fetch_reech"], "unknown preset 'fetch_reech'. Did you mean 'fetch_reach'?"),
    (["train", "nothing.yaml"], "there is no file 'nothing.yaml'"),
    ([*TRAIN, "--set", "env.num_env=3"], "env: unknown key 'num_env'. Did you mean 'num_envs'?"),
    ([*TRAIN, "--set", "gamma=0.9"], "Did you mean 'agent.gamma'?"),
    ([*TRAIN, "--set", "agent.gamma=high"], "agent.gamma: expected a number, got 'high' (str)"),
    ([*TRAIN, "--set", "agent.memory=lstn"], "agent.memory: unknown value 'lstn'. Did you mean 'lstm'?"),
    ([*TRAIN, "--set", "agent.gamma"], "--set expects key=value, such as agent.gamma=0.98, got 'agent.gamma'"),
    ([*TRAIN, "--set", "env.task=FetchPsh"], "unknown task 'FetchPsh'. Did you mean 'FetchPush'?"),
    ([*TRAIN, "--set", "env.dynamics=trian"], "unknown dynamics 'trian'. Did you mean 'train'?"),
    ([*TRAIN, "--set", "trainer.eval_dynamics=unsen"], "unknown dynamics 'unsen'. Did you mean 'unseen'?"),
    ([*TRAIN, "--set", "env.dynamics=surrogate"], "'surrogate' is a surrogate robot, there to evaluate on and never"),
    ([*TRAIN, "--set", "trainer.eval_dynamics=surrogate_rigid"], "never to train or to choose a policy on"),
    ([*TRAIN, "--set", "algorithm=rdgp"], "unknown algorithm 'rdgp'. Did you mean 'rdpg'?"),
    ([*TRAIN, "--seed", "-1"], "seed has to be at least 0, got -1"),
    ([*TRAIN, "--total-samples", "0"], "total_samples has to be at least 1, got 0"),
    ([*TRAIN, "--run-dir", "tiny.yaml"], "--run-dir tiny.yaml is a file; give a folder"),
    ([*TRAIN, "--run-dir", "/proc/nowhere/run"], "/proc/nowhere"),
    (["evaluate", "nowhere"], "there is no file or folder 'nowhere'; give a run directory or an exported bundle"),
    (["evaluate", "."], "there is no policy.yaml in .: this is not a bundle"),
    (["evaluate", ".", "--dynamics", "trian"], "unknown dynamics 'trian'. Did you mean 'train'?"),
    (["evaluate", ".", "--dynamics", "my.yaml"], "no dynamics file 'my.yaml'"),
    (["evaluate", ".", "--episodes", "0"], "--episodes has to be at least 1, got 0"),
    (
        ["evaluate", ".", "--json", "no/rows.json"],
        "can't write no/rows.json: it has to be a file in a folder that exists",
    ),
    (
        ["export", ".", "--out", "bundle"],
        ". is not a run directory; give a folder that `sim2real train --run-dir` made",
    ),
    (["export", ".", "--out", "bundle", "--episodes", "-1"], "--episodes has to be at least 0 (0: export without"),
    (["report", "."], ". is not a run directory"),
    (["record", "."], "there is no policy.yaml in ."),
    (["run", ".", "--robot", "simm"], "unknown robot 'simm'. Did you mean 'sim'?"),
    (["run", "."], "--robot is needed: sim, replay, ros2, or MODULE:FACTORY for your own"),
    (["drill", "."], "there is no policy.yaml in ."),
    (["run", ".", "--env", "sim2real/FetchReach-v0"], "there is no policy.yaml in ."),
]


@pytest.mark.parametrize(("args", "message"), MISTAKES, ids=[" ".join(args) for args, _ in MISTAKES])
def test_a_mistake_gives_one_message_and_writes_nothing(
    args: list[str], message: str, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert err.startswith("sim2real: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert written(tmp_path) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Expected one of"),
        (["train"], "PRESET_OR_YAML"),
        (["train", "fetch_reach", "--sed", "1"], "--seed"),
        (["train", "fetch_reach", "--seed", "one"], "one"),
        (["train", "fetch_reach", "--device", "gpu"], "invalid choice 'gpu'"),
        (["export", "run"], "--out"),
    ],
)
def test_what_the_parser_refuses(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_no_traceback_and_exit_code_2_from_the_shell(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sim2real", "train", "fetch_reech"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("sim2real: error: unknown preset 'fetch_reech'")
    assert "Traceback" not in done.stderr


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise ValueError("a bug, not a mistake of the user's")

    monkeypatch.setitem(COMMANDS, "list", broken)
    with pytest.raises(ValueError, match="a bug"):
        main(["list"])


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def needs_onnx() -> int:
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setitem(COMMANDS, "list", needs_onnx)
    assert main(["list"]) == 2
    assert "this needs onnx, which is not installed: pip install 'sim2real[export]'" in capsys.readouterr().err


def test_ctrl_c_outside_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "list", interrupted)
    assert main(["list"]) == 130


# ---- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: sim2real {command}" in capsys.readouterr().out


def test_list_names_what_can_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in (
        "fetch_reach",
        "FetchPush",
        "sim2real/FetchPush-v0",
        "FetchPuck",
        "nominal, surrogate",
        "train, unseen",
        "no_noise",
    ):
        assert name in out


def test_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sim2real.doctor._ask", lambda code, otherwise: (False, f"{otherwise}: no driver"))
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnx" else found(name))
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "extra export: lacks onnx; pip install 'sim2real[export]'" in out
    assert "extra track: ok" in out
    assert "rendering (for `sim2real record`): failed: no driver" in out
    assert "MUJOCO_GL=egl" in out


# ---- configuration ---------------------------------------------------------------------------------------------------


def test_options_win_over_overrides_over_the_file(tiny: str) -> None:
    overrides = ["seed=4", "trainer.total_samples=9", "agent.gamma=0.5", "agent.gamma=0.6"]
    config = resolve(tiny, overrides, seed=5, total_samples=None, device=None)
    assert (config.seed, config.trainer.total_samples, config.agent.gamma, config.device) == (5, 9, 0.6, "cpu")
    assert resolve(tiny, overrides, total_samples=11).trainer.total_samples == 11


@pytest.mark.parametrize("preset", presets())
def test_every_preset_fits_the_options(preset: str) -> None:
    config = resolve(preset, [])
    assert config.agent is not None and config.trainer.total_samples > 0


def test_cuda_without_a_device_is_a_clear_error(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([*TRAIN, "--device", "cuda"]) == 2
    assert "sees no CUDA device; use cpu or auto" in capsys.readouterr().err
    assert written(tmp_path) == []


def test_cuda_for_a_learner_of_the_cpu_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "maml_nav2d", "--device", "cuda"]) == 2
    assert "maml_rl computes on the CPU alone; use cpu or auto" in capsys.readouterr().err


# ---- a run -----------------------------------------------------------------------------------------------------------


def test_train_resume_and_evaluate(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "--seed", "3", "--set", "agent.gamma=0.9", "trainer.save_every=100"]) == 0
    run = tmp_path / "run"
    assert sorted(f.name for f in run.iterdir()) == [
        *("checkpoint", "config.yaml", "metrics.jsonl", "policy", "policy_last", "run.json")
    ]
    assert "finished: 200 samples" in capsys.readouterr().out
    assert resolve("run/config.yaml", []).agent.gamma == 0.9

    # Again: it goes on. A longer budget is allowed, anything else is not.
    again = [*TRAIN, "--seed", "3", "--set", "agent.gamma=0.9", "trainer.save_every=100"]
    assert main([*again, "--total-samples", "300"]) == 0
    out = capsys.readouterr().out
    assert "resuming run at 200 samples" in out
    assert "finished: 300 samples" in out
    assert [row["samples"] for row in read_metrics(run) if "eval/success" in row] == [100, 200, 300]
    before = (run / "config.yaml").read_text()
    assert main([*again, "--seed", "4"]) == 2
    assert "seed: 3 there, 4 now" in capsys.readouterr().err
    assert (run / "config.yaml").read_text() == before

    # Bit for bit what one session gives.
    assert main(["train", tiny, "--run-dir", "whole", *again[4:], "--total-samples", "300"]) == 0
    one, two = (load_state(tmp_path / name / "checkpoint")["algorithm"]["modules"] for name in ("run", "whole"))
    for module, weights in one.items():
        assert all(weights[name].equal(value) for name, value in two[module].items())

    capsys.readouterr()
    assert main(["evaluate", "run", "--dynamics", "nominal", "unseen", "--episodes", "3", "--json", "rows.json"]) == 0
    out = capsys.readouterr().out
    assert "nominal" in out
    content: Any = json.loads((tmp_path / "rows.json").read_text())
    success = [row for row in content["rows"] if row["metric"] == "success"]
    assert [(row["setting"], row["n"]) for row in success] == [("nominal", 3), ("unseen", 3)]
    assert set(success[0]) == {"setting", "metric", "value", "low", "high", "n"}
    assert {"command", "seed", "versions", "commit", "machine"} <= set(content)

    # Whoever reads two lines of the table (`| head -2`) still gets the file.
    with contextlib.redirect_stdout(ClosedPipe()), contextlib.suppress(BrokenPipeError):
        commands.evaluate(Path("run"), ["nominal"], episodes=2, seed=0, json_file=Path("kept.json"))
    assert (tmp_path / "kept.json").exists()


class ClosedPipe(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_the_default_folder_names_preset_and_seed(tiny: str, tmp_path: Path) -> None:
    assert main(["train", tiny, "--total-samples", "100", "--set", "trainer.eval_episodes=0"]) == 0
    assert (tmp_path / "runs" / "tiny_s0" / "policy").is_dir()


def test_running_a_bundle_needs_no_torch(tmp_path: Path) -> None:
    from sim2real.envs import make_vec
    from sim2real.export import write_bundle

    env = make_vec("FetchReach", 1)
    (tmp_path / "bundle").mkdir()
    write_bundle(
        tmp_path / "bundle", make_policy("lstm", env.task), {"algorithm": "rdpg", "env": {"task": env.task.name}}
    )
    code = (
        "import sys; from sim2real.cli import main; "
        f"code = main(['run', {str(tmp_path / 'bundle')!r}, '--env', 'sim2real/FetchReach-v0', '--episodes', '2']); "
        f"code += main(['evaluate', {str(tmp_path / 'bundle')!r}, '--dynamics', 'train', '--episodes', '2']); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "episode    2/2: " in done.stdout


def test_a_film_goes_into_a_run_and_beside_a_bundle(tmp_path: Path) -> None:
    from sim2real.commands import video_file

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    (tmp_path / "bundle").mkdir()
    assert video_file(tmp_path / "run") == tmp_path / "run" / "video.mp4"
    assert video_file(tmp_path / "bundle") == tmp_path / "bundle.mp4"
