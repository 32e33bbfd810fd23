"""The tables of docs/performance.md, from the files under results/ alone; written by `benchmarks/results_table.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from publishing import load

TASKS = ("FetchReach", "FetchPush", "FetchPickAndPlace", "FetchSlide", "FetchPush_train")
PROFILES = ("fetch_reach", "fetch_push", "fetch_push_dr")
MISSING = "not measured yet"
Result = dict[str, Any]
Ends = list[float | None]


def span(ends: Ends, unit: str = "") -> str:
    """A number that may only be known to lie in a range: ``12 s``, ``> 9000 s``, ``2 to 5``, ``?``."""
    low, high = ends
    if high is None:
        return f"> {_short(low)}{unit}" if low else "?"
    if low == high:
        return f"{_short(high)}{unit}"
    return f"{_short(low)} to {_short(high)}{unit}"


def _short(x: float | None) -> str:
    return "?" if x is None else f"{x:.0f}" if x >= 100 else f"{x:.3g}"


def table(*rows: tuple[str, ...]) -> list[str]:
    """Lines of a Markdown table; the first row is its head."""
    head, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    return [head, "|" + " --- |" * len(rows[0]), *rest]


def unmeasured(*head: str) -> list[str]:
    """A table that has its head alone, and says so."""
    return table(head, (MISSING, *[""] * (len(head) - 1)))


# ---- time to a solved task ---------------------------------------------------------------------------------------


def time_to_solve() -> list[str]:
    """Seconds and steps of every learner to every mark, and how much sooner ours was."""
    head = ("task", "learner", "seeds", "to 0.5", "0.8", "0.9", "0.95", "steps to 0.9", "ours is faster to 0.9 by")
    rows: list[tuple[str, ...]] = [head]
    for task in TASKS:
        result = load(f"time_to_solve_{task}")
        if result is None:
            rows.append((task, MISSING, *[""] * (len(head) - 2)))
        else:
            rows += [_learner_row(task, result, name) for name in result["learners"]]
    return table(*rows)


def _learner_row(task: str, result: Result, name: str) -> tuple[str, ...]:
    learner = result["learners"][name]
    marks = learner["marks"]
    pace = ""
    if "ms_per_step" in learner:
        steps = "projected: " if learner.get("projected") else "its own steps at "
        pace = f" ({steps}{learner['ms_per_step']:.0f} ms a step)"
    faster = result["times_faster"].get(name)
    return (
        f"[{task}](../results/time_to_solve_{task}.json)",
        f"`{name}`{pace}",
        str(len(learner["seeds"])),
        *(span(mark["seconds"], " s") for mark in marks.values()),
        span(marks["0.9"]["samples"]),
        "" if faster is None else span(faster["0.9"]),
    )


def faster(task: str, peer: str, mark: str) -> Callable[[], str | None]:
    """A cell: how many times sooner than ``peer``."""

    def cell() -> str | None:
        result = load(f"time_to_solve_{task}")
        found = None if result is None else result["times_faster"].get(peer)
        return None if found is None else span(found[mark])

    return cell


def faster_than_trained(task: str, mark: str) -> Callable[[], str | None]:
    """A cell: how many times sooner than the best of the peers that were trained, and who they are."""

    def cell() -> str | None:
        value, result = faster(task, "best_measured", mark)(), load(f"time_to_solve_{task}")
        if value is None or result is None:
            return None
        ours = result["ours"]
        trained = [name for name, row in result["learners"].items() if name != ours and not row.get("projected")]
        return f"{value} ({', '.join(trained)})"

    return cell


def our_seconds(task: str) -> Ends | None:
    """Ours to 0.9."""
    result = load(f"time_to_solve_{task}")
    if result is None:
        return None
    ends: Ends = result["learners"][result["ours"]]["marks"]["0.9"]["seconds"]
    return ends


def minutes_to_push() -> str | None:
    ends = our_seconds("FetchPush")
    return None if ends is None else span([None if x is None else x / 60 for x in ends], " min")


def randomised_to_nominal() -> str | None:
    """Wall time of the LSTM under randomised dynamics over that of the feed-forward policy under nominal ones, measured
    on the same day: the machine's speed changes from one to the next."""
    randomised, nominal = our_seconds("FetchPush_train"), our_seconds("FetchPush_beside_train")
    if not randomised or not nominal or nominal[0] is None or nominal[1] is None or randomised[0] is None:
        return None
    return span([randomised[0] / nominal[1], None if randomised[1] is None else randomised[1] / nominal[0]])


def ratio(name: str, key: str) -> Callable[[], str | None]:
    """A cell: a headline figure of a benchmark."""

    def cell() -> str | None:
        result = load(name)
        value = None if result is None else result["figures"].get(key)
        return None if value is None else f"{value:.2f}"

    return cell


