"""``sim2real probe``: which evaluations it needs, and what is written."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sim2real import probe as analysis
from sim2real.bootstrap import success_interval
from sim2real.envs import load_dynamics
from sim2real.envs.variations import DynamicsChange
from sim2real.errors import UserError
from sim2real.evaluate import Evaluation
from sim2real.jobs import Cell, evaluate_cells, trace_cells
from sim2real.memory import KINDS, Intervention
from sim2real.probe_page import write_probe
from sim2real.provenance import provenance
from sim2real.runs import load_policy, read_config
from sim2real.types import TaskSpec

LEAST = 50
"""Fewest episodes from which a reader is fitted."""


def probe(run: Path, dynamics: str, *, episodes: int, seed: int, workers: int) -> int:
    """Measure, write ``probe.json`` and ``probe.html`` to the run, print a table."""
    task, memory = _check(run, dynamics, episodes)
    horizon = task.horizon
    cell = Cell(run, task.name, load_dynamics(dynamics), episodes, seed)
    done = evaluate_cells(_conditions(cell, horizon), workers=workers)
    step = analysis.change_steps(horizon)[1]
    changed = dataclasses.replace(cell, change=DynamicsChange(step, cell.dynamics))
    traces = trace_cells({"plain": cell, "changed": changed}, workers=workers)
    names = task.dynamics_names
    parameters = analysis.identification(traces["plain"], names, task.control_dt)
    known = [names.index(row["name"]) for row in parameters if row["identified"]]
    # The table does not move in mid-episode, so there is nothing to find anew.
    moved = [p for p in known if np.any(traces["changed"].mu[:, 0, p] != traces["changed"].mu[:, -1, p])]
    content: dict[str, Any] = {
        "command": shlex.join(["sim2real", *sys.argv[1:]]),
        "run": str(run),
        "task": task.name,
        "memory": memory,
        "dynamics": dynamics,
        "episodes": episodes,
        "seed": seed,
        "control_dt": task.control_dt,
        **provenance(),
        "steps": analysis.read_steps(horizon),
        "intact": success_interval(done["intact"].success[None]).to_json(),
        "parameters": parameters,
        "disturbances": analysis.disturbances(
            done["intact"], {key: value for key, value in done.items() if isinstance(key, Intervention)}
        ),
        "changes": analysis.changes(done["intact"], _at(done, "changed"), _at(done, "changed and reset")),
        "recovery": analysis.recovery(traces["plain"], traces["changed"], step, moved) if moved else None,
    }
    content["rows"] = analysis.rows(content)
    (run / "probe.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(format_probe(content))
    print(f"report: {write_probe(run / 'probe.html', content)}")
    return 0


def _conditions(cell: Cell, horizon: int) -> dict[Any, Cell]:
    """``intact``, each intervention, and ("changed", step) and ("changed and reset", step)."""
    found: dict[Any, Cell] = {"intact": cell}
    for kind, step in itertools.product(KINDS, analysis.intervention_steps(horizon)):
        if (kind, step) != ("reset", 0):  # which every episode begins with
            what = Intervention(kind, step)
            found[what] = dataclasses.replace(cell, intervention=what)
    for step in analysis.change_steps(horizon):
        changed = dataclasses.replace(cell, change=DynamicsChange(step, cell.dynamics))
        found["changed", step] = changed
        found["changed and reset", step] = dataclasses.replace(changed, intervention=Intervention("reset", step))
    return found


def _at(done: Mapping[Any, Evaluation], what: str) -> dict[int, Evaluation]:
    """Step -> evaluation of the conditions (``what``, step)."""
    return {key[1]: value for key, value in done.items() if isinstance(key, tuple) and key[0] == what}


def _text(row: Mapping[str, Any]) -> str:
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def format_probe(content: Mapping[str, Any]) -> str:
    """Plain text for a terminal."""
    lines = [f"{'parameter':<28} R2 memory  R2 observation  identified"]
    for row in content["parameters"]:
        by = f"by step {row['by_step']} ({row['by_seconds']:.2f} s)" if row["identified"] else "no"
        lines.append(f"{row['name']:<28} {row['peak']['value']:9.3f}  {row['control']['value']:14.3f}  {by}")
    lines.append(f"{'success, memory intact':<36} {_text(content['intact'])}")
    others = [row for row in content["rows"] if row["metric"] == "success" and row["setting"] != "intact"]
    lines += [f"{row['setting']:<36} {_text(row)}" for row in others]
    return "\n".join(lines)


def _check(run: Path, dynamics: str, episodes: int) -> tuple[TaskSpec, str]:
    """The task and the memory's kind. Raises ``UserError`` where there is nothing to probe."""
    config = read_config(run)
    memory = str(getattr(config.agent, "memory", ""))
    policy: Any = load_policy(run)[0]
    if len(policy.initial_state(1)) == 0:
        raise UserError(
            f"{run} has a policy without memory (agent.memory: {memory or 'none'}), so there is nothing to probe; "
            "give a run with lstm, gru or history"
        )
    if episodes < LEAST:
        raise UserError(f"--episodes has to be at least {LEAST} to fit a linear reader, got {episodes}")
    if not any(d.varies for d in load_dynamics(dynamics).of(policy.spec.name).distributions):
        raise UserError(f"nothing varies under {dynamics} dynamics, so nothing can be identified; give train or unseen")
    return policy.spec, memory
