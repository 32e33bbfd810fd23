"""Tables of what meta-learners reach, from the files under results/ alone; written by `benchmarks/results_table.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from performance_tables import MISSING, Result, table
from publishing import load


@dataclass(frozen=True)
class Claim:
    """A row: what a preset reaches in some settings, beside what was published."""

    preset: str
    what: str
    cells: tuple[tuple[str, str], ...]
    """(setting, metric) of each number, in the order of the table's columns."""
    published: str = ""
    asked: str = ""
    headline: str = ""
    """What the README calls it; rows without one are not in the README."""


STEPS = tuple((f"step_{k}", "error") for k in (1, 5, 10))
SINUSOID = (
    Claim(
        "maml_sinusoid",
        "MAML, two steps that both count",
        STEPS,
        "0.67 / 0.38 / 0.35",
        "<= 0.67 / 0.38 / 0.35",
        headline="sinusoid, error after 1 / 5 / 10 steps",
    ),
    Claim("maml_sinusoid_paper", "MAML, the paper's settings", STEPS, "0.67 / 0.38 / 0.35"),
    Claim("fomaml_sinusoid", "the same, first order", STEPS),
    Claim("meta_sgd_sinusoid", "Meta-SGD", STEPS[:1]),
    Claim("pretrained_sinusoid", "pretrained on all tasks", STEPS, "2.41 / 2.23 / 2.19"),
    Claim("meta_lstm_sinusoid", "learned optimiser (meta-LSTM)", STEPS),
    Claim("oracle_sinusoid", "told amplitude and phase", (("step_0", "error"),)),
)
_OWN = (("accuracy", "accuracy"),)
_TESTS = ("accuracy", "accuracy_5_shot", "accuracy_20_way", "accuracy_20_way_5_shot")
_FROM_5 = tuple(("accuracy", metric) for metric in _TESTS)
_FROM_20 = tuple(
    ("accuracy", metric) for metric in ("accuracy_5_way", "accuracy_5_way_5_shot", "accuracy", "accuracy_5_shot")
)
_MAML_5 = (("step_3", "accuracy"), ("step_3", "accuracy_5_shot"))
_MAML_20 = (("step_3", "accuracy_5_way"), ("step_3", "accuracy_5_way_5_shot"), *_MAML_5)
"""It is made for the ways it is trained on, so that the first two stay empty."""
OMNIGLOT = (
    Claim(
        "protonet_omniglot_20w1s",
        "Prototypical Networks",
        _FROM_20,
        "0.988 / 0.997 / 0.960 / 0.989",
        ">= 0.985 / 0.996 / 0.955",
        headline="Omniglot 5w1s / 5w5s / 20w1s / 20w5s",
    ),
    Claim(
        "matching_omniglot_5w1s",
        "Matching Networks",
        _FROM_5,
        "0.981 / 0.989 / 0.938 / 0.985",
        ">= 0.975 / 0.985",
        headline="Omniglot, Matching Networks, the same",
    ),
    Claim(
        "maml_omniglot_5w1s",
        "MAML, 5 ways",
        _MAML_5,
        "0.987 / 0.999",
        ">= 0.980 / 0.995",
        headline="Omniglot 5w1s / 5w5s, MAML",
    ),
    Claim(
        "maml_omniglot_20w1s",
        "MAML, 20 ways",
        _MAML_20,
        "0.958 / 0.989",
        ">= 0.92",
        headline="Omniglot 20w1s / 20w5s, MAML",
    ),
    Claim(
        "meta_lstm_omniglot_5w1s",
        "learned optimiser (meta-LSTM)",
        (("step_6", "accuracy"),),
        asked=">= 0.95",
        headline="Omniglot 5w1s, learned optimiser",
    ),
    Claim(
        "lstm_omniglot_5w1s", "LSTM that reads the support set", _OWN, asked=">= 0.90", headline="Omniglot 5w1s, LSTM"
    ),
    Claim("nearest_neighbour_omniglot_5w1s", "nearest neighbour in pixels", _FROM_5),
)
_ERRORS = (("error", "error"), *((f"step_{k}", "error") for k in (0, 1, 3, 5)))
DYNAMICS = (
    Claim(
        "neural_process_dynamics",
        "conditional neural process",
        _ERRORS,
        headline="a robot's next state from 10 transitions, neural process",
    ),
    Claim(
        "maml_dynamics",
        "MAML, a learned rate for every weight",
        _ERRORS,
        headline="the same, MAML after 0 / 1 / 3 / 5 steps",
    ),
    Claim(
        "pretrained_dynamics",
        "one model for all dynamics, fine-tuned",
        _ERRORS,
        headline="the same, one model for all dynamics, fine-tuned",
    ),
)
_RETURNS = tuple((f"step_{k}", "return") for k in range(4))
NAVIGATION = (
    Claim(
        "maml_nav2d",
        "MAML",
        _RETURNS,
        "-40.4 / -11.7 / -3.3 / -3.2",
        "steps 1 to 3",
        headline="2D navigation, return after 0 / 1 / 2 / 3 steps",
    ),
    Claim("fomaml_nav2d", "MAML, first order", _RETURNS),
    Claim("pretrained_nav2d", "pretrained on all tasks", _RETURNS, "-40.8 / -19.7 / -11.7 / -8.5"),
    Claim("random_nav2d", "random initial weights", _RETURNS, "-82.7 / -58.0 / -53.8 / -46.8"),
)
CHEETAH = (
    Claim(
        "maml_cheetah_dir",
        "MAML",
        _RETURNS,
        "-50.7 / 293.2 / 313.5 / 315.7",
        "step 1 >= 293",
        headline="half-cheetah direction, the same",
    ),
    Claim("maml_cheetah_dir_paper", "the same with the released code's inner loss", _RETURNS),
    Claim("pretrained_cheetah_dir", "pretrained on both directions", _RETURNS, "-43.0 / -24.7 / -12.8 / 19.6"),
    Claim("random_cheetah_dir", "random initial weights", _RETURNS, "-35.7 / 21.8 / 62.3 / 86.2"),
)
ADAPTS = {
    "fetch_reach": "RDPG, LSTM: within an episode",
    "fetch_reach_ff_dr": "feed-forward: not at all",
    "rl2_fetch_dynamics": "RL²: by a memory of all episodes",
    "maml_fetch_dynamics": "MAML: by gradient steps",
}
"""Runs of `benchmarks/fetch_dynamics.py`: learner, and what adapts."""
TRIALS = (
    ("rl2_bandit_n10_k5", "bandit_n10_k5", "bandits, 10 pulls of 5 arms"),
    ("rl2_bandit_n10_k10", "bandit_n10_k10", "bandits, 10 pulls of 10 arms"),
    ("rl2_bandit_n100_k5", "bandit_n100_k5", "bandits, 100 pulls of 5 arms"),
    ("rl2_mdp_n10", "mdp_n10", "tabular MDPs, 10 episodes"),
)
PAPER = {
    "bandit_n10_k5": ("6.7", ">= 6.7"),
    "bandit_n10_k10": ("6.7", ">= 6.7"),
    "bandit_n100_k5": ("78.7", ">= 78.7"),
    "mdp_n10": ("156.2", ">= 138.1, PSRL's"),
}
"""Published return of RL², and what is asked for."""
RIVALS = ("random", "gittins", "ucb1", "thompson", "psrl", "optimistic_psrl", "beb")
SEARCHES = {
    "nas": "controller",
    "random_search": "random search",
    "evolution": "evolution, population 24",
    "evolution_small": "evolution, population 8",
}


