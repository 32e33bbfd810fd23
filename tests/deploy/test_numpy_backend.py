"""The NumPy backend: each operation against torch and by hand, and refusals of what does not fit together."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import nn

from sim2real.deploy import BundleError, BundleRunner, load_bundle
from sim2real.deploy.numpy_backend import NumpyBackend
from sim2real.deploy.numpy_operations import OPERATIONS, Parameters
from sim2real.deploy.safetensors_file import read_safetensors
from sim2real.operations import mlp


def vector(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=n).astype(np.float32)


def run(name: str, *inputs: Any, tensors: dict[str, Any] | None = None, **values: Any) -> tuple[Any, ...]:
    arrays = {key: np.asarray(array, np.float32) for key, array in (tensors or {}).items()}
    parameters = Parameters({**{key: key for key in arrays}, **values}, arrays)
    return OPERATIONS[name](parameters)(*(np.asarray(x, np.float32) for x in inputs))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (run("normalise", [3, -9, 0], tensors={"mean": [1, 1, 0], "std": [2, 1, 1]}, clip=5), [1, -5, 0]),
        (run("linear", [1, 2], tensors={"weight": [[1, 1], [0, 3]], "bias": [10, 20]}), [13, 26]),
        (run("linear", [1, 2], tensors={"weight": [[1, 1], [0, 3]]}), [3, 6]),
        (run("clip", [-3, 0.5, 3], low=-1, high=2), [-1, 0.5, 2]),
        (run("affine", [1, -2], tensors={"scale": [2, 3], "offset": [10, 0]}), [12, -6]),
        (run("choose", [-3, 5, 4]), [0, 1, 0]),
        (run("choose", [7, 7]), [1, 0]),
        (run("concat", [1], [2, 3], [4]), [1, 2, 3, 4]),
        (run("add", [1, 2], [3, 5]), [4, 7]),
        (run("relu", [-1, 0, 2]), [0, 0, 2]),
        (run("tanh", [0, 100]), [0, 1]),
        (run("history", [5, 6], [[[1, 2, 3, 4]]])[:1], [3, 4, 5, 6]),
    ],
)
def test_operations_by_hand(result: tuple[Any, ...], expected: list[float]) -> None:
    assert len(result) == 1
    np.testing.assert_array_equal(result[0], np.array(expected, np.float32))
    assert result[0].dtype == np.float32


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_cells_are_those_of_torch_over_many_steps(kind: str) -> None:
    torch.manual_seed(0)
    cell = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](5, 7, batch_first=True)
    weights = {name.removesuffix("_l0"): p.detach().numpy() for name, p in cell.named_parameters()}
    names = {key: key for key in weights}
    step = OPERATIONS[kind](Parameters(names, weights))
    inputs = 3 * vector(200 * 5).reshape(200, 5)
    with torch.no_grad():
        expected = cell(torch.from_numpy(inputs)[None])[0][0].numpy()
    state: tuple[Any, ...] = (np.zeros((1, 1, 7), np.float32),) * (2 if kind == "lstm" else 1)
    for x, wanted in zip(inputs, expected, strict=True):
        y, *new = step(x, *state)
        np.testing.assert_allclose(y, wanted, atol=2e-6)
        assert [part.shape for part in new] == [(1, 1, 7)] * len(state)
        state = tuple(new)


def test_saturated_gates_do_not_overflow() -> None:
    """exp(1000) would; numpy's warning is an error here."""
    weights = {
        "weight_ih": np.full((4, 1), 1000),
        "weight_hh": np.zeros((4, 1)),
        "bias_ih": [0] * 4,
        "bias_hh": [0] * 4,
    }
    with np.errstate(all="raise"):
        y, h, c = run("lstm", [-1], [[[0.5]]], [[[0.5]]], tensors=weights)
    assert (y.item(), h.item(), c.item()) == (0, 0, 0)


def test_mlp_names_its_layers() -> None:
    layers = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1, bias=False), nn.ReLU())
    entries = mlp(layers, "net", "x", "y")
    assert entries == [
        {"op": "linear", "in": ["x"], "out": ["y_0"], "weight": "net.0.weight", "bias": "net.0.bias"},
        {"op": "tanh", "in": ["y_0"], "out": ["y_1"]},
        {"op": "linear", "in": ["y_1"], "out": ["y_2"], "weight": "net.2.weight"},
        {"op": "relu", "in": ["y_2"], "out": ["y"]},
    ]
    with pytest.raises(TypeError, match=r"net.1 is a GELU; the NumPy backend knows linear, clip, relu, tanh"):
        mlp(nn.Sequential(nn.Linear(1, 1), nn.GELU()), "net", "x", "y")


# ---- bundles ---------------------------------------------------------------------------------------------------------


