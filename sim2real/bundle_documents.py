"""What a bundle says about its policy: the manifest with its contract (``policy.yaml``) and the model card."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sim2real.deploy.contract import SCHEMA, VERSION
from sim2real.types import TaskSpec, Term

OPSET = 18
TOLERANCE = 1e-5
"""Largest absolute difference between the exported policy and torch: actions in [-1, 1], and memory."""


def trained_with(run_dir: Path) -> dict[str, Any]:
    """Versions and commit from the run's ``run.json``; empty where there is none."""
    path = run_dir / "run.json"
    run = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {key: run[key] for key in ("versions", "commit") if key in run}


def build_contract(
    task: TaskSpec,
    terms: Sequence[Term],
    states: Mapping[str, tuple[int, ...]],
    meta: Mapping[str, Any],
    *,
    trained: Mapping[str, Any],
    delays: Mapping[str, tuple[float, float]],
) -> dict[str, Any]:
    """All that a robot's side has to know, as JSON data; read back by `sim2real.deploy.contract`.

    Args:
        task: names and units of the action, its scale and offset, the control period.
        terms: the policy's input in its order.
        states: name of each memory tensor -> its shape.
        meta: the policy's ``policy.json``.
        trained: versions, commit and dynamics of the training.
        delays: ``observation`` and ``action`` -> least and greatest delay trained with (in milliseconds).
    """
    origin = {key: meta[key] for key in ("algorithm", "agent", "env", "seed", "samples") if key in meta}
    contract = {
        "schema": {"name": SCHEMA, "version": VERSION},
        "task": task.name,
        "control_dt": task.control_dt,
        "horizon": task.horizon,
        "success_threshold": task.success_threshold,
        "obs": [asdict(term) for term in terms],
        "action": _action(task),
        "state": {
            name: {"input": f"{name}_in", "output": f"{name}_out", "shape": list(shape), "initial": "zeros"}
            for name, shape in states.items()
        },
        "normaliser": "baked",
        "delays": {name: list(span) for name, span in delays.items()},
        "trained": {**origin, **trained},
        "evaluation": {},
        "parity": {"tolerance": TOLERANCE},
        "runtime": {"opset": OPSET, "onnxruntime": ">=1.18"},
    }
    # Once through JSON: the file is compared with the copy in the model, where tuples are lists.
    document: dict[str, Any] = json.loads(json.dumps(contract, allow_nan=False))
    return document


def _action(task: TaskSpec) -> dict[str, Any]:
    limits = list(zip(task.action_scale, task.action_offset, strict=True))
    return {
        "elements": [asdict(element) for element in task.action],
        "scale": task.action_scale,
        "offset": task.action_offset,
        "low": [offset - scale for scale, offset in limits],
        "high": [offset + scale for scale, offset in limits],
        # From one end to the other: a policy that was trained without a limit must not meet one that it never felt.
        "rate_limit": [2 * scale for scale in task.action_scale],
    }


def manifest(contract: Mapping[str, Any], checksums: Mapping[str, str]) -> dict[str, Any]:
    """Content of ``policy.yaml``: LEAPP's keys, the contract, and the sha256 of every other file of the bundle."""
    return {**leapp_layout(contract, checksums["policy.onnx"]), "contract": contract, "sha256": checksums}


def to_yaml(document: Mapping[str, Any]) -> str:
    """JSON that every YAML reader takes too: what fits into a line stands on one.

    YAML 1.1 reads ``1e-05`` as text, ``1.0e-05`` as a number.
    """
    text = _lines(document, 0)
    # Strings are matched too, so that nothing inside of them is.
    number = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\d.])(-?\d+)(e[-+]\d+)')
    return number.sub(lambda m: f"{m[1]}.0{m[2]}" if m[1] else m[0], text) + "\n"


