"""The tables of docs/peng2017.md, from the files under results/ alone; written by `benchmarks/results_table.py`.

``results/transfer_puck.json`` comes from ``benchmarks/puck.py``, `ANNEALED` too: LSTMs with twice the samples and
learning rates that fall, beside the other policies' bundles.
"""

from __future__ import annotations

from typing import Any

from performance_tables import MISSING, Result, table, unmeasured
from publishing import load
from sim2real.transfer_page import SIGNS

POLICIES = (
    ("puck_lstm", "LSTM", "0.91 ± 0.03", "0.89 ± 0.06"),
    ("puck_hist", "FF + Hist", "0.87 ± 0.03", "0.70 ± 0.10"),
    ("puck_ff", "FF", "0.83 ± 0.04", "0.67 ± 0.14"),
    ("puck_norand", "FF no Rand", "0.51 ± 0.05", "0.00 ± 0.00"),
    ("puck_lstm_2M", "LSTM, twice the samples, one seed", "", ""),
)
"""Preset, the paper's name, its success under random dynamics and on the robot."""
ANNEALED = "transfer_puck_annealed"
LONGER = ("puck_lstm_annealed", "LSTM, twice the samples, falling rates", "", "")
SETTINGS = ("train", "surrogate", "surrogate_fleet", "surrogate_soft_contact")
HELD = (
    ("puck_lstm", "all randomised", "0.89 ± 0.06"),
    ("puck_lstm_fixed_timestep", "fixed action timestep", "0.29 ± 0.11"),
    ("puck_lstm_no_noise", "no observation noise", "0.25 ± 0.12"),
    ("puck_lstm_fixed_mass", "fixed link mass", "0.64 ± 0.10"),
    ("puck_lstm_fixed_friction", "fixed puck friction", "0.48 ± 0.10"),
)
"""Run, what the LSTM was trained with, its success on the paper's robot (Table III)."""


def success() -> list[str]:
    """The paper's table beside ours."""
    head = (
        "model",
        "paper: random dynamics",
        "here: `train`",
        "paper: robot",
        "here: `surrogate`",
        "`surrogate_fleet`",
        "`train` on soft ground",
    )
    result, annealed = load("transfer_puck"), load(ANNEALED)
    if result is None:
        return unmeasured(*head)
    longer = [_success_row(annealed, *LONGER)] if annealed else []
    return table(head, *(_success_row(result, *policy) for policy in POLICIES), *longer)


def _success_row(result: Result, preset: str, model: str, simulated: str, robot: str) -> tuple[str, ...]:
    train, *others = (_cell(result, preset, setting) for setting in SETTINGS)
    return (f"{model} (`{preset}`)", simulated, train, robot, *others)


def _cell(result: Result, preset: str, setting: str) -> str:
    wanted = (f"{preset}/{setting}", "success")
    return next((_interval(row) for row in result["rows"] if (row["setting"], row["metric"]) == wanted), MISSING)


def _interval(row: dict[str, Any], form: str = ".3f") -> str:
    return f"{row['value']:{form}} [{row['low']:{form}}, {row['high']:{form}}]"


def leave_one_out() -> list[str]:
    """What it costs not to randomise a group of parameters in training, beside the paper's Table III."""
    head = ("LSTM trained with", "paper: robot", *(f"`{setting}`" for setting in SETTINGS))
    result = load("transfer_puck")
    if result is None:
        return unmeasured(*head)
    rows = ((what, robot, *(_against_all(result, run, setting) for setting in SETTINGS)) for run, what, robot in HELD)
    return table(head, *rows)


def _against_all(result: Result, run: str, setting: str) -> str:
    """Success, with the sign that says whether the difference to all randomised is resolved."""
    pair = (HELD[0][0], run, setting)
    signs = (
        f" {SIGNS[row['resolved']][0]}" for row in result["comparisons"] if (row["a"], row["b"], row["setting"]) == pair
    )
    return _cell(result, run, setting) + next(signs, "")


def differences() -> list[str]:
    """Every pair on the same episodes, with the sign that says whether the difference is resolved."""
    head = ("difference in success", *(f"`{setting}`" for setting in SETTINGS))
    result, annealed = load("transfer_puck"), load(ANNEALED)
    if result is None:
        return unmeasured(*head)
    policies = {preset for preset, *_ in POLICIES}
    found = [row for row in result["comparisons"] if {row["a"], row["b"]} <= policies]
    # Among themselves the others are there already, with more seeds.
    found += [row for row in annealed["comparisons"] if LONGER[0] in (row["a"], row["b"])] if annealed else []
    pairs: dict[tuple[str, str], dict[str, str]] = {}
    for row in found:
        cell = f"{_interval(row, '+.3f')} {SIGNS[row['resolved']][0]}"
        pairs.setdefault((row["a"], row["b"]), {})[row["setting"]] = cell
    rows = ((f"`{a}` - `{b}`", *(cells.get(s, MISSING) for s in SETTINGS)) for (a, b), cells in pairs.items())
    return table(head, *rows)


def curves() -> list[str]:
    """Success while training, by the samples seen."""
    result = load("transfer_puck")
    marks = (200_000, 400_000, 600_000, 800_000, 1_000_000, 1_500_000, 2_000_000)
    head = ("run", *(f"{mark // 1000} k" for mark in marks), "best", "minutes")
    if result is None:
        return unmeasured(*head)
    runs = {**result["training"], **(load(ANNEALED) or {"training": {}})["training"]}
    rows = (
        (f"`{name}`", *(_near(run, mark) for mark in marks), _best(run), f"{run['minutes']:.0f}")
        for name, run in runs.items()
    )
    return table(head, *rows)


def _near(run: Result, samples: int) -> str:
    """Success at the first evaluation from ``samples`` on."""
    return next((f"{point['success']:.2f}" for point in run["evaluations"] if point["samples"] >= samples), "-")


def _best(run: Result) -> str:
    point = max(run["evaluations"], key=lambda point: point["success"])
    return f"{point['success']:.2f} ({point['samples'] / 1000:.0f} k)"


def documents() -> dict[str, dict[str, list[str]]]:
    """The document with its sections."""
    sections = {
        "puck": success(),
        "puck leave one out": leave_one_out(),
        "puck differences": differences(),
        "puck curves": curves(),
    }
    return {"docs/peng2017.md": sections}
