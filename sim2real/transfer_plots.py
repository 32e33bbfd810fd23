"""Plots of success against one or two dynamics parameters."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from sim2real.report import series_key
from sim2real.svg import SERIES, Chart, Scale, log_ticks, short, ticks

Row = Mapping[str, Any]
PANELS = 24
"""Most parameters shown; those that matter most come first, all are in ``transfer.json``."""


def curves(found: Sequence[Row], kinds: Sequence[str]) -> str:
    """Small multiples: success in bins of a parameter, the others varying too."""
    by_parameter: dict[str, list[Row]] = {}
    for curve in found:
        by_parameter.setdefault(curve["parameter"], []).append(curve)
    panels = [
        _Panel(
            name,
            rows[0]["unit"],
            rows[0]["trained"],
            [
                (kinds.index(row["kind"]), part["low"], part["high"], part["success"])
                for row in rows
                for part in row["bins"]
            ],
        )
        for name, rows in by_parameter.items()
    ]
    note = "Episodes of all settings in bins by one parameter, the others varying too."
    return _small_multiples(panels, kinds, note, joined=False)


def sweeps(found: Sequence[Row], kinds: Sequence[str]) -> str:
    """Small multiples: success with one parameter held at each of some values, all else as in training."""
    panels = [
        _Panel(
            sweep["parameter"],
            sweep["unit"],
            sweep["trained"],
            [
                (kinds.index(point["kind"]), value, value, point["success"])
                for point in sweep["points"]
                for value in point["values"].values()
            ],
        )
        for sweep in found
    ]
    note = "The same episodes at every value: only this parameter differs between the points of a line."
    return _small_multiples(panels, kinds, note, joined=True)


def heat_maps(heat: Row | None) -> str:
    """One map a kind: success over two parameters."""
    if not heat:
        return ""
    a, b = heat["parameters"]
    kinds = list(dict.fromkeys(point["kind"] for point in heat["points"]))
    maps = "".join(
        _heat_map(k, kind, a, b, [p for p in heat["points"] if p["kind"] == kind]) for k, kind in enumerate(kinds)
    )
    trained = f"Training ranges: {_range(a)}; {_range(b)}." if a["trained"] and b["trained"] else ""
    return f'<div class="panels">{maps}</div><p class="note">Success, all else as in training. {escape(trained)}</p>'


class _Panel:
    """Points (series, low, high, success) of one parameter."""

    def __init__(self, name: str, unit: str, trained: Any, points: list[tuple[int, float, float, Row]]) -> None:
        self.name, self.unit, self.trained, self.points = name, unit, trained, points
        values = [success["value"] for *_, success in points]
        self.effect = max(values) - min(values)
        self.low, self.high = min(point[1] for point in points), max(point[2] for point in points)

    def draw(self, kinds: int, *, joined: bool) -> str:
        chart = Chart(260, 150, f"Success by {self.name}")
        x, y = self._scale(), Scale(0, 1, 124, 12)
        if self.trained:
            ends = [min(max(end, self.low), self.high) for end in self.trained[:2]]
            chart.rectangle(x(ends[0]), 12, max(x(ends[1]) - x(ends[0]), 0.0), 112, "trained", hint="training range")
        chart.y_axis(y, 36, [0, 0.5, 1], grid_to=252)
        chart.x_axis(x, 126, log_ticks(self.low, self.high, 4) if x.log else ticks(self.low, self.high, 4))
        for series in sorted({point[0] for point in self.points}):
            self._series(chart, series, x, y, 4.0 * (series - (kinds - 1) / 2), joined)
        shown = {"x": " (x nominal)", "1": "", "": ""}.get(self.unit, f" ({self.unit})")
        return f"<figure><h3>{escape(self.name.replace('_', ' ') + shown)}</h3>{chart.render()}</figure>"

    def _series(self, chart: Chart, series: int, x: Scale, y: Scale, aside: float, joined: bool) -> None:
        style, points = f"s{series % SERIES}", sorted((p for p in self.points if p[0] == series), key=lambda p: p[1])
        # A little to the side, so that series do not hide each other.
        places = [((x(low) + x(high)) / 2 + aside, success) for _, low, high, success in points]
        if joined:
            for (x0, a), (x1, b) in itertools.pairwise(places):
                chart.line([(x0, y(a["value"])), (x1, y(b["value"]))], f"curve {style}")
        for (place, success), (_, low, high, _) in zip(places, points, strict=True):
            if not joined:
                chart.line([(x(low), y(success["value"])), (x(high), y(success["value"]))], f"curve {style}")
            chart.line([(place, y(success["low"])), (place, y(success["high"]))], f"whisker thin {style}")
            hint = f"{low:.4g} to {high:.4g}" if high > low else f"{low:.4g}"
            chart.marker(place, y(success["value"]), series, size=3, hint=f"{hint} {self.unit}: {success['value']:.3f}")

    def _scale(self) -> Scale:
        log = bool(self.trained and self.trained[2]) and self.low > 0 and self.high > 2 * self.low
        return Scale(self.low, self.high, 40, 246, log=log)


def _small_multiples(panels: list[_Panel], kinds: Sequence[str], note: str, *, joined: bool) -> str:
    if not panels:
        return ""
    panels = sorted(panels, key=lambda panel: -panel.effect)
    keys = "".join(
        f'<span class="key">{series_key(k, kind)}{escape(kind)}</span>'
        for k, kind in enumerate(kinds)
        if any(point[0] == k for panel in panels for point in panel.points)
    )
    shown = "".join(panel.draw(len(kinds), joined=joined) for panel in panels[:PANELS])
    left_out = len(panels) - PANELS
    more = f" {left_out} parameters with smaller effects are in transfer.json only." if left_out > 0 else ""
    note += " Grey: the training range. Upright bars: 95 % intervals. Largest effect first." + more
    return f'<p class="legend">{keys}</p><div class="panels">{shown}</div><p class="note">{note}</p>'


def _heat_map(series: int, kind: str, a: Row, b: Row, points: Sequence[Row]) -> str:
    columns = sorted({point["values"][a["name"]] for point in points})
    lines = sorted({point["values"][b["name"]] for point in points})
    size, left = 34, 50
    height = 20 + size * len(lines)
    chart = Chart(left + size * len(columns) + 10, height + 44, f"Success of {kind} by {a['name']} and {b['name']}")
    for point in points:
        i, j = columns.index(point["values"][a["name"]]), lines.index(point["values"][b["name"]])
        x, y, rate = left + size * i, height - size * (j + 1), point["success"]["value"]
        interval = f"[{point['success']['low']:.2f}, {point['success']['high']:.2f}]"
        chart.rectangle(
            x, y, size, size, f"heat s{series % SERIES}", hint=f"{rate:.3f} {interval}", opacity=0.75 * rate
        )
        chart.text(x + size / 2, y + size / 2 + 4, f"{100 * rate:.0f}", "tick middle")
    for i, value in enumerate(columns):
        chart.text(left + size * (i + 0.5), height + 15, short(value), "tick middle")
    for j, value in enumerate(lines):
        chart.text(left - 6, height - size * (j + 0.5) + 4, short(value), "tick end")
    chart.text(left + size * len(columns) / 2, height + 34, f"{a['name']} ({a['unit']})", "tick middle")
    chart.text(4, 12, f"{b['name']} ({b['unit']})", "tick")
    return f"<figure><h3>{escape(kind)}, success in %</h3>{chart.render()}</figure>"


def _range(parameter: Row) -> str:
    low, high, _ = parameter["trained"]
    return f"{parameter['name']} {low:.3g} to {high:.3g}"
