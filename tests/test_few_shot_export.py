"""Few-shot learners as ONNX files: onnxruntime repeats torch, and what can't be exported is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sim2real.agents import AGENTS
from sim2real.config import build
from sim2real.errors import UserError
from sim2real.exportable import ExportError
from sim2real.few_shot_export import FILES, export_learner
from tests.agents.clusters import Clusters

onnxruntime = pytest.importorskip("onnxruntime", reason="exporting needs sim2real[export]")
pytest.importorskip("onnxscript", reason="exporting needs sim2real[export]")
ORIGIN = {"algorithm": "toy", "samples": 0, "seed": 0}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "protonet": ("protonet", {}),
    "matching": ("matching", {"full_context": True}),
    "lstm_learner": ("lstm_learner", {"units": 8}),
    "neural_process": ("neural_process", {"units": 8}),
}


def learner(name: str, source: Clusters, **options: Any) -> nn.Module:
    entry = AGENTS[name]
    torch.manual_seed(0)
    return entry.build_policy(build(entry.config, {"embedding": {"filters": 4}, **options}), source.task).eval()


@pytest.mark.parametrize("case", CASES)
def test_adapt_and_predict_run_without_torch(case: str, tmp_path: Path) -> None:
    name, options = CASES[case]
    source = Clusters((1, 16, 16))
    policy: Any = learner(name, source, **options)
    folder = export_learner(policy, source, tmp_path / "predictor", origin=ORIGIN)
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    batch = Clusters((1, 16, 16), queries=1, seed=5).sample(1)
    adapt, predict = (onnxruntime.InferenceSession(folder / f"{part}.onnx") for part in ("adapt", "predict"))
    context = adapt.run(None, {"support": batch.support.inputs[0].numpy(), "targets": batch.support.targets[0].numpy()})
    named = {f"context_{k}": part for k, part in enumerate(context)}
    (outputs,) = predict.run(None, {"query": batch.query.inputs[0].numpy(), **named})
    expected = policy.adapt(batch.support).predict(batch.query.inputs)["adapted"][0]
    np.testing.assert_allclose(outputs, expected, atol=1e-4)  # another number of queries than while exporting
    described = json.loads((folder / "predictor.json").read_text())
    assert described["ways"] == 3 and described["largest_relative_error"] < 1e-4
    assert described["context"] == [list(part.shape) for part in context]


def test_a_learner_that_computes_something_else_is_not_written(tmp_path: Path) -> None:
    source = Clusters((1, 16, 16))
    policy: Any = learner("protonet", source)
    adapt = policy.adapt
    policy.adapt = lambda support: adapt(type(support)(support.inputs + 1, support.targets))
    with pytest.raises(ExportError, match="the exported predictor differs from torch by"):
        export_learner(policy, source, tmp_path / "predictor", origin=ORIGIN)
    assert not (tmp_path / "predictor").exists()


def test_other_files_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match="holds other things than an exported few-shot predictor"):
        export_learner(None, Clusters(), tmp_path, origin=ORIGIN)  # type: ignore[arg-type]
    assert (tmp_path / "mine.txt").read_text() == "keep"
