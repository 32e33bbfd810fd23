"""The table in ``docs/dynamics.md``: ``python -m sim2real.envs.document docs/dynamics.md`` brings it up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from sim2real.envs.distribution import Distribution
from sim2real.envs.dynamics import MOST_JOINTS, PARAMETERS, DynamicsParameter
from sim2real.envs.dynamics_sets import DynamicsSet, load_dynamics

BEGIN, END = "<!-- parameters: begin -->", "<!-- parameters: end -->"
HEAD = ("Parameter", "Tasks", "What", "Unit", "Writes", "Redrawn", "Nominal", "`train`", "`unseen`")
TASKS_WITH = {
    "": "all",
    "object": "with an object",
    "table": "with a table",
    "fetch": "of Fetch",
    "weld": "of Fetch, not the puck",
    "joints": "puck",
    "joint_1": "own arm",
}
"""What a parameter needs -> which tasks have it. Those of an own arm's further joints are like those of its first."""
PUCK = "FetchPuck"
EACH_STEP = {
    "uniform": "each step, uniform up to it",
    "exponential": "each step, exponential of this mean",
    "normal": "each step, normal of this deviation",
    "bernoulli": "each step, with this probability",
}


def table() -> str:
    """The parameters as a Markdown table."""
    train, unseen = load_dynamics("train"), load_dynamics("unseen")
    rows = [
        (
            f"`{p.name}`" + (f" to `{MOST_JOINTS}`" if p.needs == "joint_1" else ""),
            TASKS_WITH[p.needs],
            p.text,
            p.unit,
            _writes(p),
            EACH_STEP.get(p.redraw, "episode"),
            f"{p.nominal:g}",
            _column(p, train),
            "as `train`" if _column(p, unseen) == _column(p, train) else _column(p, unseen),
        )
        for p in PARAMETERS
        if p.needs in TASKS_WITH
    ]
    lines = [HEAD, ("---",) * len(HEAD), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def _column(parameter: DynamicsParameter, dynamics: DynamicsSet) -> str:
    """The range in a set: that of gymnasium-robotics' tasks, then the puck's where it differs."""
    general, puck = _range(dynamics[parameter.name]), _range(dynamics.of(PUCK)[parameter.name])
    if parameter.needs == "joints":
        return puck
    return general if general == puck or parameter.needs in ("weld", "joint_1") else f"{general}; puck: {puck}"


def _writes(parameter: DynamicsParameter) -> str:
    places: dict[str, list[str]] = {}
    for w in parameter.writes:
        places.setdefault(f"`{w.field}`" + ("" if w.column is None else f" {w.column}"), []).append(w.where)
    return "; ".join(f"{field}: {', '.join(where)}" for field, where in places.items()) or "-"


def _range(distribution: Distribution) -> str:
    if distribution.kind == "fixed":
        return f"{distribution.intervals[0][0]:g}"
    pairs = " or ".join(f"{low:g} to {high:g}" for low, high in distribution.intervals)
    scale = {"log_uniform": " (log)", "inverse_uniform": " (inverse)"}.get(distribution.kind, "")
    return pairs + scale


def updated(text: str) -> str:
    """``text`` with the table between its two markers replaced."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
