"""Policy -> bundle: one ONNX file that takes raw readings and gives physical actions, its contract, and the proof.

Normalisers, memory, tanh and action scale are inside the graph; its memory goes in and comes out by name
(``obs, h_in, c_in -> actions, h_out, c_out``, the names that other exporters use too). No bundle is written unless
`sim2real.deploy` repeats the policy's actions and memory over whole episodes, resets included, to 1e-5, with
onnxruntime and with NumPy. What the contract says of the policy's success was measured with the bundle itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from sim2real.bundle_documents import TOLERANCE, About, build_contract, manifest, to_yaml, trained_with
from sim2real.deploy.bundle import (
    CARD_FILE,
    CONFIG_FILE,
    FILES,
    MANIFEST_FILE,
    MODEL_FILE,
    PARITY_FILE,
    RUNNER_FILE,
    WEIGHTS_FILE,
    BackendName,
    Bundle,
    load_bundle,
)
from sim2real.deploy.contract import METADATA_KEY
from sim2real.deploy.parity import replay_error
from sim2real.exportable import ExportError
from sim2real.folders import check_replaceable, replaced_directory
from sim2real.golden import Readings, carried, golden_rollout, random_readings
from sim2real.model_card import model_card
from sim2real.onnx_export import onnx_bytes, with_contract
from sim2real.runner_archive import archive
from sim2real.runs import load_policy

Measure = Callable[[Bundle], Mapping[str, Any]]
"""Evaluates a finished bundle: entries of its contract, ``evaluation`` among them; see `bundle_evaluation.entries`."""
PLAIN = About()


def export(
    run_dir: str | Path,
    out_dir: str | Path,
    *,
    about: About = PLAIN,
    readings: Readings = random_readings,
    measure: Measure | None = None,
) -> Path:
    """Write the best policy of ``run_dir`` as a bundle to ``out_dir``; an older bundle there is replaced.

    Args:
        run_dir: what ``sim2real train`` wrote.
        out_dir: a new directory, or one that holds a bundle and nothing else.
        about: what the contract says of it, beside what the run says itself.
        readings: what the policy is proved on.
        measure: evaluates the finished bundle; None: contract and model card say that nothing was measured.

    Raises:
        ExportError: the exported policy differs from the trained one by more than 1e-5; nothing is written then.
        UserError: ``out_dir`` holds other files.
    """
    policy, meta = load_policy(run_dir)
    about = replace(about, trained={**trained_with(Path(run_dir)), **about.trained})
    return export_policy(Path(out_dir), policy, meta, about=about, readings=readings, measure=measure)


def export_policy(
    out: Path,
    policy: Any,
    meta: Mapping[str, Any],
    *,
    about: About = PLAIN,
    readings: Readings = random_readings,
    measure: Measure | None = None,
) -> Path:
    """Write a policy as a bundle to ``out``, with its evaluation; see `write_bundle` and `export` for the rest."""
    check_replaceable(out, FILES, "a bundle")
    with replaced_directory(out) as folder:
        write_bundle(folder, policy, meta, about=about, readings=readings)
        if measure is not None:
            add_evaluation(folder, measure)
    return out


def write_bundle(
    folder: Path,
    policy: Any,
    meta: Mapping[str, Any],
    *,
    about: About = PLAIN,
    readings: Readings = random_readings,
) -> float:
    """Fill the empty directory ``folder`` with a bundle of ``policy`` and prove it.

    Args:
        folder: where ``FILES`` go.
        policy: an `ExportablePolicy`.
        meta: what rebuilds it: algorithm, configuration, task.
        about: what else the contract says of it.
        readings: what it is proved on.

    Returns:
        The largest difference from torch that was seen.

    Raises:
        ExportError: that is more than 1e-5.
    """
    memory = policy.zero_state_tensors(1)
    states = {name: tuple(m.shape) for name, m in zip(policy.export_state_names(), memory, strict=True)}
    contract = build_contract(policy.spec, policy.input_terms(), states, meta, about)
    golden = golden_rollout(policy, readings(policy))
    weights = {name: tensor.contiguous().clone() for name, tensor in policy.state_dict().items()}
    config = {**meta, "network": policy.network()}
    files = {
        MODEL_FILE: onnx_bytes(policy),
        WEIGHTS_FILE: save(weights),
        CONFIG_FILE: (json.dumps(config, indent=2, allow_nan=False) + "\n").encode(),
        PARITY_FILE: _npz(carried(golden)),
        RUNNER_FILE: archive(),
    }
    _write(folder, files, contract)
    return _prove(folder, golden)


def add_evaluation(folder: Path, measure: Measure) -> None:
    """Evaluate the bundle in ``folder``; write the result into contract and card."""
    bundle = load_bundle(folder, backend="onnx")
    measured = measure(bundle)
    files = {name: (folder / name).read_bytes() for name in FILES if name not in (MANIFEST_FILE, CARD_FILE)}
    _write(folder, files, {**bundle.contract.document, **measured})
    for backend in _backends(folder):
        load_bundle(folder, backend=backend)  # with its self-test: the file that leaves the house is the one tested


def _write(folder: Path, files: Mapping[str, bytes], contract: Mapping[str, Any]) -> None:
    """Write ``files`` with the contract inside the two that hold the model, and card and manifest beside them."""
    text = json.dumps(contract, allow_nan=False)
    embedded = {
        **files,
        MODEL_FILE: with_contract(files[MODEL_FILE], contract),
        WEIGHTS_FILE: save(load(files[WEIGHTS_FILE]), {METADATA_KEY: text}),
        CARD_FILE: model_card(contract).encode(),
    }
    for name, content in embedded.items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST_FILE).write_text(to_yaml(manifest(contract, embedded)), encoding="utf-8")


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    # Floats hardly get smaller by compression, and without it a few lines of C++ can read them (examples/cpp).
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _prove(folder: Path, golden: Mapping[str, NDArray[Any]]) -> float:
    """Run the bundle through the deployment path over all of ``golden``; refuse it if it differs."""
    worst = 0.0
    for backend in _backends(folder):
        bundle = load_bundle(folder, backend=backend, self_test=False)
        error = replay_error(bundle, golden)
        if not error <= TOLERANCE:  # also refuses NaN
            raise ExportError(
                f"the exported policy, run by {backend}, differs from the trained one by {error:.2e}, allowed are "
                f"{TOLERANCE:.0e}; nothing was written. Torch {torch.__version__} may export this network wrongly: use "
                "the version in constraints.txt"
            )
        bundle.self_test()
        worst = max(worst, error)
    return worst


def _backends(folder: Path) -> tuple[BackendName, ...]:
    """What can run the bundle: NumPy too, where the policy says of what operations it consists."""
    network = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["network"]
    return ("onnx",) if network is None else ("onnx", "numpy")
