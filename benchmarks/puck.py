"""The tables of docs/peng2017.md: train the policies of Peng et al. 2017, then test them on the same episodes.

Runs that are there are continued and episodes that are there are not computed again, so an interrupted call can be
repeated. Each run takes half an hour to an hour of one core.

    python benchmarks/puck.py --seeds 0 1 --parallel 2
    python benchmarks/puck.py --policies --variants annealed --parallel 2 --out results/transfer_puck_annealed.json \\
        --beside results/bundles/puck_hist results/bundles/puck_ff results/bundles/puck_norand
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
    "2M": ("trainer.total_samples=2_000_000",),
    **{held: (f"env.dynamics=train:{held}",) for held in HELD},
    "annealed": (
        "agent.anneal_samples=1_000_000",
        "agent.anneal_samples=2_000_000 trainer.total_samples=2_000_000",
    ),
}
"""More LSTMs, with the settings of each session of their training: twice the samples; a group of parameters at nominal
(their Table III); learning rates that fall over the first million samples and, from half the first ones, over the
second. All but the last with the first seed alone."""
BULKY = ("curves", "sweeps", "heat", "clips", "leave_one_out", "command", "versions", "commit", "machine")
"""What `sim2real transfer` writes and these tables do not need, or say themselves."""


def plan(
    seeds: list[int], policies: Iterable[str] = PRESETS, variants: Iterable[str] = tuple(VARIANTS)
) -> Iterator[tuple[str, list[list[str]]]]:
    """Name of each run and the options of each session of its training."""
    for seed in seeds:
        for preset in policies:
            yield f"{preset}_s{seed}", [[preset, "--seed", str(seed)]]
    for variant in variants:
        for seed in seeds if variant == "annealed" else seeds[:1]:
            begin = [PRESETS[0], "--seed", str(seed), "--set"]
            yield f"{PRESETS[0]}_{variant}_s{seed}", [[*begin, *settings.split()] for settings in VARIANTS[variant]]


def train(run: Path, sessions: list[list[str]]) -> None:
    for options in sessions:
        call(run.with_suffix(".log"), "train", *options, "--run-dir", str(run))


def main() -> None:
    """Train what is missing, test all on the same episodes, write the figures and print them as a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--policies", nargs="*", choices=PRESETS, default=PRESETS)
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=["2M", *HELD])
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="runs or bundles to test, too")
    parser.add_argument("--parallel", type=int, default=1, help="trainings at the same time on this machine")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--runs", type=Path, default=Path("runs/puck"))
    parser.add_argument("--out", type=Path, default=Path("results/transfer_puck.json"))
    args = parser.parse_args()
    args.runs.mkdir(parents=True, exist_ok=True)
    runs = {args.runs / name: sessions for name, sessions in plan(args.seeds, args.policies, args.variants)}
    with ThreadPoolExecutor(args.parallel) as pool:
        list(pool.map(lambda run: train(run, runs[run]), runs))
    folder = args.runs / "transfer"
    tests = ["--dynamics", *SETTINGS, "--episodes", str(args.episodes), "--leave-one-out", "--videos", "0"]
    call(folder.with_suffix(".log"), "transfer", *map(str, [*runs, *args.beside]), *tests, "--out", str(folder))
    found = json.loads((folder / "transfer.json").read_text(encoding="utf-8"))
    kinds = [{**kind, "sources": [Path(source).name for source in kind["sources"]]} for kind in found.pop("kinds")]
    result = {key: value for key, value in found.items() if key not in BULKY}
    result |= {"kinds": kinds, "training": {run.name: training(run) for run in runs}}
    publish("puck", result, args.out, unprinted=("rows", "comparisons", "training"))


if __name__ == "__main__":
    main()
