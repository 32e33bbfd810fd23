from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sim2real.envs import TASKS, load_dynamics
from sim2real.export import write_bundle

from .bundles import META, make_policy

ROOT = Path(__file__).resolve().parent.parent


def test_own_policy() -> None:
    command = [sys.executable, "examples/own_policy.py", "--episodes", "2"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "fast, unseen" in output and "Comparison" in output


def test_own_robot(tmp_path: Path) -> None:
    task = TASKS["FetchReach"].spec(())
    write_bundle(tmp_path, make_policy("lstm", task), META)
    command = [
        sys.executable,
        "-m",
        "sim2real",
        "run",
        str(tmp_path),
        "--robot",
        "own_robot:PointGripper",
        "--steps",
        "15",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT / "examples", env=environment, check=True, capture_output=True, text=True)
    assert "cm from its goal" in done.stdout
    assert "15 steps of 40 ms" in done.stdout


def test_heavy_box_changes_what_it_says_and_nothing_else() -> None:
    own, train = load_dynamics(str(ROOT / "examples" / "heavy_box.yaml")).to_dict(), load_dynamics("train").to_dict()
    changed = {name for name in train["parameters"] if own["parameters"][name] != train["parameters"][name]}
    assert changed == {"object_mass", "action_delay"}


def test_sb3_fetch_reach(tmp_path: Path) -> None:
    """Too short to learn anything; what it saves is what the commands in its docstring take."""
    from sim2real.foreign import load_model

    command = [sys.executable, "examples/sb3_fetch_reach.py", "--steps", "60", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    model = load_model(tmp_path / "model.zip", trust=True, vec_normalize=tmp_path / "vec_normalize.pkl")
    assert model.origin() == {"algorithm": "SAC", "library": "stable_baselines3", "samples": 60, "seed": 0}
