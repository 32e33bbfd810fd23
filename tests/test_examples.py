from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sim2real.envs import load_dynamics

ROOT = Path(__file__).resolve().parent.parent


def test_own_policy() -> None:
    command = [sys.executable, "examples/own_policy.py", "--episodes", "2"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "fast, unseen" in output and "Comparison" in output


def test_heavy_box_changes_what_it_says_and_nothing_else() -> None:
    own, train = load_dynamics(str(ROOT / "examples" / "heavy_box.yaml")).to_dict(), load_dynamics("train").to_dict()
    changed = {name for name in train["parameters"] if own["parameters"][name] != train["parameters"][name]}
    assert changed == {"object_mass", "action_delay"}
