"""Open a bundle: checksums, contract, shapes and a golden rollout are checked before a robot may follow the policy."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.contract import INPUT, BundleError, Contract, parse_contract
from sim2real.deploy.numpy_backend import NumpyBackend
from sim2real.deploy.onnx_backend import OnnxBackend
from sim2real.deploy.parity import replay_error
from sim2real.errors import unknown

MANIFEST_FILE, MODEL_FILE, PARITY_FILE = "policy.yaml", "policy.onnx", "parity.npz"
WEIGHTS_FILE, CONFIG_FILE, RUNNER_FILE, CARD_FILE = "model.safetensors", "config.json", "runner.pyz", "README.md"
FILES = (MODEL_FILE, MANIFEST_FILE, WEIGHTS_FILE, CONFIG_FILE, PARITY_FILE, RUNNER_FILE, CARD_FILE)
"""Everything a bundle holds; ``policy.yaml`` has the checksums of all the others."""
Array = NDArray[np.float32]
MemoryState = tuple[Array, ...]
BackendName = Literal["auto", "onnx", "numpy"]
_WARM_UP = 10


class Backend(Protocol):
    """What computes: the exported graph in onnxruntime, or the list of operations in NumPy."""

    name: str
    embedded_contract: str | None
    """The contract in the metadata of the file that the backend reads, as JSON."""

    def infer(self, obs: Array, state: MemoryState) -> tuple[Array, MemoryState]:
        """See `Bundle.infer`."""


@dataclass(frozen=True)
class Bundle:
    """An opened policy. Holds no memory of an episode: that goes in and comes out of `infer`."""

    path: Path
    contract: Contract
    checksums: dict[str, str]
    """File name -> sha256, from the manifest."""
    backend: Backend

    def zero_state(self) -> MemoryState:
        """The memory at the start of an episode."""
        return tuple(np.zeros(shape, np.float32) for shape in self.contract.state.values())

    def infer(self, obs: Array, state: MemoryState) -> tuple[Array, MemoryState]:
        """One step: whole input vector and memory -> physical action [A] and the next memory.

        The caller keeps NaN and infinity out: onnxruntime's LSTM turns them into plausible finite numbers.
        """
        return self.backend.infer(obs, state)

    def golden(self) -> dict[str, NDArray[Any]]:
        """The rollout that it carries as its proof, arrays as in `parity.replay_error`. Raises ``BundleError`` if the
        file is missing or altered."""
        content = verified(self.path, PARITY_FILE, self.checksums)
        with np.load(io.BytesIO(content), allow_pickle=False) as golden:
            return {name: golden[name] for name in golden.files}

    def self_test(self) -> float:
        """Replay the bundle's golden rollout; return the largest difference (actions in units of their scale).

        Raises:
            BundleError: it exceeds the contract's tolerance, so this machine computes something else than the one that
                exported the policy; or ``parity.npz`` is missing or altered.
        """
        worst = replay_error(self, self.golden())
        if not worst <= self.contract.tolerance:  # also refuses NaN
            raise BundleError(
                f"self-test of {self.path}: the largest difference from the exported policy is {worst:.2e}, "
                f"allowed are {self.contract.tolerance:.0e}; do not run this policy on this machine"
            )
        return worst


def is_bundle(directory: str | Path) -> bool:
    """Whether this is meant to be a bundle: the directory holds a manifest."""
    return (Path(directory) / MANIFEST_FILE).is_file()


def load_bundle(directory: str | Path, *, backend: BackendName = "auto", self_test: bool = True) -> Bundle:
    """Open the bundle in ``directory``.

    Args:
        directory: what ``sim2real export`` wrote.
        backend: ``onnx``, ``numpy``, or ``auto``: onnxruntime where it is installed, else NumPy.
        self_test: replay the golden rollout; skip it only where the start has to be quicker than some milliseconds.

    Raises:
        BundleError: a file is missing, was altered, or contradicts the contract; the message says which.
    """
    path = Path(directory)
    manifest = read_manifest(path)
    checksums: dict[str, str] = manifest["sha256"]
    contract = parse_contract(manifest["contract"])
    engine = _open_backend(path, checksums, contract, _chosen(backend))
    _check_embedded(engine.embedded_contract, manifest["contract"], path)
    bundle = Bundle(path, contract, checksums, engine)
    if self_test:
        bundle.self_test()
    # The first runs allocate; the robot should not wait for that in the middle of its first motion.
    for _ in range(_WARM_UP):
        bundle.infer(np.zeros(contract.inputs[INPUT][1], np.float32), bundle.zero_state())
    return bundle


def _chosen(backend: BackendName) -> str:
    if backend not in get_args(BackendName):
        raise BundleError(unknown("backend", backend, get_args(BackendName)))
    if backend != "auto":
        return backend
    try:
        import onnxruntime  # noqa: F401 - only whether it is there
    except ImportError:
        return "numpy"
    return "onnx"


def _open_backend(path: Path, checksums: dict[str, str], contract: Contract, name: str) -> Backend:
    if name == "onnx":
        return OnnxBackend(verified(path, MODEL_FILE, checksums), contract, path / MODEL_FILE)
    config, weights = (verified(path, file, checksums) for file in (CONFIG_FILE, WEIGHTS_FILE))
    network = json.loads(config).get("network")
    if network is None:
        raise BundleError(
            f"{path / CONFIG_FILE} describes no network for the numpy backend: this kind of policy runs with "
            "onnxruntime only: pip install onnxruntime"
        )
    return NumpyBackend(network, weights, contract)


def verify_files(directory: str | Path) -> dict[str, Any]:
    """Check that all files of a bundle are there and are those that were exported; return the manifest.

    Runs nothing. Raises ``BundleError``.
    """
    path = Path(directory)
    manifest = read_manifest(path)
    for name in FILES:
        if name != MANIFEST_FILE:
            verified(path, name, manifest["sha256"])
    return manifest


def verified(path: Path, name: str, checksums: dict[str, str]) -> bytes:
    """Content of the bundle's file ``name``, whose checksum is the one in the manifest. Raises ``BundleError``."""
    expected = checksums.get(name)
    if expected is None:
        raise BundleError(f"{path / MANIFEST_FILE} holds no sha256 of {name}; export the policy again")
    if not (path / name).is_file():
        raise BundleError(f"{path / name} is missing: the bundle is incomplete; copy or export it again")
    content = (path / name).read_bytes()
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        raise BundleError(
            f"{path / name} is not the file that was exported: its sha256 is {got[:12]}..., {MANIFEST_FILE} says "
            f"{str(expected)[:12]}...; copy or export the bundle again"
        )
    return content


