"""``report.html`` of a meta-learner's run: how it learned, what adapting brings on unseen tasks, and what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sim2real.domains import Domain
from sim2real.estimates import Estimate
from sim2real.metrics import read_metrics
from sim2real.report import origin, section, write_page
from sim2real.scores import Scores
from sim2real.svg import Chart, Scale, short, ticks
from sim2real.tables import html_table

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 860, 14, 262


def write_meta_report(run_dir: Path, scores: Scores, domain: Domain, figures: Sequence[str]) -> Path:
    """Write ``run_dir/report.html`` and return its path; ``figures`` are sections that only this domain has."""
    file = run_dir / "run.json"
    run = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    config = (run_dir / "config.yaml").read_text(encoding="utf-8")
    sections = [
        _header(run_dir.name, run, domain.unit),
        section("Learning", _learning(read_metrics(run_dir), domain)),
        section("On unseen tasks", _adaptation(scores) + _table(scores)),
        *figures,
        section("Configuration", f"<pre>{escape(config)}</pre>"),
        section("Made with", origin(run)),
    ]
    return write_page(run_dir / "report.html", run_dir.name, sections)


def _header(name: str, run: Mapping[str, Any], unit: str) -> str:
    facts = []
    if "samples" in run:
        facts.append(f"{run['samples']:,} {unit}")
    if "seconds" in run:
        facts.append(f"{run['seconds'] / 60:.1f} minutes of training")
    return f"<header><h1>{escape(name)}</h1><p>{escape(' · '.join(facts))}</p></header>"


def _learning(rows: Sequence[Mapping[str, Any]], domain: Domain) -> str:
    """The score that picks the best policy over samples, with its interval where the log has one."""
    key = f"eval/{domain.score}"
    points = _series(rows, key)
    if not points:
        return ""
    low, high = _series(rows, f"{key}_low"), _series(rows, f"{key}_high")
    chart = Chart(900, 300, f"{domain.score} over training {domain.unit}")
    x = Scale(0, max(samples for samples, _ in points), _LEFT, _RIGHT)
    y = _vertical(chart, [value for _, value in points + low + high])
    chart.x_axis(x, _BOTTOM, ticks(x.low, x.high, 8))
    chart.text(460, 296, domain.unit, "label middle")
    if low and high:
        chart.area([(x(a), y(b)) for a, b in low], [(x(a), y(b)) for a, b in high], "band s0")
    chart.line([(x(a), y(b)) for a, b in points], "curve s0")
    for samples, value in points:
        chart.marker(x(samples), y(value), 0, size=3, hint=f"{value:.4g} at {short(samples)} {domain.unit}")
    note = f"{domain.score.capitalize()} on the same test every time, with its 95 % interval."
    return f"<figure>{chart.render()}<figcaption>{escape(note)}</figcaption></figure>"


def _series(rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    return [(row["samples"], row[key]) for row in rows if row.get(key) is not None]


def _adaptation(scores: Scores) -> str:
    """One chart a metric: its mean and interval in each setting, from left to right."""
    summary = scores.summary()
    metrics = dict.fromkeys(metric for estimates in summary.values() for metric in estimates)
    return "".join(
        _settings_chart(metric, {s: estimates[metric] for s, estimates in summary.items() if metric in estimates})
        for metric in metrics
    )


def _settings_chart(metric: str, estimates: Mapping[str, Estimate]) -> str:
    chart = Chart(900, 300, f"{metric} by setting")
    y = _vertical(chart, [bound for e in estimates.values() for bound in (e.value, e.low, e.high) if bound == bound])
    places = Scale(-0.5, len(estimates) - 0.5, _LEFT, _RIGHT)
    chart.line([(places(k), y(e.value)) for k, e in enumerate(estimates.values())], "curve muted")
    for k, (setting, e) in enumerate(estimates.items()):
        if e.low == e.low:  # one task has no interval
            chart.line([(places(k), y(e.low)), (places(k), y(e.high))], "whisker s0")
        chart.marker(places(k), y(e.value), 0, size=5, hint=f"{setting}: {e.value:.4g}")
        chart.text(places(k), _BOTTOM + 20, setting.replace("_", " "), "label middle")
    note = f"{metric}: mean over unseen tasks with its 95 % interval."
    return f"<figure>{chart.render()}<figcaption>{escape(note)}</figcaption></figure>"


def _vertical(chart: Chart, values: Sequence[float]) -> Scale:
    """Draw the y axis with room for all values, and return its scale."""
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    y = Scale(low - margin, high + margin, _BOTTOM, _TOP)
    chart.y_axis(y, _LEFT, ticks(y.low, y.high, 5), grid_to=_RIGHT)
    return y


def _table(scores: Scores) -> str:
    summary = scores.summary()
    metrics = list(dict.fromkeys(metric for estimates in summary.values() for metric in estimates))
    body = []
    for setting, estimates in summary.items():
        tasks = max(e.n for e in estimates.values())
        body.append([escape(setting), str(tasks), *(_cell(estimates.get(metric)) for metric in metrics)])
    return html_table(("setting", "tasks", *map(escape, metrics)), body)


def _cell(e: Estimate | None) -> str:
    if e is None or not e.n:
        return "-"
    interval = f"<small>{e.low:.4g} to {e.high:.4g}</small>" if e.low == e.low else ""
    return f"{e.value:.4g}{interval}"
