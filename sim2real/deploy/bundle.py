"""Open a bundle: checksum, contract and shapes are checked before the model is asked anything."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.contract import INPUT, METADATA_KEY, BundleError, Contract, parse_contract

if TYPE_CHECKING:
    import onnxruntime as ort

MODEL_FILE, CONTRACT_FILE, PARITY_FILE = "policy.onnx", "contract.json", "parity.npz"
Array = NDArray[np.float32]
MemoryState = tuple[Array, ...]
_WARM_UP = 10


@dataclass(frozen=True)
class Bundle:
    """An opened policy. Holds no memory of an episode: that goes in and comes out of `infer`."""

    path: Path
    contract: Contract
    session: ort.InferenceSession

    def zero_state(self) -> MemoryState:
        """The memory at the start of an episode."""
        return tuple(np.zeros(shape, np.float32) for shape in self.contract.state.values())

    def infer(self, obs: Array, state: MemoryState) -> tuple[Array, MemoryState]:
        """One step: input [D+G+A] and memory -> physical action [A] and the next memory.

        The caller keeps NaN and infinity out: onnxruntime's LSTM turns them into plausible finite numbers.
        """
        feed = dict(zip(self.contract.inputs, (obs[None], *state), strict=True))
        actions, *new = self.session.run(list(self.contract.outputs), feed)
        return actions[0], tuple(new)


def is_bundle(directory: str | Path) -> bool:
    """Whether this is meant to be a bundle: the directory holds a contract."""
    return (Path(directory) / CONTRACT_FILE).is_file()


def load_bundle(directory: str | Path) -> Bundle:
    """Open the bundle in ``directory``.

    Raises:
        BundleError: a file is missing, was altered, or contradicts the contract; the message says which.
    """
    path = Path(directory)
    document = _read_contract(path)
    contract = parse_contract(document)
    model = verified(path, MODEL_FILE, document)
    session = _open(model, path / MODEL_FILE)
    _check_metadata(session, document, path)
    _check_shapes(session, contract)
    bundle = Bundle(path, contract, session)
    # The first runs allocate; the robot should not wait for that in the middle of its first motion.
    for _ in range(_WARM_UP):
        bundle.infer(np.zeros(contract.inputs[INPUT][1], np.float32), bundle.zero_state())
    return bundle


def verified(path: Path, name: str, document: Any) -> bytes:
    """Content of the bundle's file ``name``, whose checksum is the one in the contract."""
    expected = document.get("sha256", {}).get(name)
    if expected is None:
        raise BundleError(f"{path / CONTRACT_FILE} holds no sha256 of {name}; export the policy again")
    if not (path / name).is_file():
        raise BundleError(f"{path / name} is missing: the bundle is incomplete; copy or export it again")
    content = (path / name).read_bytes()
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        raise BundleError(
            f"{path / name} is not the file that was exported: its sha256 is {got[:12]}..., the contract says "
            f"{str(expected)[:12]}...; copy or export the bundle again"
        )
    return content


def _read_contract(path: Path) -> Any:
    file = path / CONTRACT_FILE
    if not file.is_file():
        hint = "the policy cannot be run without one" if (path / MODEL_FILE).is_file() else "this is not a bundle"
        raise BundleError(
            f"there is no {CONTRACT_FILE} in {path}: {hint}; make one with `sim2real export RUN --out DIR`"
        )
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{file} is not valid JSON ({error}); export the policy again") from None


def _open(model: bytes, file: Path) -> ort.InferenceSession:
    try:
        import onnxruntime as ort
    except ImportError:
        raise BundleError(
            "running a bundle needs onnxruntime: pip install onnxruntime, or 'sim2real[export]'"
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


def _check_metadata(session: ort.InferenceSession, document: Any, path: Path) -> None:
    inside = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if inside is None:
        raise BundleError(f"{path / MODEL_FILE} holds no contract in its metadata; export the policy again")
    beside = {key: value for key, value in document.items() if key != "sha256"}
    inner = json.loads(inside)
    if inner != beside:
        differing = sorted(key for key in inner.keys() | beside.keys() if inner.get(key) != beside.get(key))
        raise BundleError(
            f"{path / CONTRACT_FILE} contradicts the contract inside {MODEL_FILE} in: {', '.join(differing)}; "
            "the two belong to one export, so copy or export the bundle again"
        )


def _check_shapes(session: ort.InferenceSession, contract: Contract) -> None:
    sides = (("inputs", session.get_inputs(), contract.inputs), ("outputs", session.get_outputs(), contract.outputs))
    for side, nodes, promised in sides:
        got = {node.name: tuple(node.shape) for node in nodes}
        if got != promised:
            raise BundleError(f"the model's {side} are {got}, the contract says {promised}; export the policy again")
