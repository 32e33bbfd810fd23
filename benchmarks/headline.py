"""Train a preset with several seeds, score each on 1,000 unseen episodes, export the first: the figures of the README.

Runs that are already there are continued, so an interrupted call can be repeated. Scores come from the policy that was
best on the training-time evaluation, on episodes of another seed.

    python benchmarks/headline.py fetch_push --seeds 0 1 2
    python benchmarks/headline.py fetch_push_dr --seeds 0 1 --parallel 2 --dynamics nominal train unseen
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from our_curves import training
from publishing import publish
from sim2real.sources import DYNAMICS

SIM2REAL = [sys.executable, "-m", "sim2real"]


def call(log: Path, *arguments: str) -> None:
    """Run a sim2real command, its output at the end of ``log``; raise if it fails."""
    with log.open("a", encoding="utf-8") as file:
        subprocess.run([*SIM2REAL, *arguments], stdout=file, stderr=subprocess.STDOUT, check=True)


def train_and_score(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Wall time, samples, learning curve and scores of one seed."""
    run_dir = args.runs / f"{args.preset}_s{seed}"
    log, scores = run_dir.with_suffix(".log"), run_dir.with_suffix(".json")
    call(log, "train", args.preset, "--run-dir", str(run_dir), "--seed", str(seed), *args.train_options)
    if not is_scored(scores, args):
        evaluation = ["--episodes", str(args.episodes), "--seed", str(args.eval_seed), "--json", str(scores)]
        call(log, "evaluate", str(run_dir), "--dynamics", *args.dynamics, *evaluation)
    return {"seed": seed, **training(run_dir), "rows": json.loads(scores.read_text(encoding="utf-8"))["rows"]}


def is_scored(scores: Path, args: argparse.Namespace) -> bool:
    """Whether an earlier call left exactly these scores of the finished run."""
    policy = scores.with_suffix("") / "policy" / "model.safetensors"
    if not scores.exists() or scores.stat().st_mtime < policy.stat().st_mtime:
        return False
    found = json.loads(scores.read_text(encoding="utf-8"))
    same = (found["episodes"], found["seed"]) == (args.episodes, args.eval_seed)
    return same and {row["setting"] for row in found["rows"]} >= set(args.dynamics)


def success(result: dict[str, Any]) -> dict[str, float]:
    """Success by the name of the dynamics."""
    return {row["setting"]: row["value"] for row in result["rows"] if row["metric"] == "success"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--parallel", type=int, default=1, help="seeds trained at the same time on this machine")
    parser.add_argument("--dynamics", nargs="+", default=DYNAMICS)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--eval-seed", type=int, default=7)
    parser.add_argument("--runs", type=Path, default=Path("runs/headline"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--no-bundle", action="store_true", help="leave results/bundles/PRESET as it is")
    args, train_options = parser.parse_known_args()
    args.train_options = train_options
    args.runs.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(args.parallel) as pool:
        seeds = list(pool.map(lambda seed: train_and_score(args, seed), args.seeds))
    result = {
        "parallel": args.parallel,
        "episodes": args.episodes,
        "eval_seed": args.eval_seed,
        "success": {str(seed["seed"]): success(seed) for seed in seeds},
        "seeds": seeds,
    }
    if not args.no_bundle:
        bundle = args.results / "bundles" / args.preset
        first = args.runs / f"{args.preset}_s{args.seeds[0]}"
        call(first.with_suffix(".log"), "export", str(first), "--out", str(bundle))
    publish(f"headline {args.preset}", result, args.results / f"{args.preset}.json", unprinted=["seeds"])


if __name__ == "__main__":
    main()
