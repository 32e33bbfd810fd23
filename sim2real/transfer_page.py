"""``transfer.html``: how kinds of policy transfer, drawn from the content of ``transfer.json`` alone."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sim2real.report import origin, section, series_key, write_page
from sim2real.svg import SERIES, Chart, Scale
from sim2real.tables import html_table
from sim2real.transfer_plots import curves, heat_maps, sweeps

Content = Mapping[str, Any]
SIGNS = {
    "recipe": "● resolved",
    "policies": "◐ resolved for these policies",
    "no": "○ not resolved",
}
"""Sign of a difference: more than chance for the recipes, for the given policies only, or neither."""
LEGEND = (
    "● the 95 % interval over seeds and episodes excludes 0: it is true of the recipes. "
    "◐ only the interval over episodes does: true of these trained policies; more seeds are needed to say more. "
    "○ this many episodes cannot tell."
)


def write_transfer(folder: Path, content: Content) -> Path:
    """Write ``folder/transfer.html`` and return its path; videos are taken from ``folder`` into the page."""
    head = (
        f"<header><h1>Transfer: {escape(content['task'])}</h1><p>{content['episodes']} paired episodes a setting, seed "
        f"{content['seed']}</p></header>"
    )
    made_with = section("Made with", origin(content))
    return write_page(
        folder / "transfer.html", f"Transfer {content['task']}", [head, *sections(folder, content), made_with]
    )


def sections(folder: Path, content: Content) -> list[str]:
    """The parts of the page, for another page to take in; what was not measured is left out."""
    kinds = [kind["name"] for kind in content["kinds"]]
    return [
        section("Policies", _kinds(content["kinds"])),
        section("Success", _forest(content, kinds) + _worst(content, kinds)),
        section("Differences", _comparisons(content["comparisons"])),
        section("Leave one out", _leave_one_out(content["leave_one_out"])),
        section("Success by dynamics parameter", curves(content["curves"], kinds)),
        section("One parameter at a time, in and beyond the training range", sweeps(content["sweeps"], kinds)),
        section("Two parameters", heat_maps(content["heat"])),
        section("Successes and failures", _clips(folder, content["clips"])),
    ]


def number(estimate: Mapping[str, Any], *, sign: bool = False) -> str:
    """A value above its interval."""
    if estimate["value"] is None:
        return "-"
    form = "+.3f" if sign else ".3f"
    low, high = estimate["low"], estimate["high"]
    interval = "" if low is None else f"<small>{low:{form}} to {high:{form}}</small>"
    return f"{estimate['value']:{form}}{interval}"


def _kinds(kinds: Sequence[Mapping[str, Any]]) -> str:
    body = [
        [
            f'<span class="key">{series_key(k, kind["name"])}{escape(kind["name"])}</span>',
            escape(kind["memory"] or "?"),
            escape(kind["dynamics"] or "?"),
            str(len(kind["sources"])),
            escape(", ".join(Path(source).name for source in kind["sources"])),
        ]
        for k, kind in enumerate(kinds)
    ]
    return html_table(("policy", "memory", "trained on", "seeds", "runs"), body)


def _forest(content: Content, kinds: Sequence[str]) -> str:
    """Success of every kind in every setting."""
    found = {row["setting"]: row for row in content["rows"] if row["metric"] == "success"}
    bases = {row["setting"]: row for row in content["rows"] if row["metric"] == "base_rate"}
    height = 22 * len(kinds) + 14
    chart = Chart(900, height * len(content["settings"]) + 50, "Success of each policy under each set of dynamics")
    x, bottom = Scale(0, 1, 250, 720), height * len(content["settings"]) + 14
    chart.x_axis(x, bottom, [0, 0.2, 0.4, 0.6, 0.8, 1], grid_to=10)
    for j, setting in enumerate(content["settings"]):
        top = 12 + height * j
        chart.text(8, top + 14, setting, "label")
        for k, kind in enumerate(kinds):
            row, y = found[f"{kind}/{setting}"], top + 10 + 22 * k
            base = bases[f"{kind}/{setting}"]["value"]
            chart.text(240, y + 4, kind, "tick end")
            chart.line([(x(base), y - 7), (x(base), y + 7)], "base")
            chart.line([(x(row["low"]), y), (x(row["high"]), y)], f"whisker s{k % SERIES}")
            chart.marker(x(row["value"]), y, k, size=5, hint=f"{row['value']:.3f}")
            chart.text(736, y + 4, f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]", "tick")
    chart.text(485, bottom + 32, "success at the last step", "label middle")
    note = (
        "95 % intervals: Wilson's for one seed, over seeds and episodes for several. Grey ticks: the share that is "
        "already solved at reset."
    )
    return f"<figure>{chart.render()}<figcaption>{note}</figcaption></figure>"


def _worst(content: Content, kinds: Sequence[str]) -> str:
    found = {row["setting"]: row for row in content["rows"] if row["metric"] == "worst_decile_success"}
    settings = [s for s in content["settings"] if any(f"{kind}/{s}" in found for kind in kinds)]
    if not settings:
        return ""
    body = [
        [escape(kind), *(number(found[f"{kind}/{s}"]) if f"{kind}/{s}" in found else "-" for s in settings)]
        for kind in kinds
    ]
    note = (
        "Success in the tenth of the episodes whose dynamics a held-out regression predicts to be the hardest for that "
        "policy."
    )
    head = ("worst tenth of the dynamics", *map(escape, settings))
    return html_table(head, body) + f'<p class="note">{note}</p>'


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> str:
    body = [
        [
            escape(f"{row['a']} - {row['b']}"),
            escape(row["setting"]),
            number(row["over_episodes"], sign=True),
            number(row["over_seeds"], sign=True) if row["over_seeds"] else "one seed",
            _sign(row["resolved"]),
        ]
        for row in rows
    ]
    head = ("success of a - b", "dynamics", "these policies", "over seeds too", "at 95 %")
    return html_table(head, body) + f'<p class="note">{LEGEND}</p>' if body else ""


def _leave_one_out(rows: Sequence[Mapping[str, Any]]) -> str:
    body = [
        [
            escape(row["kind"]),
            escape(f"{row['base']}, {row['group'].replace('_', ' ')}"),
            number(row["success"]),
            number(row, sign=True),
            _sign(row["resolved"]),
        ]
        for row in sorted(rows, key=lambda row: (row["kind"], -abs(row["value"])))
    ]
    note = (
        "The same episodes with one group of parameters held at nominal while testing: what that group costs the "
        "trained policy. (Peng et al., table III, leave groups out of the training: give runs trained on SET:GROUP.)"
    )
    head = ("policy", "dynamics", "success", "gain", "at 95 %")
    return html_table(head, body) + f'<p class="note">{note}</p>' if body else ""


def _sign(resolved: str) -> str:
    return f'<span class="sign">{SIGNS[resolved]}</span>'


def _clips(folder: Path, clips: Content) -> str:
    """Videos inside the page, so that it stays one file."""
    parts = []
    for clip in clips["videos"]:
        data = base64.b64encode((folder / clip["file"]).read_bytes()).decode("ascii")
        caption = escape(f"{clip['kind']}, {clip['setting']}: {clip['outcome']} (episode {clip['episode']})")
        parts.append(
            f'<figure><video controls muted loop preload="metadata" src="data:video/mp4;base64,{data}"></video>'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    note = f'<p class="note">{escape(clips["note"])}</p>' if clips["note"] else ""
    return (f'<div class="clips">{"".join(parts)}</div>' if parts else "") + note
