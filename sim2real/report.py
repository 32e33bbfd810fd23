"""One self-contained ``report.html`` for a run: how it learned, how it transfers, and what made it.

The page needs no script, no font and no file beside it, and follows the reader's choice of light or dark.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sim2real.estimates import Estimate
from sim2real.evaluate import Bin, Evaluation
from sim2real.metrics import read_metrics
from sim2real.report_style import STYLE
from sim2real.svg import SERIES, Chart, Scale, log_ticks, short, ticks
from sim2real.tables import html_table

_COLUMNS = {
    "success": "success",
    "base_rate": "base rate",
    "return": "return",
    "final_distance": "final distance (m)",
    "time_to_success": "time to success (s)",
    "action_rate": "action rate",
}
Evaluations = Mapping[str, Evaluation]


def write_report(
    run_dir: str | Path,
    evaluations: Evaluations,
    *,
    units: Mapping[str, str] | None = None,
    extra: Sequence[str] = (),
) -> Path:
    """Write ``run_dir/report.html`` and return its path.

    Args:
        run_dir: a run directory; of ``config.yaml``, ``run.json`` and ``metrics.jsonl``, what is missing is left out.
        evaluations: setting (``nominal``, ``train``, ``unseen``, ...) -> its evaluation, in the order to show.
        units: unit of each dynamics parameter, for its axis.
        extra: further sections, as `section` makes them.
    """
    folder = Path(run_dir)
    run = _read_json(folder / "run.json")
    config = folder / "config.yaml"
    sections = [
        _header(folder, run, evaluations),
        section("Learning", _learning(read_metrics(folder))),
        section("Transfer", _transfer(evaluations) + _table(evaluations)),
        section("Success by dynamics parameter", _parameters(evaluations, units or {})),
        section("Configuration", f"<pre>{escape(config.read_text(encoding='utf-8'))}</pre>" if config.exists() else ""),
        section("Made with", origin(run)),
    ]
    title = f"{_task(evaluations)} {folder.name}".strip()
    return write_page(folder / "report.html", title, [*sections[:-2], *extra, *sections[-2:]])


def _header(folder: Path, run: Mapping[str, Any], evaluations: Evaluations) -> str:
    facts = [folder.name]
    if "samples" in run:
        facts.append(f"{run['samples']:,} samples")
    if "seconds" in run:
        facts.append(f"{run['seconds'] / 60:.1f} minutes of training")
    tiles = "".join(_tile(k, name, e.summary()["success"]) for k, (name, e) in enumerate(evaluations.items()))
    return (
        f"<header><h1>{escape(_task(evaluations) or folder.name)}</h1><p>{escape(' · '.join(facts))}</p></header>"
        f'<div class="tiles">{tiles}</div>'
    )


def _tile(series: int, setting: str, success: Estimate) -> str:
    return (
        f'<div class="tile t{series % SERIES}"><span>success, {escape(setting)}</span><b>{success.value:.1%}</b>'
        f"<span>{success.low:.1%} to {success.high:.1%}, {success.n} episodes</span></div>"
    )


def _learning(rows: Sequence[Mapping[str, Any]]) -> str:
    """Success over samples: of the evaluated policy with its interval, and of the exploring one."""
    evaluated, exploring = _series(rows, "eval/success"), _series(rows, "collect/success")
    if not evaluated:
        return ""
    chart = Chart(900, 300, "Success rate over training samples")
    last = max(x for x, _ in evaluated + exploring)
    x, y = Scale(0, last, 48, 760), Scale(0, 1, 262, 14)
    chart.y_axis(y, 48, [0, 0.25, 0.5, 0.75, 1], grid_to=760)
    chart.x_axis(x, 262, ticks(0, last, 8))
    chart.text(404, 296, "samples", "label middle")
    low, high = _series(rows, "eval/success_low"), _series(rows, "eval/success_high")
    if low and high:
        chart.area([(x(a), y(b)) for a, b in low], [(x(a), y(b)) for a, b in high], "band s0")
    chart.line([(x(a), y(b)) for a, b in exploring], "curve muted")
    chart.line([(x(a), y(b)) for a, b in evaluated], "curve s0")
    for samples, value in evaluated:
        chart.marker(x(samples), y(value), 0, size=3, hint=f"{value:.3f} at {short(samples)} samples")
    ends = [(y(evaluated[-1][1]), f"evaluated {evaluated[-1][1]:.2f}")]
    ends += [(y(exploring[-1][1]), f"exploring {exploring[-1][1]:.2f}")] if exploring else []
    for place, text in _spread(ends, 16):
        chart.text(770, place + 4, text)
    note = "Deterministic policy on fixed episodes with its 95 % interval; grey: the episodes gathered while exploring."
    return f"<figure>{chart.render()}<figcaption>{note}</figcaption></figure>"


def _spread(labels: Sequence[tuple[float, str]], gap: float) -> list[tuple[float, str]]:
    """Move labels apart that would be nearer than ``gap`` pixels."""
    placed: list[tuple[float, str]] = []
    for place, text in sorted(labels):
        placed.append((max(place, placed[-1][0] + gap) if placed else place, text))
    return placed


def _series(rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    return [(row["samples"], row[key]) for row in rows if row.get(key) is not None]


def _transfer(evaluations: Evaluations) -> str:
    """A dot with its interval for each setting, and a tick where a policy that does nothing would be."""
    bottom = 26 + 44 * len(evaluations)
    chart = Chart(900, bottom + 42, "Success rate and 95 % interval by dynamics setting")
    x = Scale(0, 1, 130, 690)
    chart.x_axis(x, bottom, [0, 0.2, 0.4, 0.6, 0.8, 1], grid_to=14)
    for k, (setting, evaluation) in enumerate(evaluations.items()):
        y, summary = 36 + 44 * k, evaluation.summary()
        success, base = summary["success"], summary["base_rate"]
        chart.text(116, y + 4, setting, "label end")
        chart.line([(x(base.value), y - 9), (x(base.value), y + 9)], "base")
        chart.line([(x(success.low), y), (x(success.high), y)], f"whisker s{k % SERIES}")
        chart.marker(x(success.value), y, k, size=6, hint=f"{success.value:.3f}")
        chart.text(706, y + 4, f"{success.value:.3f} [{success.low:.3f}, {success.high:.3f}]")
    chart.text(410, bottom + 36, "success at the last step", "label middle")
    note = "Dots: success with Wilson's 95 % interval. Grey ticks: the share that is already solved at reset."
    return f"<figure>{chart.render()}<figcaption>{note}</figcaption></figure>"


def _table(evaluations: Evaluations) -> str:
    body = []
    for setting, evaluation in evaluations.items():
        summary = evaluation.summary()
        cells = [_cell(summary[metric]) for metric in _COLUMNS]
        body.append([escape(setting), str(len(evaluation)), str(evaluation.seed), *cells])
    return html_table(("dynamics", "episodes", "seed", *_COLUMNS.values()), body)


def _cell(estimate: Estimate) -> str:
    if not estimate.n:
        return "-"
    digits = 3 if abs(estimate.value) < 10 else 1
    interval = f"<small>{estimate.low:.{digits}f} to {estimate.high:.{digits}f}</small>"
    return f"{estimate.value:.{digits}f}{interval if math.isfinite(estimate.low) else ''}"


def _parameters(evaluations: Evaluations, units: Mapping[str, str]) -> str:
    """Small multiples: success in bins of each parameter, all settings in one panel."""
    per_setting = [evaluation.per_parameter() for evaluation in evaluations.values()]
    names = dict.fromkeys(name for parameters in per_setting for name in parameters)
    if not names:
        return ""
    panels = "".join(_panel(name, units.get(name, ""), [p.get(name, ()) for p in per_setting]) for name in names)
    keys = "".join(
        f'<span class="key">{series_key(k, setting)}{escape(setting)}</span>'
        for k, (setting, parameters) in enumerate(zip(evaluations, per_setting, strict=True))
        if parameters
    )
    note = "Episodes in bins by one parameter, the others varying too; upright bars: Wilson's 95 % intervals."
    return f'<p class="legend">{keys}</p><div class="panels">{panels}</div><p class="note">{note}</p>'


def series_key(series: int, setting: str) -> str:
    """The marker of a series, for a legend."""
    chart = Chart(14, 14, f"marker of {setting}")
    chart.marker(7, 7, series, size=4.5)
    return chart.render()


def _panel(name: str, unit: str, settings: Sequence[Sequence[Bin]]) -> str:
    chart = Chart(260, 150, f"Success by {name}")
    everything = [part for parts in settings for part in parts]
    low, high = min(part.low for part in everything), max(part.high for part in everything)
    x, y = _spreading_scale(everything, low, high), Scale(0, 1, 124, 12)
    chart.y_axis(y, 36, [0, 0.5, 1], grid_to=252)
    chart.x_axis(x, 126, log_ticks(low, high, 4) if x.log else ticks(low, high, 4))
    for k, parts in enumerate(settings):
        style = f"s{k % SERIES}"
        for part in parts:
            # A little to the side, so that series with equal bins do not hide each other.
            place = (x(part.low) + x(part.high)) / 2 + 5 * (k - (len(settings) - 1) / 2)
            value, n = part.success.value, part.success.n
            chart.line([(x(part.low), y(value)), (x(part.high), y(value))], f"curve {style}")
            chart.line([(place, y(part.success.low)), (place, y(part.success.high))], f"whisker thin {style}")
            chart.marker(
                place, y(value), k, size=3, hint=f"{part.low:.4g} to {part.high:.4g} {unit}: {value:.3f} of {n}"
            )
    shown = {"x": " (x nominal)", "1": "", "": ""}.get(unit, f" ({unit})")
    title = name.replace("_", " ") + shown
    return f"<figure><h3>{escape(title)}</h3>{chart.render()}</figure>"


def _spreading_scale(parts: Sequence[Bin], low: float, high: float) -> Scale:
    """Linear or logarithmic, whichever keeps the widest bin narrower: bins hold equally many episodes."""
    linear = Scale(low, high, 36, 250)
    if low <= 0 or high < 4 * low:
        return linear
    scales = linear, Scale(low, high, 36, 250, log=True)
    return min(scales, key=lambda scale: max(scale(part.high) - scale(part.low) for part in parts))


def origin(run: Mapping[str, Any]) -> str:
    """Table of what made a result: command, commit, machine, versions."""
    facts = {key: run[key] for key in ("command", "started", "commit", "device") if run.get(key)}
    facts |= run.get("machine", {})
    facts |= run.get("versions", {})
    rows = "".join(f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in facts.items())
    return f'<div class="scroll"><table class="facts"><tbody>{rows}</tbody></table></div>' if rows else ""


def section(title: str, content: str) -> str:
    """A part of the page; nothing where there is nothing to show."""
    return f"<section><h2>{title}</h2>{content}</section>" if content else ""


def write_page(path: Path, title: str, sections: Sequence[str]) -> Path:
    """Write one self-contained page and return its path."""
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )
    path.write_text(page, encoding="utf-8")
    return path


def _task(evaluations: Evaluations) -> str:
    return next((evaluation.task.name for evaluation in evaluations.values()), "")


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content