def test_both_backends_act_alike(lstm_bundle: Path) -> None:
    onnx = BundleRunner(load_bundle(lstm_bundle, backend="onnx"))
    numpy = BundleRunner(load_bundle(lstm_bundle, backend="numpy"))
    assert (onnx.bundle.backend.name, numpy.bundle.backend.name) == ("onnx", "numpy")
    for t in range(50):
        readings = 3 * vector(8, seed=t)
        np.testing.assert_allclose(onnx.step(readings), numpy.step(readings), atol=1e-5)
    for a, b in zip(onnx.state, numpy.state, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_an_unknown_backend(lstm_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"unknown backend 'onxx'\. Did you mean 'onnx'\?"):
        load_bundle(lstm_bundle, backend="onxx")  # type: ignore[arg-type]


def test_altered_weights_and_configuration(broken: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        content = (broken / name).read_bytes()
        (broken / name).write_bytes(content + b" ")
        load_bundle(broken, backend="onnx")  # reads neither
        with pytest.raises(BundleError, match=f"{name} is not the file that was exported"):
            load_bundle(broken, backend="numpy")
        (broken / name).write_bytes(content)


def _with_network(folder: Path, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Alter the list of operations and make the checksum fit."""
    config = json.loads((folder / "config.json").read_text())
    config["network"] = change(config["network"])
    (folder / "config.json").write_text(json.dumps(config))
    manifest = json.loads((folder / "policy.yaml").read_text())
    manifest["sha256"]["config.json"] = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    (folder / "policy.yaml").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: None, "describes no network for the numpy backend"),
        (lambda n: [{**n[0], "op": "normalize"}, *n[1:]], "unknown operation 'normalize'. Did you mean 'normalise'"),
        (lambda n: [{**n[0], "mean": "nowhere"}, *n[1:]], "is damaged: KeyError: 'nowhere'"),
        (
            lambda n: [{**n[0], "mean": "normalize_obs.count"}, *n[1:]],
            "the largest difference from the exported policy",
        ),
        (lambda n: [{**n[0], "clip": "wide"}, *n[1:]], "is damaged: ValueError"),
        (lambda n: n[:-1], "doesn't fit together: KeyError: 'action'"),
        (lambda n: n[1:], "doesn't fit together: KeyError: 'obs'"),
        (lambda n: [{**n[0], "in": ["desired_goal"]}, *n[1:]], "doesn't fit together: ValueError"),
        (lambda n: [*n, {"op": "concat", "in": ["action", "action"], "out": ["action"]}], "doesn't fit together"),
        (lambda n: [*n, {"op": "concat", "in": ["h_out"], "out": ["action"]}], "doesn't fit together"),
        (lambda n: [*n, {"op": "add", "in": ["h_in", "h_in"], "out": ["c_out", "x"]}], "doesn't fit together"),
        (lambda n: [*n, {"op": "add", "in": ["z", "z"], "out": ["c_out"]}], r"memory are .*\(16,\).*contract says"),
    ],
)
def test_networks_that_do_not_fit(
    lstm_bundle: Path, tmp_path: Path, change: Callable[[list[dict[str, Any]]], Any], message: str
) -> None:
    folder = Path(shutil.copytree(lstm_bundle, tmp_path / "bundle"))
    _with_network(folder, change)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder, backend="numpy")
    load_bundle(folder, backend="onnx")


def test_weights_of_another_export(broken: Path) -> None:
    """The contract travels inside the weights too."""
    from safetensors.torch import load_file

    (broken / "model.safetensors").write_bytes(save(load_file(broken / "model.safetensors"), {"contract": "{}"}))
    manifest = json.loads((broken / "policy.yaml").read_text())
    manifest["sha256"]["model.safetensors"] = hashlib.sha256((broken / "model.safetensors").read_bytes()).hexdigest()
    (broken / "policy.yaml").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="contradicts the contract inside the model in: action, control_dt"):
        load_bundle(broken, backend="numpy")


def test_the_backend_is_chosen_by_what_is_installed(lstm_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_bundle(lstm_bundle).backend.name == "onnx"
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert isinstance(load_bundle(lstm_bundle).backend, NumpyBackend)
    with pytest.raises(BundleError, match="needs onnxruntime: pip install onnxruntime, or take the numpy backend"):
        load_bundle(lstm_bundle, backend="onnx")


# ---- safetensors -----------------------------------------------------------------------------------------------------


def test_our_reader_reads_what_the_library_writes() -> None:
    tensors = {
        "a": torch.randn(2, 3),
        "b": torch.arange(3),
        "empty": torch.zeros(0, 2),
        "one": torch.tensor(2.0).double(),
    }
    got, metadata = read_safetensors(save(tensors, {"contract": "x"}))
    assert metadata == {"contract": "x"}
    assert got.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(got[name], tensor.numpy(), strict=True)


@settings(deadline=None)
@given(st.data())
def test_files_that_are_cut_or_altered_are_refused_or_read(data: st.DataObject) -> None:
    """Never anything but the tensors or a clear error."""
    content = bytearray(save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}))
    content = content[: data.draw(st.integers(0, len(content)))]
    if content and data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_safetensors(bytes(content))
    except BundleError as error:
        assert "no readable safetensors" in str(error)
