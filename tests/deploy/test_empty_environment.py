"""A robot's computer: an empty environment with numpy, with or without onnxruntime, nothing of the training side."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import sys
from sim2real.deploy import BundleRunner, load_bundle
runner = BundleRunner(load_bundle(sys.argv[1]))
print(runner.bundle.backend.name, runner.step([0.0] * 8).shape)
heavy = {"torch", "mujoco", "gymnasium", "yaml", "safetensors", "onnx", "tyro"}
print(sorted(heavy & set(sys.modules)))
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Without PYTHONPATH, and interpreters with -I: this checkout may not help out."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    arguments = list(map(str, command))
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=cwd, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with numpy alone."""
    folder = tmp_path_factory.mktemp("robot")
    venv.create(folder / "venv", with_pip=True)
    executable = folder / "venv" / "bin" / "python"
    install(executable, "numpy", cwd=folder)
    return executable


def install(python: Path, *what: str | Path, cwd: Path) -> None:
    options = ("-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt")
    run(python, *options, *what, cwd=cwd)


@pytest.mark.slow
def test_the_archive_runs_on_numpy_alone(python: Path, lstm_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(lstm_bundle, tmp_path / "bundle"))
    done = run(python, "-I", bundle / "runner.pyz", "--robot", "replay", "--steps", "200", cwd=tmp_path)
    assert "200 steps" in done.stdout
    assert "sim2real" not in run(python, "-I", "-m", "pip", "list", cwd=tmp_path).stdout


@pytest.mark.slow
def test_the_wheel_runs_without_its_dependencies(python: Path, lstm_bundle: Path, tmp_path: Path) -> None:
    # By way of the source distribution: what a build directory from before still holds must not get in.
    run(sys.executable, "-m", "build", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    install(python, "--no-deps", next(tmp_path.glob("*.whl")), cwd=tmp_path)
    assert run(python, "-I", "-c", CODE, lstm_bundle, cwd=tmp_path).stdout.splitlines() == ["numpy (4,)", "[]"]
    done = run(
        python,
        "-I",
        python.parent / "sim2real",
        "run",
        lstm_bundle,
        "--robot",
        "replay",
        "--steps",
        "200",
        cwd=tmp_path,
    )
    assert "200 commands compared" in done.stdout
    install(python, "onnxruntime", cwd=tmp_path)
    assert run(python, "-I", "-c", CODE, lstm_bundle, cwd=tmp_path).stdout.splitlines() == ["onnx (4,)", "[]"]
    done = run(python, "-I", "-m", "sim2real.deploy", lstm_bundle, "--robot", "replay", cwd=tmp_path)
    assert "100 steps" in done.stdout
