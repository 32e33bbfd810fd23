"""``sim2real transfer``: which evaluations it needs, and what is written."""

from __future__ import annotations

import csv
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim2real import transfer as analysis
from sim2real.bootstrap import Resolved
from sim2real.envs import PARAMETERS, TASKS, DynamicsSet, find, is_task, load_dynamics, make_vec
from sim2real.envs.variations import GROUPS, active, levels, members, span, with_values
from sim2real.episode_store import EpisodeStore
from sim2real.errors import UserError, unknown
from sim2real.evaluate import Evaluation
from sim2real.jobs import Cell, evaluate_cells
from sim2real.policy_kinds import PolicyKind, policy_kinds
from sim2real.provenance import provenance
from sim2real.record import RecordError, record_next
from sim2real.runs import read_config
from sim2real.sources import default_place, open_policy
from sim2real.tables import text_table
from sim2real.transfer_page import SIGNS, write_transfer

UNITS = {p.name: p.unit for p in PARAMETERS}


@dataclass(frozen=True)
class Options:
    """What `sim2real transfer` was asked for."""

    dynamics: tuple[str, ...]
    base: str
    """Set that sweeps and heat maps start from; its ranges are marked in the plots."""
    leave_one_out: tuple[str, ...]
    sweep: tuple[str, ...]
    heat: tuple[str, str] | None
    episodes: int
    grid_episodes: int
    seed: int
    videos: int
    workers: int


def transfer(sources: Sequence[Path], out: Path | None, options: Options) -> int:
    """Evaluate, write ``transfer.json``, ``episodes.csv``, videos and ``transfer.html`` to ``out``, print a table.

    Episodes are kept in ``out/episodes`` as they come; a call that finds some there computes only the others.
    """
    kinds = open_kinds(sources)
    folder = out or _default_folder(kinds[0].sources[0])
    conditions = _conditions(options, kinds[0].task)  # wrong names are known before any work
    cells = {
        (kind.name, source, key): Cell(source, kind.task, dynamics, count, options.seed)
        for key, (dynamics, count) in conditions.items()
        for kind in kinds
        for source in kind.sources
    }
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder} is a file; give a folder")
    folder.mkdir(parents=True, exist_ok=True)
    done = evaluate_cells(cells, workers=options.workers, store=EpisodeStore(folder / "episodes"))

    def of(key: tuple[Any, ...]) -> dict[str, list[Evaluation]]:
        return {kind.name: [done[kind.name, source, key] for source in kind.sources] for kind in kinds}

    scores: dict[str, dict[str, list[Evaluation]]] = {kind.name: {} for kind in kinds}
    for key in conditions:
        if key[0] == "setting":
            for kind, evaluations in of(key).items():
                scores[kind][key[1]] = evaluations
    grid = {key: of(key) for key in conditions if key[0] != "setting"}
    content = _content(kinds, scores, grid, options)
    content["clips"] = _clips(kinds, scores, options, folder)
    _write(folder, content, analysis.episode_rows(scores, {k.name: [str(s) for s in k.sources] for k in kinds}))
    print(format_transfer(content))
    print(f"report: {write_transfer(folder, content)}")
    return 0


def _default_folder(source: Path) -> Path:
    return default_place(source, "transfer", "_transfer")


def open_kinds(sources: Sequence[Path]) -> list[PolicyKind]:
    """The kinds of policy in run directories and bundles."""
    if not sources:
        raise UserError("give at least one run directory or bundle")
    runs, bundles = [], []
    for source in sources:
        if (source / "config.yaml").is_file():
            runs.append((source, read_config(source)))
        _, task = open_policy(source)  # raises where there is no policy
        if not is_task(task):
            raise UserError(f"{source} is a policy for {task}, which has no sets of dynamics: {', '.join(TASKS)} have")
        if not (source / "config.yaml").is_file():
            bundles.append((source, task))
    return policy_kinds(runs, bundles)


Conditions = dict[tuple[Any, ...], tuple[DynamicsSet, int]]


def _conditions(options: Options, task: str) -> Conditions:
    """What is evaluated: ("setting", name), ("sweep", parameter, value), ("heat", value, value) -> set and episodes."""
    found: Conditions = {}
    left_out = [text for base in options.leave_one_out for text in (base, *_groups_of(base, task).values())]
    for name in (*options.dynamics, *left_out):
        found["setting", name] = load_dynamics(name), options.episodes
    base = load_dynamics(options.base).of(task)
    for name in _swept(options, base, task):
        for value in levels(base, name):
            found["sweep", name, value] = with_values(base, {name: value}), options.grid_episodes
    if options.heat:
        a, b = options.heat
        if a == b:
            raise UserError(f"--heat needs two different parameters, got {a} twice")
        for x in levels(base, a):
            for y in levels(base, b):
                found["heat", x, y] = with_values(base, {a: x, b: y}), options.grid_episodes
    return found


def _groups_of(base: str, task: str) -> dict[str, str]:
    """Group -> setting without it, for the groups that ``base`` randomises."""
    varied = active(load_dynamics(base).of(task), find(task).features)
    return {group: f"{base}:{group}" for group in GROUPS if set(members(group)) & set(varied)}


def _swept(options: Options, base: DynamicsSet, task: str) -> tuple[str, ...]:
    known = active(base, find(task).features)
    chosen = known if options.sweep == ("all",) else options.sweep
    for name in (*chosen, *(options.heat or ())):
        if name not in known:
            raise UserError(unknown(f"parameter of {options.base}", name, (*known, "all")))
    return chosen


