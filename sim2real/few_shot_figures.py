"""Figures that only few-shot learners have, as sections of the report."""

from __future__ import annotations

from html import escape

import torch

from sim2real.few_shot_types import MetaLearner, TaskBatch
from sim2real.report import section
from sim2real.svg import Chart, Scale, ticks

_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 872, 14, 222
SHOWN = ("step_0", "step_1", "step_10")


def sinusoid_figure(learner: MetaLearner, tasks: TaskBatch) -> str:
    """Each task's sinusoid, its support points, and what the learner predicts before and after adapting to them."""
    x = torch.linspace(-5, 5, 101, device=tasks.support.inputs.device)
    with torch.no_grad():
        predicted = learner.adapt(tasks.support).predict(x[None, :, None].expand(len(tasks), -1, 1))
    shown = [setting for setting in predicted if setting in SHOWN] or list(predicted)[-1:]
    charts = ""
    for k, (amplitude, phase) in enumerate(tasks.parameters.tolist()):
        curves = {"true": (amplitude * torch.sin(x - phase)).tolist()}
        curves |= {setting: predicted[setting][k, :, 0].tolist() for setting in shown}
        points = torch.cat([tasks.support.inputs[k], tasks.support.targets[k]], 1).tolist()
        charts += _chart(x.tolist(), curves, [(a, b) for a, b in points])
    note = "Unseen sinusoids (grey), the support points, and predictions: " + ", ".join(
        f"{setting.replace('_', ' ')} (colour {i + 1})" for i, setting in enumerate(shown)
    )
    return section("Adapted sinusoids", f"<figure>{charts}<figcaption>{escape(note)}</figcaption></figure>")


def _chart(x: list[float], curves: dict[str, list[float]], points: list[tuple[float, float]]) -> str:
    chart = Chart(900, 250, "an unseen sinusoid, support points and predictions")
    across = Scale(-5, 5, _LEFT, _RIGHT)
    values = [value for curve in curves.values() for value in curve]
    low, high = min(values), max(values)
    up = Scale(low, high, _BOTTOM, _TOP)
    chart.x_axis(across, _BOTTOM, ticks(-5, 5, 11))
    chart.y_axis(up, _LEFT, ticks(low, high, 5), grid_to=_RIGHT)
    for i, (name, curve) in enumerate(curves.items()):
        line = [(across(a), up(b)) for a, b in zip(x, curve, strict=True)]
        chart.line(line, "curve muted" if name == "true" else f"curve s{i - 1}")
        if name != "true":
            chart.marker(*line[-1], i - 1, hint=name.replace("_", " "))
    for a, b in points:
        chart.marker(across(a), up(b), 4, size=4, hint=f"support ({a:.2f}, {b:.2f})")
    return chart.render()
