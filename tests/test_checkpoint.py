from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2real.checkpoint import CheckpointError, load_state, save_policy, save_state


def round_trip(folder: Path, value: Any) -> Any:
    save_state(folder / "state", {"x": value})
    return load_state(folder / "state")["x"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2**127 + 1,  # the state of numpy's PCG64
        -0.1,
        1e-300,
        "text / with $type",
        [],
        (),
        {},
        [1, (2, [3.5, None]), {"a": ({},)}],
        {0: "int", "0": "text", "nested": {7: (1,)}},
        {"a/b": {"c": 1}, "a": {"b/c": 2}, "": 3},
    ],
)
def test_json_values_come_back_equal_and_of_the_same_type(tmp_path: Path, value: Any) -> None:
    assert repr(round_trip(tmp_path, value)) == repr(value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_json_lacks(tmp_path: Path, value: float) -> None:
    assert repr(round_trip(tmp_path, value)) == repr(value)


TENSORS = [
    torch.zeros(0, 3),
    torch.tensor(2.5, dtype=torch.float64),
    torch.arange(6).reshape(2, 3).T,
    torch.tensor([True, False]),
    torch.tensor([1.5, float("nan")], dtype=torch.bfloat16),
    torch.arange(10)[3:7],
    torch.Generator().manual_seed(3).get_state(),
    torch.nn.Parameter(torch.ones(2)),
]


@pytest.mark.parametrize("tensor", TENSORS, ids=lambda t: f"{t.dtype}-{tuple(t.shape)}")
def test_tensors_come_back_bit_for_bit(tmp_path: Path, tensor: torch.Tensor) -> None:
    loaded = round_trip(tmp_path, tensor)
    assert isinstance(loaded, torch.Tensor)
    assert (loaded.dtype, loaded.shape) == (tensor.dtype, tensor.shape)
    torch.testing.assert_close(loaded, tensor.detach(), rtol=0, atol=0, equal_nan=True)


ARRAYS = [
    np.zeros((0, 2), np.float32),
    np.array(1.5),
    np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::-1],
    np.array([1, 2], np.uint8),
    np.array([[True], [False]]),
    np.array([2**63], np.uint64),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}-{a.shape}")
def test_arrays_come_back_as_arrays(tmp_path: Path, array: np.ndarray[Any, Any]) -> None:
    loaded = round_trip(tmp_path, array)
    assert isinstance(loaded, np.ndarray)
    assert (loaded.dtype, loaded.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(loaded, array)
    assert loaded.flags.writeable


def test_numpy_scalars_stay_numpy_scalars(tmp_path: Path) -> None:
    loaded = round_trip(tmp_path, np.float32(0.1))
    assert type(loaded) is np.float32
    assert loaded == np.float32(0.1)


def test_tensors_that_share_memory_come_back_separate(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    loaded = round_trip(tmp_path, {"a": shared, "b": shared, "c": shared[1:3]})
    loaded["a"][1] = 9.0
    assert loaded["b"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert loaded["c"].tolist() == [1.0, 2.0]


def test_an_optimizer_goes_in_as_it_is(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    weight.grad = torch.tensor([1.0, -2.0])
    optimizer.step()
    other = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))])
    other.load_state_dict(round_trip(tmp_path, optimizer.state_dict()))
    assert str(other.state_dict()) == str(optimizer.state_dict())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": {1, 2}}}, "state/a/b: set can't be saved; use tensors, arrays and JSON values"),
        ({"a": [0, object()]}, "state/a/1: object can't be saved"),
        ({"a": {1.5: 0}}, "state/a: keys are text or whole numbers"),
        ({"a": {"$type": 0}}, "state/a: keys are text or whole numbers, and not '$type'"),
        ({"a": np.array(["text"])}, "state/a: an array of <U4 can't be saved"),
    ],
)
def test_what_cannot_be_saved_names_its_place_and_writes_nothing(tmp_path: Path, state: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        save_state(tmp_path / "state", state)
    assert str(caught.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_the_files_are_what_is_promised(tmp_path: Path) -> None:
    save_state(tmp_path / "state", {"w": torch.ones(1)})
    assert sorted(f.name for f in (tmp_path / "state").iterdir()) == ["state.json", "state.safetensors"]
    assert list(tmp_path.iterdir()) == [tmp_path / "state"]
    tree = json.loads((tmp_path / "state" / "state.json").read_text())
    assert tree == {"format": "sim2real-state", "version": 1, "tree": {"w": {"$type": "tensor", "name": "0/w"}}}
    modes = {f.stat().st_mode for f in (tmp_path / "state").iterdir()}
    assert len(modes) == 1


# ---- damage ----------------------------------------------------------------------------------------------------------


def damaged(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_state(folder / "state")
    return str(caught.value)


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    assert damaged(tmp_path).startswith("there is no checkpoint at")


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"half", b"\xff" * 100])
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    save_state(tmp_path / "state", {"w": torch.ones(100)})
    file = tmp_path / "state" / name
    if content is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:50] if content == b"half" else content)
    assert "damaged" in damaged(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": "other"}, "was not written by sim2real (its format is not 'sim2real-state')"),
        ([1], "was not written by sim2real"),
        ({"format": "sim2real-state", "version": 2, "tree": {}}, "has version 2, this sim2real reads up to 1"),
        ({"format": "sim2real-state", "tree": {}}, "has version None"),
        ({"format": "sim2real-state", "version": 1, "tree": [1]}, "is damaged (it holds list, not a dict)"),
        ({"format": "sim2real-state", "version": 1, "tree": {"a": {"$type": "tensor", "name": "gone"}}}, "is damaged"),
        ({"format": "sim2real-state", "version": 1, "tree": {"a": {"$type": "odd"}}}, "unknown type 'odd'"),
    ],
)
def test_foreign_and_newer_files(tmp_path: Path, content: Any, message: str) -> None:
    save_state(tmp_path / "state", {"w": torch.ones(1)})
    (tmp_path / "state" / "state.json").write_text(json.dumps(content))
    assert message in damaged(tmp_path)