def _lines(value: Any, indent: int) -> str:
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if len(line) + indent <= 120 or not isinstance(value, dict | list):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        entries = [f"{json.dumps(key, ensure_ascii=False)}: {_lines(v, indent + 2)}" for key, v in value.items()]
    else:
        entries = [_lines(v, indent + 2) for v in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(inner + entry for entry in entries) + f"\n{' ' * indent}{closing}"


def leapp_layout(contract: Mapping[str, Any], checksum: str) -> dict[str, Any]:
    """The interface in the shape of LEAPP's YAML: models with named inputs and outputs, and the feedback edges."""
    elements = [element for term in contract["obs"] for element in term["elements"]]
    state = contract["state"].values()
    obs = {**_tensor("obs", [1, len(elements)]), **_semantics(elements)}
    actions = {
        **_tensor("actions", [1, len(contract["action"]["scale"])]),
        **_semantics(contract["action"]["elements"]),
    }
    parameters = {"model_path": "policy.onnx", "sha256sum": checksum, "backend": "onnx", "opset_version": OPSET}
    policy = {
        "inputs": [obs, *(_tensor(s["input"], s["shape"]) for s in state)],
        "outputs": [actions, *(_tensor(s["output"], s["shape"]) for s in state)],
        "parameters": parameters,
    }
    pipeline = {
        "inputs": ["policy/obs"],
        "outputs": ["policy/actions"],
        "feedback_flow": {f"policy/{s['output']}": [f"policy/{s['input']}"] for s in state},
        "initial_values": "zeros",
    }
    return {
        "models": {"policy": policy},
        "pipeline": pipeline,
        "system information": contract["trained"].get("versions", {}),
    }


def _tensor(name: str, shape: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": list(shape), "type": "tensor"}


def _semantics(elements: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    keys = {"element_names": "name", "units": "unit", "kind": "kind", "frames": "frame"}
    return {key: [element[field] for element in elements] for key, field in keys.items()}


def model_card(contract: Mapping[str, Any], scores: Mapping[str, float]) -> str:
    """Markdown with the front matter that model hubs read; ``scores`` are those of the last evaluation in training."""
    trained = contract["trained"]
    readings = [element for term in contract["obs"] if term["source"] != "feedback" for element in term["elements"]]
    memory = ", ".join(f"`{name}` {state['shape']}" for name, state in contract["state"].items()) or "none"
    action = contract["action"]
    limits = [[f"{low:g} to {high:g}"] for low, high in zip(action["low"], action["high"], strict=True)]
    actions = [_row(element) + limit for element, limit in zip(action["elements"], limits, strict=True)]
    figures = [[name, f"{value:.3f}"] for name, value in scores.items()] or [["(not evaluated while training)", ""]]
    origin = [[key, _flat(trained[key])] for key in ("algorithm", "env", "samples", "seed", "commit") if key in trained]
    versions = [[name, version] for name, version in trained.get("versions", {}).items()]
    return f"""---
library_name: sim2real
pipeline_tag: robotics
tags: [{contract["task"]}, {trained.get("algorithm", "policy")}, sim-to-real, onnx]
---

# {contract["task"]} policy

Raw readings in, physical actions out, every {contract["control_dt"] * 1000:g} ms. Normaliser, memory and action scale
are inside `policy.onnx`. Run it with `sim2real run DIR --env ID`, or from Python with numpy and onnxruntime alone:

```python
from sim2real.deploy import BundleRunner

runner = BundleRunner("DIR")  # checks the files and replays parity.npz on this machine
runner.reset()  # at the start of every episode and after every interruption
action = runner.step(readings)  # a dict by the names below, or a vector in their order
```

## Readings
{_table(["element", "unit", "kind", "frame"], [_row(element) for element in readings])}

## Actions
{_table(["element", "unit", "kind", "frame", "limits"], actions)}

Memory: {memory}; zeros at the start.

## Figures while training
On the dynamics it was trained with, deterministic, success judged at the last step.

{_table(["metric", "value"], figures)}

## Origin
{_table(["", ""], origin + versions)}

## Limits
Trained in simulation. This is not a safety function: keep the robot's own limits and emergency stop in force, check the
readings for plausibility, and call `reset()` after any gap in the control loop.
"""


def _row(element: Mapping[str, str]) -> list[str]:
    return [f"`{element['name']}`", element["unit"], element["kind"], element["frame"]]


def _flat(value: Any) -> str:
    return ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
