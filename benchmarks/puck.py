"""The tables of docs/peng2017.md: train the policies of Peng et al. 2017, then test them on the same episodes.

Runs that are there are continued and episodes that are there are not computed again, so an interrupted call can be
repeated. Each run takes half an hour to an hour of one core.

    python benchmarks/puck.py --seeds 0 1 --parallel 2
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from headline import call
from our_curves import training
from peng_tables import SETTINGS
from publishing import publish

PRESETS = ("puck_lstm", "puck_hist", "puck_ff", "puck_norand")
HELD = ("fixed_timestep", "no_noise", "fixed_mass", "fixed_friction")
VARIANTS = {
    "2M": "trainer.total_samples=2_000_000",
    **{held: f"env.dynamics=train:{held}" for held in HELD},
}
"""More LSTMs with the first seed: twice the samples; a group of parameters at nominal in training (their Table III)."""
BULKY = ("curves", "sweeps", "heat", "clips", "leave_one_out", "command", "versions", "commit", "machine")
"""What `sim2real transfer` writes and these tables do not need, or say themselves."""


def plan(seeds: list[int], variants: Iterable[str] = tuple(VARIANTS)) -> Iterator[tuple[str, list[str]]]:
    """Name of each run and the options of its training."""
    for seed in seeds:
        for preset in PRESETS:
            yield f"{preset}_s{seed}", [preset, "--seed", str(seed)]
    for variant in variants:
        yield f"{PRESETS[0]}_{variant}_s{seeds[0]}", [PRESETS[0], "--seed", str(seeds[0]), "--set", VARIANTS[variant]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument(
        "--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS), help="more LSTMs (without names: none)"
    )
    parser.add_argument("--parallel", type=int, default=1, help="trainings at the same time on this machine")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--runs", type=Path, default=Path("runs/puck"))
    parser.add_argument("--out", type=Path, default=Path("results/transfer_puck.json"))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    runs = {args.runs / name: options for name, options in plan(args.seeds, args.variants)}
    with ThreadPoolExecutor(args.parallel) as pool:
        list(pool.map(lambda run: call(run.with_suffix(".log"), "train", *runs[run], "--run-dir", str(run)), runs))
    folder = args.runs / "transfer"
    tests = ["--dynamics", *SETTINGS, "--episodes", str(args.episodes), "--leave-one-out", "--videos", "0"]
    call(folder.with_suffix(".log"), "transfer", *map(str, runs), *tests, "--out", str(folder))
    found = json.loads((folder / "transfer.json").read_text(encoding="utf-8"))
    kinds = [{**kind, "sources": [Path(source).name for source in kind["sources"]]} for kind in found.pop("kinds")]
    result = {key: value for key, value in found.items() if key not in BULKY}
    result |= {"kinds": kinds, "training": {run.name: training(run) for run in runs}}
    publish("puck", result, args.out, unprinted=("rows", "comparisons", "training"))


if __name__ == "__main__":
    main()
