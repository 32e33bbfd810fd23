"""Write the README's table from the files under results/, so that every figure in it has a source.

python benchmarks/results_table.py           # rewrites the table in README.md
python benchmarks/results_table.py --check   # exit status 1 if README.md is not up to date
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- results: written by benchmarks/results_table.py -->", "<!-- end of results -->"


def load(name: str) -> dict[str, Any] | None:
    """A file of figures, or None where it was not measured yet."""
    path = ROOT / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def success_cell(result: dict[str, Any], setting: str) -> str:
    """Success of each seed under ``setting``."""
    values = [seeds[setting] for seeds in result["success"].values() if setting in seeds]
    return ", ".join(f"{value:.3f}" for value in values) or "-"


def preset_rows() -> list[str]:
    """One row a preset, one number a seed."""
    rows = [
        "| preset | policy, trained on | nominal | train | unseen | minutes of training | asked |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, what, asked in PRESETS:
        result = load(name)
        if result is None:
            rows.append(f"| `{name}` | {what} | not measured yet | | | | {asked} |")
            continue
        cells = " | ".join(success_cell(result, setting) for setting in ("nominal", "train", "unseen"))
        minutes = ", ".join(f"{seed['train_minutes']:.1f}" for seed in result["seeds"])
        rows.append(f"| [`{name}`](results/{name}.json) | {what} | {cells} | {minutes} | {asked} |")
    return rows


PRESETS = (
    ("fetch_reach", "LSTM, randomised", "train >= 0.95 in 3 minutes"),
    ("fetch_push", "feed-forward, nominal", "nominal >= 0.97 in 20 minutes"),
    ("fetch_push_dr", "LSTM, randomised", "train >= 0.92 in 75 minutes"),
    ("fetch_push_dr_ff", "feed-forward, randomised", "beside the LSTM"),
)
RATIOS = (
    ("env_throughput", "vs_bound", "environment steps/s against bare `mj_step`", ">= 0.85"),
    ("env_throughput", "vs_async", "... against gymnasium's `AsyncVectorEnv`", ">= 2"),
    ("env_throughput", "vs_envpool", "... against EnvPool, which has no randomisation", ">= 1"),
    ("learner", "four_goals_vs_one", "an update with four goals an unroll against one goal", "<= 1.6"),
    ("learner", "four_unrolls_vs_one", "the same four goals with an unroll each", "for comparison"),
)


def figure(result: dict[str, Any], key: str) -> float:
    """A headline figure, which some benchmarks keep beside the rows it was chosen from."""
    return float(result.get("figures", result)[key])


def ratio_rows() -> list[str]:
    """One row a ratio."""
    rows = ["| what | ratio | asked |", "| --- | --- | --- |"]
    for name, key, what, asked in RATIOS:
        result = load(name)
        value = "not measured yet" if result is None else f"{figure(result, key):.2f} ([file](results/{name}.json))"
        rows.append(f"| {what} | {value} | {asked} |")
    return rows


def table() -> str:
    """The README's section between its two marks."""
    note = (
        "Success at the last step of 1,000 unseen episodes, one number a seed (`python benchmarks/headline.py "
        "PRESET`), on two cores that other work shared; the files hold intervals, versions and commits."
    )
    return "\n".join([BEGIN, note, "", *preset_rows(), "", *ratio_rows(), END])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; say whether README.md is up to date")
    args = parser.parse_args()
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    new = before + table() + rest.partition(END)[2]
    if not args.check:
        readme.write_text(new, encoding="utf-8")
    elif new != text:
        print("README.md is not up to date with results/: run python benchmarks/results_table.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
