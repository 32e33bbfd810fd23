"""A few-shot learner as two ONNX files: ``adapt`` reads a support set, ``predict`` answers queries with what it made of
it.

For learners that adapt by a forward pass. A folder holds ``adapt.onnx`` (support, targets -> context_0, ...),
``predict.onnx`` (context_0, ..., query -> outputs, any number of queries) and ``predictor.json``, which says shapes and
how closely onnxruntime repeats torch. One task at a time: there is no axis of tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sim2real.exportable import ExportError
from sim2real.few_shot_types import FewShotSpec, TaskBatch, TaskSource
from sim2real.folders import check_replaceable, replaced_directory
from sim2real.onnx_export import traced

FILES = ("adapt.onnx", "predict.onnx", "predictor.json")
TASKS = 5
"""Fresh tasks that the files are checked on."""
TOLERANCE = 1e-4
"""Largest difference from torch of an output, relative to the task's largest."""


class ExportableLearner(Protocol):
    """A module that embeds, conditions on the support set and answers (``agents/conditioned.py``)."""

    embed: nn.Module

    def condition(self, embedded: Tensor, targets: Tensor, ways: int) -> tuple[Tensor, ...]: ...

    def answer(self, context: tuple[Tensor, ...], embedded: Tensor) -> Tensor: ...

    def adapt(self, support: Any) -> Any: ...


class _Adapt(nn.Module):
    """Support [S, ...], targets -> context of one task."""

    def __init__(self, learner: Any, ways: int) -> None:
        super().__init__()
        self.learner, self.ways = learner, ways

    def forward(self, support: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        context = self.learner.condition(self.learner.embed(support[None]), targets[None], self.ways)
        return tuple(part[0] for part in context)


class _Predict(nn.Module):
    """Query [Q, ...], context of one task -> outputs [Q, O]."""

    def __init__(self, learner: Any) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, query: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        whole = tuple(part[None] for part in context)
        return self.learner.answer(whole, self.learner.embed(query[None]))[0]  # type: ignore[no-any-return]


def export_learner(learner: ExportableLearner, source: TaskSource, out: Path, *, origin: Mapping[str, Any]) -> Path:
    """Write ``learner``, in evaluation mode on the CPU, to ``out`` for tasks as those of ``source``; check the files.

    Raises:
        UserError: ``out`` holds other things than such a folder.
        ExportError: onnx or onnxruntime is missing, or the files compute something else than torch.
    """
    check_replaceable(out, FILES, "an exported few-shot predictor")
    batch = source.sample(TASKS)
    adapt, predict, contexts = _graphs(learner, batch, source.task)
    error = _largest_error(learner, batch, adapt, predict)
    if not error <= TOLERANCE:
        raise ExportError(
            f"the exported predictor differs from torch by {error:.1e}, at most {TOLERANCE:.0e} is let pass"
        )
    with replaced_directory(out) as folder:
        (folder / "adapt.onnx").write_bytes(adapt)
        (folder / "predict.onnx").write_bytes(predict)
        content = _description(source.task, contexts, error, origin)
        (folder / "predictor.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return out


def _graphs(learner: Any, batch: TaskBatch, task: FewShotSpec) -> tuple[bytes, bytes, list[list[int]]]:
    """Contents of both files, and the shapes of the context."""
    first = _Adapt(learner, task.ways).eval()
    support, targets = batch.support.inputs[0], batch.support.targets[0]
    with torch.no_grad():
        context = first(support, targets)
    names = [f"context_{k}" for k in range(len(context))]
    adapt = traced(first, (support, targets), ["support", "targets"], names)
    free = {"query": {0: torch.export.Dim("queries", min=1)}, "context": tuple({} for _ in names)}
    example: Any = (batch.query.inputs[0], context)
    predict = traced(_Predict(learner).eval(), example, ["query", *names], ["outputs"], free)
    return adapt, predict, [list(part.shape) for part in context]


def _largest_error(learner: Any, batch: TaskBatch, adapt: bytes, predict: bytes) -> float:
    """Of onnxruntime against torch over the tasks, relative to a task's largest output."""
    try:
        import onnxruntime
    except ImportError:
        raise ExportError("exporting needs the package 'onnxruntime': pip install 'sim2real[export]'") from None
    first, second = (onnxruntime.InferenceSession(content) for content in (adapt, predict))
    expected = learner.adapt(batch.support).predict(batch.query.inputs)["adapted"]
    errors = []
    for k in range(len(batch)):
        support = {"support": batch.support.inputs[k].numpy(), "targets": batch.support.targets[k].numpy()}
        context = {f"context_{i}": part for i, part in enumerate(first.run(None, support))}
        (outputs,) = second.run(None, {"query": batch.query.inputs[k].numpy(), **context})
        difference = (torch.from_numpy(outputs) - expected[k]).abs().max() / expected[k].abs().max()
        errors.append(float(difference))
    return max(errors)


def _description(
    task: FewShotSpec, contexts: list[list[int]], error: float, origin: Mapping[str, Any]
) -> dict[str, Any]:
    """What ``predictor.json`` says."""
    kinds = {
        "classification": ("int64 classes in [0, ways)", "logits of the classes; softmax gives probabilities"),
        "regression": ("float32 numbers", "float32 numbers"),
    }
    targets, outputs = kinds[task.kind]
    return {
        "format": 1,
        "task": task.name,
        "kind": task.kind,
        "ways": task.ways,
        "shots": task.shots,
        "input_shape": list(task.input_shape),
        "support": f"float32 [{task.support_size}, *input_shape], any order, and targets: {targets}",
        "query": "float32 [any number, *input_shape]",
        "context": contexts,
        "outputs": outputs,
        "largest_relative_error": error,
        "checked_on_tasks": TASKS,
        "algorithm": origin["algorithm"],
        "samples": origin["samples"],
        "seed": origin["seed"],
    }
