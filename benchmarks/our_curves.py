"""Trains one of our presets through the command line, as a user would, and makes a learning curve of its log.

The trainer's clock runs on while it evaluates, and its collector goes on beside it. So every iteration is logged; a row
is written right before an evaluation, the evaluation's own right after, and what lies between them is taken off. What
the collector did meanwhile shows as a shorter next iteration and is put on again.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim2real.metrics import read_metrics

SUCCESS = "eval/success"
LOG_EVERY_ITERATION = "trainer.log_every=1"
Row = dict[str, Any]


def curve(rows: Sequence[Row]) -> dict[str, Any]:
    """Points and end of a run without its evaluations, from the rows of ``metrics.jsonl``.

    Raises:
        ValueError: an evaluation without a row right before it: the run was not logged with `LOG_EVERY_ITERATION`.
    """
    usual = _usual_iteration(rows)
    points, off, evaluation_seconds = [], 0.0, 0.0
    for before, row, after in zip([None, *rows], rows, [*rows[1:], None], strict=False):
        if SUCCESS not in row:
            continue
        if before is None or before["samples"] != row["samples"]:
            raise ValueError(
                f"no row before the evaluation at {row['samples']} samples; train with {LOG_EVERY_ITERATION}"
            )
        seconds = row["seconds"] - before["seconds"]
        points.append(
            {"samples": row["samples"], "seconds": round(before["seconds"] - off, 3), "success": row[SUCCESS]}
        )
        head_start = 0.0 if after is None else usual - (after["seconds"] - row["seconds"])
        off += seconds - min(max(head_start, 0.0), seconds)
        evaluation_seconds += seconds
    last = rows[-1] if rows else {"samples": 0, "seconds": 0.0}
    return {
        "points": points,
        "samples": last["samples"],
        "seconds": round(last["seconds"] - off, 3),
        "evaluation_seconds": round(evaluation_seconds, 3),
    }


def evaluations(run_dir: Path) -> list[Row]:
    """Every evaluation of a run while it trained, by the trainer's clock, which counts evaluations too."""
    return [
        {"samples": row["samples"], "seconds": round(row["seconds"], 1), "success": row[SUCCESS]}
        for row in read_metrics(run_dir)
        if SUCCESS in row
    ]


def training(run_dir: Path) -> dict[str, Any]:
    """How long a run took, from what commit, and how it learned."""
    run = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    return {
        "minutes": round(run["seconds"] / 60, 2),
        "samples": run["samples"],
        "commit": run["commit"],
        "evaluations": evaluations(run_dir),
    }


def _usual_iteration(rows: Sequence[Row]) -> float:
    """Median seconds of an iteration with no evaluation in or before it; 0 where there is none."""
    pairs = itertools.pairwise(rows)
    times = [b["seconds"] - a["seconds"] for a, b in pairs if SUCCESS not in a and SUCCESS not in b]
    return statistics.median(times) if times else 0.0


def train(
    preset: str, run_dir: Path, overrides: Sequence[str], *, seed: int, stop_at: float, minutes: float
) -> dict[str, Any]:
    """Run ``sim2real train``, or continue it, until an evaluation reaches ``stop_at``, the training took ``minutes``,
    or the preset's own samples are used up. The end is a Ctrl-C, as a user would give it.

    Raises:
        SystemExit: the command failed; its output is beside ``run_dir``.
    """
    run_dir.parent.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    # An earlier call may have been killed after the mark: a signal to a process that is starting would be its end.
    if not _is_done(run_dir, stop_at, minutes):
        command = [sys.executable, "-m", "sim2real", "train", preset, "--run-dir", str(run_dir), "--seed", str(seed)]
        _run([*command, "--set", *overrides], run_dir, stop_at, minutes)
    return {**curve(read_metrics(run_dir)), "load_average_before": load}


def _run(command: Sequence[str], run_dir: Path, stop_at: float, minutes: float) -> None:
    log = run_dir.with_suffix(".log")
    with log.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None and not _is_done(run_dir, stop_at, minutes):
                time.sleep(1.0)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            code = process.wait()
    if code not in (0, 128 + signal.SIGINT):
        raise SystemExit(f"sim2real train ended with exit code {code}; its output is in {log}")


def _is_done(run_dir: Path, stop_at: float, minutes: float) -> bool:
    now = curve(read_metrics(run_dir))
    return now["seconds"] >= 60 * minutes or any(point["success"] >= stop_at for point in now["points"])
