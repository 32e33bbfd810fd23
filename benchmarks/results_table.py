"""Write the tables of README.md and docs from the files under results/: every figure has a source.

python benchmarks/results_table.py           # rewrites the tables
python benchmarks/results_table.py --check   # exit status 1 if one is not up to date
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import deployment_tables
import meta_tables
import peng_tables
import performance_tables
from headline import success
from our_curves import training
from performance_tables import MISSING, ratio, table
from publishing import ROOT, load
from sim2real.sources import DYNAMICS


def success_cell(result: dict[str, Any], setting: str) -> str:
    """Success of each seed under ``setting``."""
    values = [seeds[setting] for seeds in result["success"].values() if setting in seeds]
    return ", ".join(f"{value:.3f}" for value in values) or "-"


def presets() -> list[str]:
    """One row a preset, one number a seed."""
    head = ("preset", "policy, trained on", *DYNAMICS, "minutes of training (samples)", "asked")
    return table(head, *(_preset_row(*preset) for preset in PRESETS), *(_run_row(*run) for run in RUNS))


def _preset_row(name: str, what: str, asked: str) -> tuple[str, ...]:
    result = load(name)
    if result is None:
        return (f"`{name}`", what, MISSING, *[""] * len(DYNAMICS), asked)
    return (f"[`{name}`](results/{name}.json)", what, *_cells(result), asked)


def _run_row(name: str, run: str, what: str, asked: str) -> tuple[str, ...]:
    """A committed run that no preset makes in one go, scored by ``sim2real evaluate``."""
    scores, folder = load(name), f"results/runs/{run}"
    if scores is None:
        return (f"[`{folder}`]({folder})", what, MISSING, *[""] * len(DYNAMICS), asked)
    result = {"success": {"0": success(scores)}, "seeds": [training(ROOT / folder)]}
    return (f"[`{folder}`](results/{name}.json)", what, *_cells(result), asked)


def _cells(result: dict[str, Any]) -> tuple[str, ...]:
    """Success under each set of dynamics, then how long training took, of all seeds."""
    minutes = (f"{seed['minutes']:.1f} ({seed['samples'] / 1000:.0f} k)" for seed in result["seeds"])
    return (*(success_cell(result, setting) for setting in DYNAMICS), ", ".join(minutes))


PRESETS = (
    ("fetch_reach", "LSTM, randomised", "train >= 0.95 in 3 minutes"),
    ("fetch_push", "feed-forward, nominal", "nominal >= 0.97 in 20 minutes"),
    ("fetch_push_dr", "LSTM, randomised", "train >= 0.92 in 75 minutes"),
    ("fetch_push_dr_ff", "feed-forward, randomised", "beside the LSTM"),
    ("fetch_pick_and_place", "feed-forward, nominal", "nominal >= 0.95"),
    ("fetch_slide", "feed-forward, nominal", "nominal >= 0.70"),
)
RUNS = (
    (
        "fetch_slide_run",
        "fetch_slide",
        "the same task, a longer run [in four parts](docs/learning.md)",
        "nominal >= 0.70",
    ),
)
RATIOS = (
    ("env_throughput", "vs_bound", "environment steps/s against bare `mj_step`", ">= 0.85"),
    ("env_throughput", "vs_async", "... against gymnasium's `AsyncVectorEnv`", ">= 2"),
    ("env_throughput", "vs_envpool", "... against EnvPool, which has no randomisation", ">= 1"),
    ("learner", "four_goals_vs_one", "an update with four goals an unroll against one goal", "<= 1.6"),
    ("learner", "four_unrolls_vs_one", "the same four goals with an unroll each", "for comparison"),
)


def ratios() -> list[str]:
    """One row a ratio."""
    rows = ((what, _ratio_cell(name, key), asked) for name, key, what, asked in RATIOS)
    return table(("what", "ratio", "asked"), *rows)


def _ratio_cell(name: str, key: str) -> str:
    value = ratio(name, key)()
    return MISSING if value is None else f"{value} ([file](results/{name}.json))"


def readme() -> dict[str, list[str]]:
    """The README's section."""
    note = (
        "Success at the last step of 1,000 unseen episodes, one number a seed (`python benchmarks/headline.py "
        "PRESET`; of a run: `sim2real evaluate results/runs/RUN --dynamics nominal train unseen --episodes 1000 "
        "--seed 7`), on two cores that other work shared; the files hold intervals, versions and commits."
    )
    puck = (
        "The puck task of Peng et al. 2017 with seven joints and 95 randomised parameters, two seeds a policy "
        "([file](results/transfer_puck.json), `python benchmarks/puck.py --seeds 0 1`; the last row: "
        "[file](results/transfer_puck_annealed.json), which holds its command; what differs from the paper: "
        "[docs/peng2017.md](docs/peng2017.md)):"
    )
    results = [note, "", *presets(), "", puck, "", *peng_tables.success(), "", *ratios()]
    return {"results": results, "meta": meta_tables.summary()}


def rewritten(text: str, sections: dict[str, list[str]]) -> str:
    """``text`` with new lines between the two marks of every section.

    Raises:
        ValueError: a section has no marks in the text.
    """
    for name, lines in sections.items():
        begin, end = f"<!-- {name}: written by benchmarks/results_table.py -->", f"<!-- end of {name} -->"
        if begin not in text or end not in text:
            raise ValueError(f"the text has no {begin!r} with {end!r} after it")
        before, _, rest = text.partition(begin)
        text = before + "\n".join([begin, *lines, end]) + rest.partition(end)[2]
    return text


def documents() -> dict[str, dict[str, list[str]]]:
    """Every document with its sections."""
    return {
        "README.md": readme(),
        "docs/performance.md": performance_tables.tables(),
        "docs/deployment.md": deployment_tables.tables(),
        **meta_tables.documents(),
        **peng_tables.documents(),
    }


def main() -> int:
    """Rewrite the documents, or check them; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; say what is not up to date")
    args = parser.parse_args()
    old = []
    for name, sections in documents().items():
        text = (ROOT / name).read_text(encoding="utf-8")
        new = rewritten(text, sections)
        if new != text:
            old.append(name)
            if not args.check:
                (ROOT / name).write_text(new, encoding="utf-8")
    if args.check and old:
        print(f"not up to date with results/: {', '.join(old)}; run python benchmarks/results_table.py")
    return int(args.check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
