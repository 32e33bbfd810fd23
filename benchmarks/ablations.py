"""What each setting of a preset is worth: the preset with one change at a time, trained until 0.9 of 100 episodes.

Samples are what an ablation is about; they do not depend on what else the machine does. Seconds (training only) do,
so seconds a sample stand beside the preset's own. A run that has not reached 0.9 after `--samples` is a lower bound.
Finished runs are kept in `--runs` and not repeated; the file is written after each run, with what this call was asked
for, so an interrupted call can be given again, and one with more seeds or rows adds to what is there.

    python benchmarks/ablations.py --seeds 0 1 --parallel 2
    python benchmarks/ablations.py --only preset "gamma 0.95" --seeds 2 --out gamma.json
"""

from __future__ import annotations

import argparse
import re
import statistics
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from marks import MARKS, median_reached, reached, times_faster
from our_curves import LOG_EVERY_ITERATION, train
from publishing import publish

PRESET = "fetch_push"
AIM = 0.9
REFERENCE = "preset"
CHANGES: Mapping[str, Sequence[str]] = {
    REFERENCE: (),
    "gamma 0.95": ("agent.gamma=0.95",),
    "targets move every 5 updates": ("agent.target_interval=5",),
    "targets move 1 % every update": ("agent.target_interval=1", "agent.tau=0.01"),
    "half the updates": ("agent.updates_per_collect=60",),
    "twice the updates": ("agent.updates_per_collect=240",),
    "a quarter of the updates, four times the batch": ("agent.updates_per_collect=30", "agent.steps_per_episode=8"),
    "policy moved by every second update": ("agent.policy_delay=2",),
    "four goals a transition": ("agent.num_goals=4",),
    "one goal an episode": ("agent.per_step=false",),
    "goals replaced where fulfilled before": ("agent.keep_fulfilled=0.2",),
    "twin critics": ("agent.twin_critics=true",),
    "critic with layer normalisation": ("agent.critic_layer_norm=true",),
    "targets of 3 steps": ("agent.n_step=3",),
    "transitions drawn uniformly": ("agent.priority=uniform",),
    "no near starts": ("env.near_starts=0",),
    "a tenth of random actions, half the noise": ("agent.random_probability=0.1", "agent.noise=0.1"),
    "actions cost a tenth": ("agent.action_l2=0.1",),
    "a third of the learning rate": ("agent.learning_rate=3e-4",),
    "layers of 256": ("agent.hidden=[256,256,256]",),
}
"""Row -> overrides of the preset."""
Curves = dict[str, dict[int, dict[str, Any]]]


def curve(args: argparse.Namespace, row: str, seed: int) -> dict[str, Any]:
    """The learning curve of one row and seed; trained if it is not there."""
    folder = re.sub(r"\W+", "_", row)
    run_dir = args.runs / f"{folder}_s{seed}"
    overrides = [
        *CHANGES[row],
        f"trainer.total_samples={args.samples}",
        "trainer.eval_every=10_000",
        "trainer.max_minutes=null",
        LOG_EVERY_ITERATION,
    ]
    made = train(PRESET, run_dir, overrides, seed=seed, stop_at=AIM, minutes=args.minutes)
    return {key: made[key] for key in ("points", "samples", "seconds")}


def summary(curves: Curves) -> list[dict[str, Any]]:
    """One row a change: samples to the marks as ``[low, high]``, and both ratios to the preset (smaller is better)."""
    known = {row: list(runs.values()) for row, runs in curves.items() if runs}
    preset = known.get(REFERENCE)
    rows = []
    for row, runs in known.items():
        marks = {str(mark): median_reached(runs, mark, "samples") for mark in MARKS if mark <= AIM}
        pace = _seconds_per_sample(runs)
        found: dict[str, Any] = {
            "row": row,
            "overrides": list(CHANGES[row]),
            "seeds": sorted(curves[row]),
            "samples": {mark: samples.to_json() for mark, samples in marks.items()},
            "by_seed": [reached(curves[row][seed], AIM, "samples").to_json() for seed in sorted(curves[row])],
            "ms_per_sample": round(1e3 * pace, 3),
        }
        if preset is not None:
            found["samples_over_preset"] = times_faster(
                median_reached(preset, AIM, "samples"), marks[str(AIM)]
            ).to_json()
            found["pace_over_preset"] = round(pace / _seconds_per_sample(preset), 3)
        rows.append(found)
    return rows


def _seconds_per_sample(runs: Sequence[Mapping[str, Any]]) -> float:
    """Median over runs; training alone, evaluations are not in it."""
    return float(statistics.median(run["seconds"] / run["samples"] for run in runs))


def parse() -> argparse.Namespace:
    """The options: rows and seeds to train, where each run ends (in samples, in minutes of training), and where to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CHANGES, default=list(CHANGES), metavar="ROW", help="some rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--parallel", type=int, default=1, help="trainings at the same time on this machine")
    parser.add_argument("--samples", type=int, default=400_000, help="longest run; the preset needs about 200,000")
    parser.add_argument("--minutes", type=float, default=60.0, help="longest run, in minutes of training")
    parser.add_argument("--runs", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--out", type=Path, default=Path(f"results/ablations_{PRESET}.json"))
    return parser.parse_args()


def main() -> None:
    """Train what is missing, seed by seed; write the figures after each run and print them as a line."""
    args = parse()
    curves: Curves = {row: {} for row in args.only}
    writing = threading.Lock()

    def measure(job: tuple[int, str]) -> None:
        seed, row = job
        made = curve(args, row, seed)
        with writing:
            curves[row][seed] = made
            figures = {"preset": PRESET, "aim": AIM, "limit": args.samples, "rows": summary(curves), "curves": curves}
            publish("ablations", figures, args.out, unprinted=("rows", "curves"))

    with ThreadPoolExecutor(args.parallel) as pool:
        list(pool.map(measure, [(seed, row) for seed in args.seeds for row in args.only]))


if __name__ == "__main__":
    main()