def claims(rows: Sequence[Claim], columns: Sequence[str], up: str = "../") -> list[str]:
    """One row a preset, one column a setting; ``up`` leads from the document to the repository's root."""
    head = ("", "preset", *columns, "published", "asked")
    return table(head, *(_claim_row(claim, len(columns), up) for claim in rows))


def _claim_row(claim: Claim, columns: int, up: str) -> tuple[str, ...]:
    result = load(claim.preset)
    if result is None:
        return (claim.what, f"`{claim.preset}`", MISSING, *[""] * (columns - 1), claim.published, claim.asked)
    cells = [value(result, setting, metric) for setting, metric in claim.cells]
    cells += [""] * (columns - len(cells))
    return (claim.what, f"[`{claim.preset}`]({up}results/{claim.preset}.json)", *cells, claim.published, claim.asked)


def value(result: Result, setting: str, metric: str) -> str:
    """A mean with half the width of its 95 % interval."""
    rows = (row for row in result["rows"] if (row["setting"], row["metric"]) == (setting, metric))
    row = next(rows, None)
    return "-" if row is None else _with_width(row)


def _with_width(row: dict[str, Any]) -> str:
    digits = 1 if abs(row["value"]) >= 10 else 2 if abs(row["value"]) >= 1 else 3
    if row["low"] is None:
        return f"{row['value']:.{digits}f}"
    return f"{row['value']:.{digits}f} ± {(row['high'] - row['low']) / 2:.{digits}f}"


def fetch_dynamics() -> list[str]:
    """Success and return of the four learners on unseen dynamics, setting by setting, and what adapting gains."""
    result = load("fetch_dynamics")
    head = ("", "run", "samples", "setting", "success", "return")
    if result is None:
        return table(head, ("", MISSING, *[""] * 4))
    return table(head, *(row for learner in result["learners"] for row in _adapting(learner)))