def read_manifest(path: Path) -> dict[str, Any]:
    """``policy.yaml`` of the bundle in ``path``, with ``contract`` and ``sha256`` in it. Raises ``BundleError``."""
    file = path / MANIFEST_FILE
    if not file.is_file():
        hint = "the policy cannot be run without one" if (path / MODEL_FILE).is_file() else "this is not a bundle"
        raise BundleError(
            f"there is no {MANIFEST_FILE} in {path}: {hint}; make one with `sim2real export RUN --out DIR`"
        )
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # bytes that are no UTF-8 as well
        raise BundleError(
            f"{file} is not valid JSON, the part of YAML that bundles are written in ({error}); export the policy again"
        ) from None
    if not isinstance(manifest, dict) or "contract" not in manifest or not isinstance(manifest.get("sha256"), dict):
        raise BundleError(f"{file} holds no contract with checksums; export the policy with this version of sim2real")
    return manifest


def _check_embedded(text: str | None, beside: Any, path: Path) -> None:
    """Compare the contract inside the model's file with the one beside it."""
    if text is None:
        raise BundleError(f"the model in {path} holds no contract in its metadata; export the policy again")
    inner = json.loads(text)
    if inner != beside:
        differing = sorted(key for key in inner.keys() | beside.keys() if inner.get(key) != beside.get(key))
        raise BundleError(
            f"{path / MANIFEST_FILE} contradicts the contract inside the model in: {', '.join(differing)}; "
            "the two belong to one export, so copy or export the bundle again"
        )
