"""State <-> ``state.safetensors`` + ``state.json``: no pickle, versioned, never half written (`sim2real.folders`)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sim2real.errors import UserError
from sim2real.folders import complete_directory, replaced_directory
from sim2real.types import State

FORMAT = "sim2real-state"
VERSION = 1
_TENSORS, _TREE = "state.safetensors", "state.json"
# Values that JSON can't tell apart are objects with this one key; a State that uses the key itself is refused.
_TAG = "$type"


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, from another program or from a newer version."""


def save_state(path: Path, state: State) -> None:
    """Write ``state`` to the directory ``path``, replacing what was there in one step.

    Leaves may be tensors on any device, numpy arrays and scalars, and what JSON holds; containers are dicts with
    string or whole-number keys, lists and tuples. Raises ``TypeError`` for anything else, naming its place.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = _encode(state, "", tensors)
    with replaced_directory(path) as folder:
        text = json.dumps({"format": FORMAT, "version": VERSION, "tree": tree}, allow_nan=False)
        (folder / _TREE).write_text(text, encoding="utf-8")
        _write_tensors(folder / _TENSORS, tensors)


def load_state(path: Path, device: str = "cpu") -> State:
    """Read back what ``save_state`` wrote, with the same types; tensors on ``device``. Raises ``CheckpointError``."""
    folder = complete_directory(path)
    if folder is None:
        raise CheckpointError(f"there is no checkpoint at {path}")
    tree = _read_tree(folder / _TREE)
    try:
        tensors = load_file(folder / _TENSORS, device=device)
        state = _decode(tree, tensors)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{folder} is damaged ({error}); delete it to start the run anew") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{folder} is damaged (it holds {type(state).__name__}, not a dict)")
    return state


def save_policy(folder: Path, policy: torch.nn.Module, meta: Mapping[str, Any]) -> None:
    """Write the weights (``model.safetensors``) and what rebuilds the module around them (``policy.json``)."""
    text = json.dumps(meta, indent=2, allow_nan=False)
    with replaced_directory(folder) as new:
        _write_tensors(new / "model.safetensors", policy.state_dict())
        (new / "policy.json").write_text(text + "\n", encoding="utf-8")


def _write_tensors(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors from any device; safetensors refuses two that share memory, so the second one is copied."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        storage = plain.untyped_storage().data_ptr()
        result[name] = plain.clone() if storage in seen else plain
        seen.add(storage)
    save_file(result, file)
    # safetensors makes files that only their owner may read; the folder's permissions are what the user chose.
    file.chmod(file.parent.stat().st_mode & 0o666)


def _encode(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    # The number makes names unique: {1: x} and {"1": x} have the same path.
    name = f"{len(tensors)}{path}"
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {_TAG: "tensor", "name": name}
    if isinstance(value, np.ndarray | np.generic):
        tensors[name] = _from_numpy(np.asarray(value), path)
        return {_TAG: "array" if isinstance(value, np.ndarray) else "scalar", "name": name}
    if isinstance(value, Mapping):
        return _encode_mapping(value, path, tensors)
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {_TAG: "tuple", "items": items}
    if isinstance(value, float) and not math.isfinite(value):
        return {_TAG: "float", "value": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"state{path}: {type(value).__name__} can't be saved; use tensors, arrays and JSON values")


def _encode_mapping(value: Mapping[Any, Any], path: str, tensors: dict[str, torch.Tensor]) -> Any:
    for key in value:
        if type(key) not in (int, str) or key == _TAG:
            raise TypeError(f"state{path}: keys are text or whole numbers, and not {_TAG!r}; got {key!r}")
    items = {key: _encode(item, f"{path}/{key}", tensors) for key, item in value.items()}
    if all(isinstance(key, str) for key in items):
        return items
    return {_TAG: "dict", "items": [[key, item] for key, item in items.items()]}


def _from_numpy(array: np.ndarray[Any, Any], path: str) -> torch.Tensor:
    try:
        # ascontiguousarray would make a [1] out of a []; from_numpy refuses negative strides and foreign byte orders.
        return torch.from_numpy(array.copy(order="C"))
    except (TypeError, ValueError) as error:
        raise TypeError(f"state{path}: an array of {array.dtype} can't be saved ({error})") from error


def _decode(node: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(node, list):
        return [_decode(item, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    if _TAG not in node:
        return {key: _decode(item, tensors) for key, item in node.items()}
    match node[_TAG]:
        case "tensor":
            return tensors[node["name"]]
        case "array":
            return tensors[node["name"]].cpu().numpy()
        case "scalar":
            return tensors[node["name"]].cpu().numpy()[()]
        case "float":
            return float(node["value"])
        case "tuple":
            return tuple(_decode(item, tensors) for item in node["items"])
        case "dict":
            return {key: _decode(item, tensors) for key, item in node["items"]}
    raise ValueError(f"unknown type {node[_TAG]!r}")


def _read_tree(file: Path) -> Any:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} is missing or damaged ({error}); delete {file.parent} to start anew") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{file} was not written by sim2real (its format is not {FORMAT!r})")
    if not isinstance(content.get("version"), int) or content["version"] > VERSION:
        raise CheckpointError(
            f"{file} has version {content.get('version')}, this sim2real reads up to {VERSION}; install a newer one"
        )
    return content.get("tree")
