"""What the memory knows, as a page of its own and as sections of a run's report, from ``probe.json`` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sim2real.report import origin, section, series_key, write_page
from sim2real.svg import Chart, Scale, ticks
from sim2real.tables import html_table
from sim2real.transfer_page import number
from sim2real.transfer_plots import PANELS

Content = Mapping[str, Any]


def write_probe(path: Path, content: Content) -> Path:
    """Write the page and return its path."""
    head = (
        f"<header><h1>What the memory knows: {escape(Path(content['run']).name)}</h1><p>{escape(content['task'])}, "
        f"{escape(content['memory'])}, {content['episodes']} episodes of {escape(content['dynamics'])} dynamics, seed "
        f"{content['seed']}</p></header>"
    )
    return write_page(path, "Probe", [head, *sections(content), section("Made with", origin(content))])


def sections(content: Content) -> list[str]:
    """The parts of the page, for a run's report to take in."""
    return [
        section("What the memory identifies", _identified(content)),
        section("Success without memory from a step on", _disturbances(content)),
        section("Dynamics that change in mid-episode", _changes(content) + _recovery(content)),
    ]


def _identified(content: Content) -> str:
    parameters = content["parameters"]
    keys = "".join(
        f'<span class="key">{series_key(k, text)}{text}</span>'
        for k, text in enumerate(("from the memory", "from the current observation"))
    )
    panels = "".join(_panel(row, content["steps"]) for row in parameters[:PANELS])
    note = (
        "R² of a linear reader on held-out episodes, by step; bands: 95 % over episodes. Identified: at its best "
        "step the memory's R² is at least 0.1 and above the observation's at 95 %; by: the first step with nine tenths "
        "of that."
    )
    body = [
        [
            escape(row["name"]),
            number(row["peak"]),
            number(row["control"]),
            number(row["gain"], sign=True),
            f"step {row['by_step']} ({row['by_seconds']:.2f} s)" if row["identified"] else "no",
        ]
        for row in parameters
    ]
    head = ("parameter", "R² memory", "R² observation", "gain", "identified by")
    shown = f'<p class="legend">{keys}</p><div class="panels">{panels}</div><p class="note">{note}</p>'
    return shown + html_table(head, body)


def _panel(row: Content, steps: Sequence[int]) -> str:
    chart = Chart(260, 140, f"R² of {row['name']} by step")
    x, y = Scale(0, steps[-1], 36, 250), Scale(0, 1, 116, 12)
    chart.y_axis(y, 36, [0, 0.5, 1], grid_to=252)
    chart.x_axis(x, 118, ticks(0, steps[-1], 5))
    for k, key in enumerate(("memory", "observation")):
        places = [(x(step), _unit(point)) for step, point in zip(steps, row[key], strict=True)]
        lower = [(place, y(point["low"])) for place, point in places]
        upper = [(place, y(point["high"])) for place, point in places]
        chart.area(lower, upper, f"band s{k}")
        chart.line([(place, y(point["value"])) for place, point in places], f"curve s{k}")
    return f"<figure><h3>{escape(row['name'].replace('_', ' '))}</h3>{chart.render()}</figure>"


def _unit(point: Mapping[str, float]) -> dict[str, float]:
    """Cut at 0: below it the reader is worse than the mean, how much says nothing."""
    return {key: min(max(value, 0.0), 1.0) for key, value in point.items()}


def _disturbances(content: Content) -> str:
    rows = content["disturbances"]
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    curves = [(f"memory {kind}", [(r["step"], r["success"]) for r in rows if r["kind"] == kind]) for kind in kinds]
    body = [
        [escape(f"{row['kind']} at step {row['step']}"), number(row["success"]), *_difference(row["difference"])]
        for row in rows
    ]
    head = ("memory", "success", "change", "at 95 %")
    note = (
        "Reset: everything is forgotten once. Frozen: every later step starts from the memory of that moment; frozen "
        "at 0 is the policy without memory. Grey: the memory left alone, with its 95 % interval."
    )
    return _success_chart(content, curves, note) + html_table(head, body)


