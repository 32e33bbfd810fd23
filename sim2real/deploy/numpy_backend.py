"""Inference with NumPy alone, from ``model.safetensors`` and the list of operations in ``config.json``.

For robots without onnxruntime, and as a second implementation that the exported graph is held against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sim2real.deploy.contract import INPUT, METADATA_KEY, BundleError, Contract
from sim2real.deploy.numpy_operations import OPERATIONS, Array, Function, Parameters
from sim2real.deploy.safetensors_file import read_safetensors
from sim2real.errors import unknown

ACTION = "action"
"""Name of the network's result: the action in [-1, 1]."""


class NumpyBackend:
    """A network as a list of operations on named vectors.

    Each entry is ``{"op": NAME, "in": [...], "out": [...], ...}`` with the operation's parameters beside it: numbers,
    or names of tensors. Names that are there at the beginning are those of the contract's terms and ``h_in``, ...; at
    the end ``action`` and ``h_out``, ... have to be.

    Args:
        network: the entries.
        weights: content of ``model.safetensors``.
        contract: terms, memory, action scale.

    Raises:
        BundleError: an operation is unknown, a tensor is missing, or the shapes don't fit together or the contract.
    """

    name = "numpy"

    def __init__(self, network: Sequence[Mapping[str, Any]], weights: bytes, contract: Contract) -> None:
        tensors, metadata = read_safetensors(weights)
        self.embedded_contract = metadata.get(METADATA_KEY)
        self._program = [_compiled(entry, tensors) for entry in network]
        self._scale = np.array(contract.action_scale, np.float32)
        self._offset = np.array(contract.action_offset, np.float32)
        self._terms, self._state = _slices(contract), tuple(contract.state)
        _check(self, contract)

    def infer(self, obs: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """See `Bundle.infer`."""
        values = {name: obs[part] for name, part in self._terms}
        values |= {f"{name}_in": tensor for name, tensor in zip(self._state, state, strict=True)}
        for function, inputs, outputs in self._program:
            for name, value in zip(outputs, function(*[values[i] for i in inputs]), strict=True):
                values[name] = value
        return values[ACTION] * self._scale + self._offset, tuple(values[f"{name}_out"] for name in self._state)


def _compiled(entry: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[Function, list[str], list[str]]:
    try:
        name = str(entry["op"])
        if name not in OPERATIONS:
            raise BundleError(unknown("operation", name, OPERATIONS) + "; run policy.onnx with onnxruntime instead")
        return OPERATIONS[name](Parameters(entry, tensors)), list(entry["in"]), list(entry["out"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"the network's operation {entry} is damaged: {type(error).__name__}: {error}") from None


def _slices(contract: Contract) -> list[tuple[str, slice]]:
    """Where each term lies in the input vector."""
    ends = np.cumsum([len(term.elements) for term in contract.terms]).tolist()
    return [(term.name, slice(end - len(term.elements), end)) for term, end in zip(contract.terms, ends, strict=True)]


def _check(backend: NumpyBackend, contract: Contract) -> None:
    """Run it once on zeros: every name, shape and type in the list is used."""
    state = tuple(np.zeros(shape, np.float32) for shape in contract.state.values())
    try:
        action, new = backend.infer(np.zeros(contract.inputs[INPUT][1], np.float32), state)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BundleError(f"the network doesn't fit together: {type(error).__name__}: {error}; export again") from None
    got = [(part.shape, str(part.dtype)) for part in (action, *new)]
    promised = [(shape, "float32") for shape in ((len(contract.action),), *contract.state.values())]
    if got != promised:
        raise BundleError(f"the network's action and memory are {got}, the contract says {promised}; export again")
