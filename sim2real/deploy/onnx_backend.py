"""Inference with ONNX Runtime, set up for a control loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.contract import METADATA_KEY, BundleError, Contract

if TYPE_CHECKING:
    import onnxruntime as ort

Array = NDArray[np.float32]


class OnnxBackend:
    """``policy.onnx`` in a session with one thread that sleeps between steps.

    Args:
        model: content of the file.
        contract: what the model's inputs and outputs have to be.
        file: for messages.

    Raises:
        BundleError: onnxruntime is not installed or can't open the model, or names, shapes or types of inputs or
            outputs differ from the contract.
    """

    name = "onnx"

    def __init__(self, model: bytes, contract: Contract, file: Path) -> None:
        self.session = _open(model, file)
        self.embedded_contract = self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        self._inputs, self._outputs = tuple(contract.inputs), tuple(contract.outputs)
        _check_shapes(self.session, contract)

    def infer(self, obs: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        """See `Bundle.infer`."""
        feed = dict(zip(self._inputs, (obs[None], *state), strict=True))
        actions, *new = self.session.run(self._outputs, feed)
        return actions[0], tuple(new)


def _open(model: bytes, file: Path) -> ort.InferenceSession:
    try:
        import onnxruntime as ort
    except ImportError:
        raise BundleError(
            "running policy.onnx needs onnxruntime: pip install onnxruntime, or take the numpy backend"
        ) from None
    options = ort.SessionOptions()
    # One thread that sleeps between steps: onnxruntime's default pool spins on every core and starves the control loop.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exception classes share no base but Exception
        raise BundleError(f"onnxruntime {ort.__version__} cannot open {file}: {error}") from None


def _check_shapes(session: ort.InferenceSession, contract: Contract) -> None:
    sides = (("inputs", session.get_inputs(), contract.inputs), ("outputs", session.get_outputs(), contract.outputs))
    for side, nodes, promised in sides:
        got = {node.name: tuple(node.shape) for node in nodes}
        if got != promised:
            raise BundleError(f"the model's {side} are {got}, the contract says {promised}; export the policy again")
        types = {node.name: node.type for node in nodes}
        if set(types.values()) != {"tensor(float)"}:
            raise BundleError(f"the model's {side} are of types {types}, expected tensor(float); export again")
