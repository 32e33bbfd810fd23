"""What a bundle says about its policy: the manifest with its contract (``policy.yaml``)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sim2real.deploy.bundle import MODEL_FILE
from sim2real.deploy.contract import SCHEMA, VERSION
from sim2real.types import NO_DELAYS, Delays, TaskSpec, Term

OPSET = 18
TOLERANCE = 1e-5
"""Largest absolute difference between the exported policy and torch: actions in [-1, 1], and memory."""


@dataclass(frozen=True)
class About:
    """What a bundle says of its policy beside the interface. The domain that the policy comes from knows."""

    trained: Mapping[str, Any] = field(default_factory=dict)
    """More on its origin: versions, commit, the set of dynamics, what it was adapted to."""
    delays: Delays = field(default_factory=lambda: NO_DELAYS)
    """Those it was trained with."""
    episodes: int = 1
    """Episodes that the memory is kept over: with more than one, the task's horizon is that of a trial of so many."""
    simulated: bool = True
    """Whether `sim2real run --robot sim` knows the task."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What else one has to know to run it, as sections of the model card: title -> Markdown."""


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
    about: About,
) -> dict[str, Any]:
    """All that a robot's side has to know, as JSON data; read back by `sim2real.deploy.contract`.

    Args:
        task: names and units of the action, its scale and offset, the control period.
        terms: the policy's input in its order.
        states: name of each memory tensor -> its shape.
        meta: the policy's ``policy.json``.
        about: what else is said of it.
    """
    origin = {key: meta[key] for key in ("algorithm", "agent", "env", "seed", "samples") if key in meta}
    contract = {
        "schema": {"name": SCHEMA, "version": VERSION},
        "task": task.name,
        "control_dt": task.control_dt,
        "horizon": task.horizon,
        **({"success_threshold": task.success_threshold} if task.goal else {}),
        "obs": [asdict(term) for term in terms],
        "action": _action(task),
        "state": {
            name: {"input": f"{name}_in", "output": f"{name}_out", "shape": list(shape), "initial": "zeros"}
            for name, shape in states.items()
        },
        "reset": _reset(task.horizon, about.episodes),
        "normaliser": "baked",
        "delays": {name: list(span) for name, span in about.delays.items()},
        "trained": {**origin, **about.trained},
        "simulated": about.simulated,
        "notes": dict(about.notes),
        "evaluation": {},
        "parity": {"tolerance": TOLERANCE},
        "runtime": {"opset": OPSET, "onnxruntime": ">=1.18"},
    }
    # Once through JSON: the file is compared with the copy in the model, where tuples are lists.
    document: dict[str, Any] = json.loads(json.dumps(contract, allow_nan=False))
    return document


def _reset(horizon: int, episodes: int) -> dict[str, Any]:
    """When the memory is set back to zeros."""
    every = "episode" if episodes == 1 else "trial"
    return {"every": every, "episodes": episodes, "steps_of_episode": horizon // episodes}


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


def manifest(contract: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
    """Content of ``policy.yaml``: LEAPP's keys, the contract, and the sha256 of ``files``, which are all the others."""
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    # LEAPP wants an MD5 too; it protects nothing.
    md5 = hashlib.md5(files[MODEL_FILE], usedforsecurity=False).hexdigest()
    return {**leapp_layout(contract, md5, checksums[MODEL_FILE]), "contract": contract, "sha256": checksums}


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
    elif not any(isinstance(v, dict | list) for v in value):
        return _filled([json.dumps(v, ensure_ascii=False, allow_nan=False) for v in value], indent)
    else:
        entries = [_lines(v, indent + 2) for v in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(inner + entry for entry in entries) + f"\n{' ' * indent}{closing}"


def _filled(items: Sequence[str], indent: int) -> str:
    """A long list of numbers or texts: as many on a line as fit."""
    lines, inner = [""], " " * (indent + 2)
    for item in items:
        if lines[-1] and len(inner) + len(lines[-1]) + len(item) > 118:
            lines.append("")
        lines[-1] += f"{item}, "
    body = "\n".join(inner + line.rstrip() for line in lines)
    return f"[\n{body.rstrip(',')}\n{' ' * indent}]"


def leapp_layout(contract: Mapping[str, Any], md5: str, sha256: str) -> dict[str, Any]:
    """The interface as LEAPP 0.7 writes it (configuration 1.3): named inputs and outputs, and the memory's feedback.

    Memory without initial values starts at zero there too. What LEAPP can't say is in the contract alone: the last
    elements of ``obs`` are the action before, divided by its scale.
    """
    elements = [element for term in contract["obs"] for element in term["elements"]]
    states, action = contract["state"].values(), contract["action"]["elements"]
    inputs = [_tensor("obs", [1, len(elements)], elements), *(_tensor(s["input"], s["shape"]) for s in states)]
    outputs = [_tensor("actions", [1, len(action)], action), *(_tensor(s["output"], s["shape"]) for s in states)]
    parameters = {
        "model_path": MODEL_FILE,
        "md5sum": md5,
        "sha256sum": sha256,
        "backend": "onnx",
        "opset_version": OPSET,
    }
    pipeline = {
        "data_flow": {},
        "feedback_flow": {f"policy/{s['output']}": [f"policy/{s['input']}"] for s in states},
        "inputs": {"policy": ["obs"]},
        "outputs": {"policy": ["actions"]},
        "configs": {"frequency": 1 / contract["control_dt"]},
    }
    return {
        "models": {"policy": {"inputs": inputs, "outputs": outputs, "parameters": parameters}},
        "pipeline": pipeline,
        "system information": {"leapp config version": "1.3", **contract["trained"].get("versions", {})},
    }


def _tensor(name: str, shape: Sequence[int], elements: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    tensor = {"name": name, "dtype": "float32", "shape": list(shape), "type": "tensor"}
    if elements:
        tensor["element_names"] = [[element["name"] for element in elements]]
        keys = {"element_kinds": "kind", "element_units": "unit", "element_frames": "frame"}
        tensor |= {key: [element[field] for element in elements] for key, field in keys.items()}
    return tensor