# ---- kills -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("killed_at", [1, 2, 3, 4])
def test_a_kill_at_each_step_of_the_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    """Steps: an older one is cleared; the old one steps aside; the new one takes its place; the old one is removed."""
    save_state(tmp_path / "state", {"x": 1})
    step = [0]

    class Killed(BaseException):
        pass

    def stop_at(function: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            step[0] += 1
            if step[0] == killed_at:
                raise Killed
            return function(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop_at(Path.rename))
        patch.setattr("sim2real.folders.shutil.rmtree", stop_at(lambda folder, ignore_errors: None))
        step[0] = -1  # the first rmtree clears the way and counts as step 0
        with pytest.raises(Killed):
            save_state(tmp_path / "state", {"x": 2})
    # The rename that puts the new one in place is step 3; before it, the old one counts.
    assert load_state(tmp_path / "state") == {"x": 1 if killed_at <= 3 else 2}
    save_state(tmp_path / "state", {"x": 3})
    assert load_state(tmp_path / "state") == {"x": 3}
    assert list(tmp_path.iterdir()) == [tmp_path / "state"]


KILLER = """
import os, random, select, signal, sys, time
from pathlib import Path
import torch
import torch._dynamo  # Adam's first step imports it: a second for each child
from sim2real.checkpoint import load_state
from sim2real.config import TrainerConfig
from sim2real.trainer import Trainer
from tests.toy_algorithm import ToyAlgorithm, ToyFiles

import sim2real.metrics
sim2real.metrics._tensorboard = lambda run_dir, samples: None
folder = Path(sys.argv[1])

class Heavy(ToyAlgorithm):  # 2 MB, so that most kills hit the writing
    def state_dict(self):
        return {**super().state_dict(), "ballast": torch.full((500_000,), float(self.iterations))}

    def load_state_dict(self, state):
        assert (state["ballast"] == state["iterations"]).all()
        super().load_state_dict(state)

class Ticking(ToyFiles):  # tells the parent of every checkpoint
    def record(self, samples, seconds):
        os.write(writer, b".")

def train(total):
    config = TrainerConfig(total_samples=total, eval_episodes=0, log_every=10, save_every=10)
    return Trainer(config, Heavy(0), lambda policy: {}, Ticking(folder), folder).run()

random.seed(0)
reader, writer = os.pipe()
for _ in range(10):
    child = os.fork()
    if child == 0:
        sys.stdout = open(os.devnull, "w")
        train(10**9)
    for _ in range(random.randint(1, 3)):
        assert select.select([reader], [], [], 30)[0], "a session made no checkpoint"
        os.read(reader, 1)
    time.sleep(random.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while select.select([reader], [], [], 0)[0]:  # what it told after we had looked is not the next one's
        os.read(reader, 4096)
    samples = load_state(folder / "checkpoint")["trainer"]["samples"]
    print(samples)
print(train(samples + 100).position.samples)
"""


def test_a_run_killed_at_random_moments_goes_on_as_if_unbroken(tmp_path: Path) -> None:
    from .test_trainer import flat, train

    root = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path)], capture_output=True, text=True, cwd=root, timeout=120
    )
    assert done.returncode == 0, done.stderr
    samples = [int(line) for line in done.stdout.splitlines() if line.isdigit()]
    assert samples == sorted(set(samples)), "every session went on from the one before"
    assert len(samples) == 11
    unbroken, *_ = train(tmp_path / "unbroken", samples[-1], eval_episodes=0, save_every=10**6)
    state = load_state(tmp_path / "checkpoint")["algorithm"]
    del state["ballast"]
    assert flat(state) == flat(unbroken.state_dict())


def test_save_policy(tmp_path: Path) -> None:
    save_policy(tmp_path / "policy", torch.nn.Linear(2, 1), {"samples": 3})
    assert sorted(f.name for f in (tmp_path / "policy").iterdir()) == ["model.safetensors", "policy.json"]
    assert json.loads((tmp_path / "policy" / "policy.json").read_text()) == {"samples": 3}