ASKED: tuple[tuple[str, str, Callable[[], str | None]], ...] = (
    ("FetchReach: sooner to 0.95 than SAC+HER", ">= 5", faster("FetchReach", "sac_her", "0.95")),
    ("FetchPush: minutes to 0.9", "<= 6", minutes_to_push),
    ("FetchPush: sooner to 0.9 than peers trained", ">= 10", faster_than_trained("FetchPush", "0.9")),
    ("FetchPush: sooner to 0.9 than TQC+HER (projected)", ">= 50", faster("FetchPush", "tqc_her", "0.9")),
    ("FetchPickAndPlace: sooner to 0.9 than peers trained", "", faster_than_trained("FetchPickAndPlace", "0.9")),
    ("FetchPickAndPlace: sooner to 0.9 than TQC+HER (projected)", "", faster("FetchPickAndPlace", "tqc_her", "0.9")),
    ("FetchPush randomised, LSTM: time to 0.9 over that of feed-forward, nominal", "<= 2.5", randomised_to_nominal),
    ("environment steps/s, randomised, over bare `mj_step`", ">= 0.9", ratio("env_throughput", "train_vs_bound")),
    ("environment steps/s over EnvPool", ">= 1.2", ratio("env_throughput", "vs_envpool")),
)


def asked() -> list[str]:
    """What was aimed for beside what was reached."""
    rows = [(what, aim, cell() or MISSING) for what, aim, cell in ASKED]
    return table(("figure", "asked", "measured"), *rows)


# ---- where time goes ---------------------------------------------------------------------------------------------


def profile() -> list[str]:
    """Shares of a training's wall time, thread by thread; one column a preset."""
    results = {name: load(f"profile_{name}") for name in PROFILES}
    found = {name: result for name, result in results.items() if result is not None}
    if not found:
        return table(("thread", "what", *(f"`{name}`" for name in PROFILES)), ("", MISSING, *[""] * len(PROFILES)))
    keys: dict[tuple[str, str], None] = {}
    for result in found.values():
        keys |= {(thread, what): None for thread, rows in result["threads"].items() for what in rows}
    head = ("thread", "what", *(f"[`{name}`](../results/profile_{name}.json)" for name in found))
    return table(head, *((thread, what, *_shares(found, thread, what)) for thread, what in sorted(keys)))


def _shares(found: dict[str, Result], thread: str, what: str) -> list[str]:
    rows = [result["threads"].get(thread, {}).get(what) for result in found.values()]
    return ["-" if row is None else f"{100 * row['share']:.1f} %" for row in rows]


# ---- parts -------------------------------------------------------------------------------------------------------


def environments() -> list[str]:
    """Steps per second of all contenders."""
    result = load("env_throughput")
    columns = ("ours", "bound", "ours_train", "bound_train", "async", "sb3", "envpool")
    head = ("environments", "threads", *columns)
    if result is None:
        return unmeasured(*head)
    cells = [
        (str(row["envs"]), str(row["threads"]), *(str(row["steps_per_second"].get(c, "-")) for c in columns))
        for row in result["rows"]
    ]
    return table(head, *cells)


LEARNER = (
    ("preset_ms", "milliseconds of an update"),
    ("sequence_steps_per_second", "sequence steps/s"),
    ("goals_per_second", "relabelled transitions/s"),
    ("preset_share_of_bound", "share of the matrix product's floating-point rate"),
    ("four_goals_vs_one", "an update with four goals an unroll, over one goal"),
    ("four_unrolls_vs_one", "the same four goals with an unroll each, over one goal"),
    ("foreach_adam_vs_fused", "an update with torch's default Adam, over the fused one"),
    ("compiled_vs_preset", "an update with heads and critics under `torch.compile`, over eager ones"),
)


def learner() -> list[str]:
    """The update, by device."""
    result = load("learner")
    if result is None:
        return unmeasured("figure", "cpu")
    devices = result["devices"]
    rows = [(what, *(_number(figures.get(key)) for figures in devices.values())) for key, what in LEARNER]
    return table((f"figure, `{result['preset']}`", *devices), *rows)


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def ablations() -> list[str]:
    """The preset with one change at a time: samples to the marks, and both factors of the time to the last one."""
    result = load("ablations_fetch_push")
    head = ("change", "seeds", "samples to 0.5", "0.8", "0.9 (each seed)", "samples over preset's", "time a sample")
    if result is None:
        return unmeasured(*head)
    return table(head, *(_ablation(row) for row in result["rows"]))


def _ablation(row: Result) -> tuple[str, ...]:
    *earlier, _ = row["samples"].values()
    return (
        row["row"],
        str(len(row["seeds"])),
        *(_thousands(samples) for samples in earlier),
        ", ".join(_thousands(samples) for samples in row["by_seed"]),
        span(row["samples_over_preset"]),
        f"{row['pace_over_preset']:.2f}",
    )


def _thousands(ends: Ends) -> str:
    return span([None if x is None else x / 1000 for x in ends], " k")


def tables() -> dict[str, list[str]]:
    """Every table by the name of its place in the document."""
    return {
        "asked": asked(),
        "time to solve": time_to_solve(),
        "profile": profile(),
        "environments": environments(),
        "learner": learner(),
        "ablations": ablations(),
    }
