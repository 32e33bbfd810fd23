"""A real training, killed at random moments and started again, ends with the weights of an unbroken one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TRAIN = [sys.executable, "-m", "sim2real", "train", "fetch_reach", "--total-samples", "12800", "--device", "cpu"]
OPTIONS = ["--set", "trainer.save_every=800", "trainer.eval_episodes=0", "agent.updates_per_collect=5"]


@pytest.mark.slow
def test_kill_9_at_random_moments_leaves_the_same_run(tmp_path: Path) -> None:
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    begin = time.monotonic()
    subprocess.run([*TRAIN, "--run-dir", str(unbroken), *OPTIONS], check=True)
    seconds = time.monotonic() - begin
    kills = 0
    while True:
        process = subprocess.Popen([*TRAIN, "--run-dir", str(killed), *OPTIONS])
        try:
            # Later and later, so that even a machine slower than before gets to the end.
            assert process.wait(seconds * random.uniform(0.3, 0.6) * (1 + 0.3 * kills)) == 0
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills >= 1
    weights = Path("policy_last") / "model.safetensors"
    assert (unbroken / weights).read_bytes() == (killed / weights).read_bytes()
