"""The C++ example, built by CMake against headers from a pip package, repeats what the policy did in torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim2real.export import write_bundle

from .bundles import META, make_policy

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "cpp"
# A download, a compiler and two exports.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built example; skips where the machine lacks what it takes."""
    if sys.platform != "linux":
        pytest.skip("fetch_onnxruntime.py takes ONNX Runtime's library from the Linux wheel")
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine")
    folder = tmp_path_factory.mktemp("cpp")
    fetch = [sys.executable, str(EXAMPLE / "fetch_onnxruntime.py"), str(folder / "onnxruntime")]
    fetched = subprocess.run(fetch, capture_output=True, text=True)
    if fetched.returncode != 0:
        pytest.skip(f"no headers of ONNX Runtime: {fetched.stderr.strip()}")
    options = [f"-DONNXRUNTIME_ROOT={folder / 'onnxruntime'}", "-DCMAKE_CXX_FLAGS=-Werror"]
    for command in (
        ["cmake", "-S", str(EXAMPLE), "-B", str(folder / "build"), *options],
        ["cmake", "--build", str(folder / "build")],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "run_policy"


def run(program: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *args], capture_output=True, text=True)


@pytest.fixture(scope="module", params=["lstm", "none"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, make_policy(request.param), META)
    return folder


def with_parity(bundle: Path, folder: Path, name: str, change: Callable[[NDArray[Any]], None]) -> Path:
    """A copy of the bundle in whose recording one array is another."""
    copy = folder / "copy"
    shutil.copytree(bundle, copy)
    with np.load(copy / "parity.npz") as recorded:
        arrays = {name: recorded[name] for name in recorded.files}
    change(arrays[name])
    np.savez(copy / "parity.npz", allow_pickle=False, **arrays)
    return copy


def test_it_repeats_the_recording_and_measures(program: Path, bundle: Path) -> None:
    done = run(program, bundle, "50")
    assert done.returncode == 0, done.stderr
    assert "Toy, a step every 40 ms" in done.stdout
    assert "-0.05 to 0.05" in done.stdout
    assert "replayed 100 steps of parity.npz: largest difference " in done.stdout
    assert "\n50 steps: p50 " in done.stdout


def test_a_trained_policy(program: Path) -> None:
    """The bundle that the README of the example names."""
    done = run(program, EXAMPLE.parent.parent / "results" / "bundles" / "fetch_reach")
    assert done.returncode == 0, done.stderr
    assert "finger_displacement" in done.stdout


def test_it_notices_another_policy(program: Path, bundle: Path, tmp_path: Path) -> None:
    """By 1e-4 of the second action's scale, 0.1, at one step of a late episode."""

    def nudge(actions: NDArray[Any]) -> None:
        actions[60, 1] += np.float32(1e-5)

    done = run(program, with_parity(bundle, tmp_path, "actions", nudge))
    assert done.returncode == 1
    assert "largest difference 1.0e-04, allowed 1e-05" in done.stdout
    assert done.stderr == "run_policy: error: this machine computes another policy; do not run it\n"


def test_it_does_not_ask_the_policy_about_nan(program: Path, bundle: Path, tmp_path: Path) -> None:
    def damage(readings: NDArray[Any]) -> None:
        readings[3, 6] = np.nan

    done = run(program, with_parity(bundle, tmp_path, "readings", damage))
    assert done.returncode == 1
    assert "the reading goal_1 is not finite; hold the last command" in done.stderr


def test_without_a_recording_it_is_timed_on_zeros(program: Path, bundle: Path, tmp_path: Path) -> None:
    shutil.copy(bundle / "policy.onnx", tmp_path)
    done = run(program, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "there is no parity.npz: not compared, timed on zeros\n1000 steps: p50 " in done.stdout


def model_with(contract: str | None) -> bytes:
    """An ONNX file that answers with its input, and this contract in its metadata."""
    import onnx

    value, real = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    node = onnx.helper.make_node("Identity", ["obs"], ["actions"])
    graph = onnx.helper.make_graph([node], "g", [value("obs", real, [1, 2])], [value("actions", real, [1, 2])])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.helper.set_model_props(model, {} if contract is None else {"contract": contract})
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (None, "holds no contract in its metadata: not a sim2real policy"),
        ('{"schema": {"name": "sim2real-policy", "version": 1}}', "another schema than sim2real-policy, version 2"),
        ('{"schema": {"name": "sim2real-policy", "version": 2}}', "key 'task' is missing"),
        ('{"schema": [1, ', "not valid JSON: expected a value at byte 15"),
        ("[" * 200, "not valid JSON: expected less than 100 levels"),
    ],
)
def test_a_model_without_a_sound_contract_is_refused(
    program: Path, tmp_path: Path, contract: str | None, message: str
) -> None:
    (tmp_path / "policy.onnx").write_bytes(model_with(contract))
    done = run(program, tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_folder_without_a_model(program: Path, tmp_path: Path) -> None:
    done = run(program, tmp_path)
    assert done.returncode == 1
    assert "run_policy: error: ONNX Runtime: Load model from" in done.stderr


def test_usage(program: Path) -> None:
    for args in ([], ["a", "b", "c"], ["a", "0"], ["a", "many"]):
        done = run(program, *args)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: run_policy BUNDLE [STEPS]")
