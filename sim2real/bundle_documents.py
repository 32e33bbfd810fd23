"""What a bundle says about its policy: contract (JSON), interface layout (YAML) and model card (Markdown)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sim2real.deploy.contract import SCHEMA, VERSION
from sim2real.types import Element, TaskSpec

OPSET = 18
TOLERANCE = 1e-5
"""Largest absolute difference between the exported policy and torch: actions in [-1, 1], and memory."""


def trained_with(run_dir: Path) -> dict[str, Any]:
    """Versions and commit from the run's ``run.json``; empty where there is none."""
    path = run_dir / "run.json"
    run = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {key: run[key] for key in ("versions", "commit") if key in run}


def build_contract(
    task: TaskSpec, states: Mapping[str, tuple[int, ...]], meta: Mapping[str, Any], trained: Mapping[str, Any]
) -> dict[str, Any]:
    """All that a robot's side has to know, as JSON data; read back by `sim2real.deploy.contract`.

    Args:
        task: names, units and order of readings and actions.
        states: name of each memory tensor -> its shape.
        meta: the policy's ``policy.json``.
        trained: versions, commit and dynamics of the training.
    """
    scale = list(task.action_scale)
    previous = [Element(f"previous_{e.name}", "1", e.kind, e.frame) for e in task.action]
    origin = {key: meta[key] for key in ("algorithm", "agent", "env", "seed", "samples") if key in meta}
    contract = {
        "schema": {"name": SCHEMA, "version": VERSION},
        "task": task.name,
        "control_dt": task.control_dt,
        "horizon": task.horizon,
        "success_threshold": task.success_threshold,
        "obs": [
            _term("observation", "sensors, raw", task.observation),
            _term("desired_goal", "command, raw", task.goal),
            _term("previous_action", "the last actions divided by action.scale; zeros at the start", previous),
        ],
        "action": {
            "elements": [asdict(element) for element in task.action],
            "scale": scale,
            "offset": [0.0] * len(scale),
            "low": [-s for s in scale],
            "high": scale,
            "rate_limit": None,
        },
        "state": {
            name: {"input": f"{name}_in", "output": f"{name}_out", "shape": list(shape), "initial": "zeros"}
            for name, shape in states.items()
        },
        "normaliser": "baked",
        "trained": {**origin, **trained},
        "eval": meta.get("eval") or {},
        "parity": {"tolerance": TOLERANCE},
        "runtime": {"opset": OPSET, "onnxruntime": ">=1.18"},
    }
    # Once through JSON: the file is compared with the copy in the model, where tuples are lists.
    document: dict[str, Any] = json.loads(json.dumps(contract, allow_nan=False))
    return document


def _term(name: str, source: str, elements: Sequence[Element]) -> dict[str, Any]:
    return {"name": name, "source": source, "size": len(elements), "elements": [asdict(e) for e in elements]}


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
        "sim2real": {key: contract[key] for key in ("task", "control_dt", "normaliser", "runtime")},
    }


def _tensor(name: str, shape: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": list(shape), "type": "tensor"}


def _semantics(elements: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    keys = {"element_names": "name", "units": "unit", "kind": "kind", "frames": "frame"}
    return {key: [element[field] for element in elements] for key, field in keys.items()}


def model_card(contract: Mapping[str, Any]) -> str:
    """Markdown with the front matter that model hubs read."""
    trained, scores = contract["trained"], contract["eval"]
    readings = [element for term in contract["obs"][:2] for element in term["elements"]]
    memory = ", ".join(f"`{name}` {state['shape']}" for name, state in contract["state"].items()) or "none"
    action = contract["action"]
    limits = [[f"±{scale:g}"] for scale in action["scale"]]
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

runner = BundleRunner("DIR")
runner.self_test()  # replays parity.npz on this machine
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