def _changes(content: Content) -> str:
    rows = content["changes"]
    curves = [
        ("memory kept", [(row["step"], row["success"]) for row in rows]),
        ("memory reset at the change", [(row["step"], row["reset"]) for row in rows]),
    ]
    body = [
        [
            f"step {row['step']}",
            number(row["success"]),
            *_difference(row["difference"]),
            number(row["reset"]),
            *_difference(row["reset_gain"]),
        ]
        for row in rows
    ]
    head = ("change at", "success", "against no change", "at 95 %", "with reset", "gain of the reset", "at 95 %")
    note = "All dynamics are drawn anew at the step. Grey: without change, with its 95 % interval."
    return _success_chart(content, curves, note) + html_table(head, body)


def _success_chart(content: Content, curves: Sequence[tuple[str, Sequence[tuple[int, Any]]]], note: str) -> str:
    chart, intact = Chart(760, 260, "Success by step of the intervention"), content["intact"]
    x, y = Scale(0, content["steps"][-1] + 1, 50, 740), Scale(0, 1, 222, 14)
    chart.y_axis(y, 50, [0, 0.25, 0.5, 0.75, 1], grid_to=740)
    chart.x_axis(x, 224, ticks(0, content["steps"][-1] + 1, 10))
    ends = x(0), x(content["steps"][-1] + 1)
    top, bottom = y(intact["high"]), y(intact["low"])
    chart.rectangle(ends[0], top, ends[1] - ends[0], bottom - top, "trained", hint="memory left alone")
    chart.line([(end, y(intact["value"])) for end in ends], "curve muted")
    for k, (_, points) in enumerate(curves):
        aside = 5 * (k - (len(curves) - 1) / 2)
        for step, success in points:
            chart.line(
                [(x(step) + aside, y(success["low"])), (x(step) + aside, y(success["high"]))], f"whisker thin s{k}"
            )
            chart.marker(x(step) + aside, y(success["value"]), k, size=4, hint=f"{success['value']:.3f}")
    chart.text(395, 256, "step", "label middle")
    keys = "".join(
        f'<span class="key">{series_key(k, name)}{escape(name)}</span>' for k, (name, _) in enumerate(curves)
    )
    return f'<p class="legend">{keys}</p><figure>{chart.render()}<figcaption>{note}</figcaption></figure>'


def _recovery(content: Content) -> str:
    found = content["recovery"]
    if not found:
        return '<p class="note">No parameter is identified, so there is nothing to identify anew.</p>'
    chart, steps = Chart(760, 240, "R² before and after a change of dynamics"), found["steps"]
    x, y = Scale(0, steps[-1], 50, 740), Scale(0, 1, 202, 14)
    chart.y_axis(y, 50, [0, 0.25, 0.5, 0.75, 1], grid_to=740)
    chart.x_axis(x, 204, ticks(0, steps[-1], 10))
    chart.line([(x(found["step"]), 14), (x(found["step"]), 202)], "base")
    curves = {"after": "the parameters after the change", "before": "those before it", "unchanged": "without change"}
    for k, key in enumerate(curves):
        points = [(x(step), y(min(max(value, 0.0), 1.0))) for step, value in zip(steps, found[key], strict=True)]
        chart.line(points, f"curve s{k}")
        chart.marker(*points[-1], k, size=4)
    chart.text(395, 236, "step", "label middle")
    keys = "".join(f'<span class="key">{series_key(k, t)}{t}</span>' for k, t in enumerate(curves.values()))
    note = (
        f"Mean R² of the identified parameters, read from the memory by readers fitted on episodes without change. The "
        f"dynamics change at step {found['step']}."
    )
    return f'<p class="legend">{keys}</p><figure>{chart.render()}<figcaption>{note}</figcaption></figure>'


def _difference(row: Content) -> tuple[str, str]:
    sign = "● resolved" if row["resolved"] else "○ not resolved"
    return number(row, sign=True), f'<span class="sign">{sign}</span>'
