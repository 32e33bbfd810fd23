"""A robot has numpy and onnxruntime; nothing else may be needed to run a bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = """
import sys

class Blocker:
    names = {"torch", "mujoco", "gymnasium", "gymnasium_robotics", "yaml", "safetensors", "onnx", "tyro", "rich"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ImportError(f"blocked: {name}")

sys.meta_path.insert(0, Blocker())
"""


def run_blocked(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a new interpreter in which everything but the standard library, numpy and onnxruntime is away."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", BLOCK + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=120)


def test_a_bundle_runs_on_numpy_and_onnxruntime(lstm_bundle: Path) -> None:
    code = """
from sim2real.deploy import BundleRunner
runner = BundleRunner(sys.argv[1])
assert runner.bundle.self_test() <= 1e-5
print(runner.step([0.0] * 8).shape)
print(sorted(name for name in Blocker.names if name in sys.modules))
print(sorted(n for n in sys.modules if n.startswith("sim2real") and not n.startswith("sim2real.deploy")))
"""
    result = run_blocked(code, str(lstm_bundle))
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["(4,)", "[]", "['sim2real', 'sim2real.errors', 'sim2real.types']"]


def test_a_bundle_is_evaluated_without_torch(lstm_bundle: Path) -> None:
    code = "import sim2real.evaluate, sim2real.collect; from sim2real.deploy import BundlePolicy"
    assert run_blocked(code).returncode == 0


@pytest.mark.parametrize("module", ["torch", "mujoco", "gymnasium", "sim2real.export"])
def test_the_block_works(module: str) -> None:
    result = run_blocked(f"import {module}")
    assert result.returncode == 1
    assert "ImportError: blocked:" in result.stderr


def test_run_needs_no_command_line_library(point_folder: Path) -> None:
    """`sim2real run` where a plain installation's dependencies are missing."""
    code = "from sim2real.cli import main; sys.exit(main(sys.argv[1:]))"
    result = run_blocked(code, "run", str(point_folder), "--robot", "replay", "--steps", "20")
    assert result.returncode == 0, result.stderr
    assert "20 commands compared" in result.stdout
    result = run_blocked(code, "run", str(point_folder), "--env", "sim2real/FetchReach-v0")
    assert result.returncode == 2
    assert result.stderr.startswith("sim2real: error: a simulated robot needs ")
    result = run_blocked(code, "list")
    assert result.returncode == 2
    assert "this command needs what a plain `pip install sim2real` brings" in result.stderr