def _adapting(learner: Result) -> list[tuple[str, ...]]:
    """The rows of one learner: its settings, then the gain of the last over the first."""
    run: str = learner["run"]
    by_setting: dict[str, dict[str, str]] = {}
    for row in learner["rows"] + learner["gains"]:
        by_setting.setdefault(row["setting"], {})[row["metric"]] = _with_width(row)
    by_setting.pop("trial", None)
    first = (ADAPTS.get(run, run), f"[`{run}`](../results/runs/{run})", f"{learner['samples'] / 1000:,.0f} k")
    return [
        (*(first if i == 0 else ("", "", "")), setting.replace("_", " "), cells["success"], cells["return"])
        for i, (setting, cells) in enumerate(by_setting.items())
    ]


def trials() -> list[str]:
    """Return of a whole trial: RL² beside strategies that are made for the problem, on tasks drawn alike."""
    rivals = load("reference_strategies")
    head = ("return of a trial", "RL²", "published RL²", *(name.replace("_", " ") for name in RIVALS))
    return table(head, *(_trial_row(*trial, rivals) for trial in TRIALS))


def _trial_row(preset: str, problem: str, what: str, rivals: Result | None) -> tuple[str, ...]:
    result = load(preset)
    own = MISSING if result is None else f"[{value(result, 'trial', 'return')}](../results/{preset}.json)"
    if rivals is None:
        return (what, own, "", *[""] * len(RIVALS))
    known = {row["strategy"]: row for row in rivals["rows"] if row["setting"] == problem}
    cells = (_with_width(known[name]) if name in known else "" for name in RIVALS)
    return (what, own, str(rivals["published_rl2"][problem]), *cells)


def speed() -> list[str]:
    """Tasks a second of MAML's outer step: all at once, against a loop over cloned modules."""
    rows = [("outer step of MAML", "threads", "tasks/s at once", "tasks/s in a loop", "ratio", "asked")]
    for threads, file in ((1, "few_shot_speed"), (2, "few_shot_speed_2_threads")):
        result = load(file)
        for name, asked in (("sinusoid", ">= 10"), ("omniglot", ">= 1.5")):
            cells = ("", "", MISSING) if result is None else _rates(result[name])
            rows.append((name, str(threads), *cells, asked))
    return table(*rows)


def _rates(found: dict[str, Any]) -> tuple[str, str, str]:
    at_once, loop = (f"{found['tasks_per_second'][form]:,.0f}" for form in ("at_once", "modules"))
    return at_once, loop, f"{found['at_once_against_module_loop']:.2f}"


def searches() -> list[str]:
    """What each search ends with, on two measured tables of architectures."""
    result = load("architecture_search")
    head = ("", *(f"{space}: {what}" for space in ("cells", "images") for what in ("last 16", "best")))
    if result is None:
        return table(head, (MISSING, *[""] * 4))
    rows = []
    for name, what in SEARCHES.items():
        found = [result[space]["searches"].get(name) for space in ("cells", "images")]
        keys = ("mean_of_last", "best")
        rows.append((what, *(_interval(search[key]) if search else "" for search in found for key in keys)))
    return table(head, *rows)


def _interval(e: dict[str, float]) -> str:
    return f"{e['value']:.3f} [{e['low']:.3f}, {e['high']:.3f}]"


def documents() -> dict[str, dict[str, list[str]]]:
    """Sections of the documents on meta-learning."""
    ways = ("5-way 1-shot", "5-way 5-shot", "20-way 1-shot", "20-way 5-shot")
    after = tuple(f"after {k} steps" for k in range(4))
    return {
        "docs/few_shot.md": {
            "sinusoid": claims(SINUSOID, ("after 1 step", "5 steps", "10 steps")),
            "omniglot": claims(OMNIGLOT, ways),
            "dynamics": claims(DYNAMICS, ("in one pass", "step 0", "step 1", "step 3", "step 5")),
            "speed": speed(),
        },
        "docs/meta_rl.md": {
            "navigation": claims(NAVIGATION, after),
            "cheetah": claims(CHEETAH, after),
            "fetch_dynamics": fetch_dynamics(),
            "trials": trials(),
        },
        "docs/architecture_search.md": {"searches": searches()},
    }


def summary() -> list[str]:
    """The README's rows: one a system."""
    head = ("what", "preset", "here", "published", "asked")
    trained = (
        Claim(preset, what, (("trial", "return"),), *PAPER[problem], headline=f"RL², {what}")
        for preset, problem, what in TRIALS
    )
    rows = [claim for part in (SINUSOID, OMNIGLOT, DYNAMICS, NAVIGATION, CHEETAH, trained) for claim in part]
    return table(head, *(_summary_row(claim) for claim in rows if claim.headline))


def _summary_row(claim: Claim) -> tuple[str, ...]:
    result = load(claim.preset)
    if result is None:
        return (claim.headline, f"`{claim.preset}`", MISSING, claim.published, claim.asked)
    cells = (value(result, setting, metric).split(" ")[0] for setting, metric in claim.cells)
    link = f"[`{claim.preset}`](results/{claim.preset}.json)"
    return (claim.headline, link, " / ".join(cell for cell in cells if cell != "-"), claim.published, claim.asked)