def _content(
    kinds: Sequence[PolicyKind],
    scores: Mapping[str, Mapping[str, list[Evaluation]]],
    grid: Mapping[tuple[Any, ...], dict[str, list[Evaluation]]],
    options: Options,
) -> dict[str, Any]:
    """``transfer.json``, but for the videos."""
    task = kinds[0].task
    main = {kind: {name: found[name] for name in options.dynamics} for kind, found in scores.items()}
    ranges = _ranges(options.base, task)
    loo = [
        row for base in options.leave_one_out for row in analysis.leave_one_out(scores, base, _groups_of(base, task))
    ]
    return {
        "command": shlex.join(["sim2real", *sys.argv[1:]]),
        "task": kinds[0].task,
        "seed": options.seed,
        "episodes": options.episodes,
        **provenance(),
        "kinds": [
            {
                "name": kind.name,
                "sources": list(map(str, kind.sources)),
                "memory": kind.memory,
                "dynamics": kind.dynamics,
            }
            for kind in kinds
        ],
        "settings": list(options.dynamics),
        "rows": analysis.rows(scores),
        "comparisons": analysis.comparisons(main),
        "leave_one_out": loo,
        "curves": analysis.parameter_curves(main, UNITS, ranges),
        "sweeps": [
            {
                "parameter": name,
                "unit": UNITS[name],
                "trained": ranges.get(name),
                "points": [
                    analysis.grid_point(kind, {name: key[2]}, evaluations)
                    for key, found in grid.items()
                    if key[:2] == ("sweep", name)
                    for kind, evaluations in found.items()
                ],
            }
            for name in dict.fromkeys(key[1] for key in grid if key[0] == "sweep")
        ],
        "heat": _heat(grid, options, ranges),
    }


def _heat(
    grid: Mapping[tuple[Any, ...], dict[str, list[Evaluation]]], options: Options, ranges: Mapping[str, Any]
) -> dict[str, Any] | None:
    if not options.heat:
        return None
    a, b = options.heat
    parameters = [{"name": name, "unit": UNITS[name], "trained": ranges.get(name)} for name in (a, b)]
    points = [
        analysis.grid_point(kind, {a: key[1], b: key[2]}, evaluations)
        for key, found in grid.items()
        if key[0] == "heat"
        for kind, evaluations in found.items()
    ]
    return {"parameters": parameters, "points": points}


def _ranges(base: str, task: str) -> dict[str, tuple[float, float, bool]]:
    dynamics = load_dynamics(base).of(task)
    return {name: span(dynamics, name) for name in active(dynamics, find(task).features)}


def _clips(
    kinds: Sequence[PolicyKind],
    scores: Mapping[str, Mapping[str, list[Evaluation]]],
    options: Options,
    folder: Path,
) -> dict[str, Any]:
    """Film the first successes and failures of each kind's first policy in each setting."""
    found: list[dict[str, Any]] = []
    for kind in kinds if options.videos else ():
        policy, _ = open_policy(kind.sources[0])
        for j, setting in enumerate(options.dynamics):
            env = make_vec(kind.task, 1, setting, threads=1, held_out=True)
            evaluation = scores[kind.name][setting][0]
            for outcome, wanted in (("success", 1.0), ("failure", 0.0)):
                told = (evaluation.success == wanted) & (evaluation.base_rate == 0)  # solved at reset shows nothing
                for episode in told.nonzero()[0][: options.videos].tolist():
                    file = f"videos/{len(found)}_{kinds.index(kind)}_{j}_{outcome}_{episode}.mp4"
                    env.load_state_dict({"seed": options.seed, "next_episode": episode})
                    try:
                        success = record_next(policy, env, folder / file, f"{kind.name}, {setting}")
                    except RecordError as error:
                        return {"videos": [], "note": f"No videos: {error}"}
                    clip = {"file": file, "kind": kind.name, "setting": setting, "episode": episode}
                    found.append({**clip, "outcome": "success" if success else "failure"})
            env.close()
    return {"videos": found, "note": ""}


def _write(folder: Path, content: Mapping[str, Any], episodes: Sequence[Mapping[str, Any]]) -> None:
    (folder / "transfer.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with open(folder / "episodes.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(episodes[0]) if episodes else [])  # sweeps alone have none
        writer.writeheader()
        writer.writerows(episodes)


def format_transfer(content: Mapping[str, Any]) -> str:
    """Plain text for a terminal: success of every kind in every setting, then the differences with their sign."""
    lines = [("policy/dynamics", "success [95 %]", "worst tenth")]
    metrics: dict[str, dict[str, Any]] = {}
    for row in content["rows"]:
        metrics.setdefault(row["setting"], {})[row["metric"]] = row
    for setting, found in metrics.items():
        worst = found.get("worst_decile_success")
        lines.append((setting, _text(found["success"]), f"{worst['value']:.3f}" if worst else "-"))
    for row in content["comparisons"]:
        resolved: Resolved = row["resolved"]
        lines.append((f"{row['a']} - {row['b']}, {row['setting']}", _text(row, sign=True), SIGNS[resolved]))
    return text_table(lines)


def _text(row: Mapping[str, Any], *, sign: bool = False) -> str:
    form = "+.3f" if sign else ".3f"
    return f"{row['value']:{form}} [{row['low']:{form}}, {row['high']:{form}}]"
