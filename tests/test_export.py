from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from sim2real import export as export_module
from sim2real.agents.rdpg_networks import RDPGPolicy
from sim2real.bundle_documents import About, to_yaml
from sim2real.collect import rollout
from sim2real.deploy import BundlePolicy, BundleRunner, load_bundle
from sim2real.deploy.bundle import FILES, BackendName
from sim2real.deploy.parity import replay_error
from sim2real.envs import load_dynamics
from sim2real.errors import UserError
from sim2real.export import export, write_bundle
from sim2real.exportable import ExportError
from sim2real.golden import episode_readings, golden_rollout
from sim2real.onnx_export import onnx_bytes
from sim2real.operations import Operation
from sim2real.types import Term
from tests.bundles import META, TASK, make_policy
from tests.toys import PointReach, toy_task

NAMES = st.characters(codec="latin-1", categories=("L", "N", "P", "S", "Zs"))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(NAMES)
MEMORIES = ("lstm", "gru", "history", "none")


@pytest.fixture(scope="module", params=MEMORIES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[RDPGPolicy, Path, float]:
    """A policy, its bundle, and the difference that the proof found."""
    policy, folder = make_policy(request.param), tmp_path_factory.mktemp(request.param)
    return policy, folder, write_bundle(folder, policy, META, about=About(trained={"commit": "abc"}))


def test_bundle_is_complete_and_proved(case: tuple[RDPGPolicy, Path, float]) -> None:
    _, folder, difference = case
    assert sorted(file.name for file in folder.iterdir()) == sorted(FILES)
    assert difference <= 1e-5


def test_parity_over_whole_episodes_with_a_reset(case: tuple[RDPGPolicy, Path, float]) -> None:
    """The deployment path against ``policy.act`` in closed loop: own memory, own previous action, three episodes."""
    policy, folder, _ = case
    runner, rng, scale = BundleRunner(folder), np.random.default_rng(5), np.array(TASK.action_scale)
    moved = 0.0
    for _ in range(3):
        runner.reset()
        state, previous, goal = policy.initial_state(1), np.zeros((1, 4), np.float32), rng.normal(size=3)
        for _ in range(TASK.horizon):
            observation = rng.normal(3, 2, 5)
            obs: dict[str, Any] = {
                "observation": observation[None],
                "desired_goal": goal[None],
                "previous_action": previous,
            }
            previous, state = policy.act(obs, state, deterministic=True)
            action = runner.step(np.concatenate([observation, goal]))
            np.testing.assert_allclose(action / scale, previous[0], atol=1e-5)
            for mine, theirs in zip(runner.state, state, strict=True):
                np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-5)
            moved += float(np.abs(previous).sum())
    assert moved > 1  # a policy that does nothing would be in parity with anything


def test_bundle_policy_equals_policy_in_a_rollout(tmp_path: Path) -> None:
    env = PointReach(3, hidden_sign=True)
    env.task = dataclasses.replace(env.task, action_scale=(0.3,))
    policy = make_policy("lstm", env.task)
    write_bundle(tmp_path, policy, META, readings=functools.partial(episode_readings, env))
    exported = rollout(env, BundlePolicy(load_bundle(tmp_path)), deterministic=True, seed=1)
    expected = rollout(env, policy, deterministic=True, seed=1)
    np.testing.assert_allclose(exported.action, expected.action, atol=1e-5)
    np.testing.assert_array_equal(exported.success, expected.success)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("backend", ["onnx", "numpy"])
def test_parity_over_a_thousand_steps_with_resets(memory: str, backend: BackendName, tmp_path: Path) -> None:
    """Ten episodes of 100 steps in closed loop, each implementation with its own memory and previous action."""
    task = dataclasses.replace(TASK, horizon=100)
    policy = make_policy(memory, task)
    write_bundle(tmp_path, policy, META)
    readings = np.random.default_rng(7).normal(1, 3, (10, 100, 8))
    golden = golden_rollout(policy, readings)
    assert golden["actions"].shape == (1000, 4)
    assert np.flatnonzero(golden["step"] == 0).tolist() == list(range(0, 1000, 100))
    assert np.ptp(golden["actions"] / TASK.action_scale, 0).min() > 0.2  # it does something
    assert replay_error(load_bundle(tmp_path, backend=backend), golden) <= 1e-5


def test_golden_rollout_has_100_steps_and_crosses_resets(case: tuple[RDPGPolicy, Path, float]) -> None:
    policy, folder, _ = case
    golden = np.load(folder / "parity.npz", allow_pickle=False)
    assert golden["readings"].shape == (100, 8)
    assert golden["actions"].shape == (100, 4)
    # 13 episodes of 8 steps make 104; the record ends in the thirteenth.
    assert np.flatnonzero(golden["step"] == 0).tolist() == list(range(0, 100, 8))
    assert set(golden.files) == {"readings", "step", "actions", *policy.export_state_names()}
    assert load_bundle(folder).self_test() <= 1e-5


def test_long_episodes_cross_a_reset_too(tmp_path: Path) -> None:
    task = toy_task(horizon=120, observation=2, goal=1, action=1, dynamics=1)
    write_bundle(tmp_path, make_policy("gru", task), META)
    step = np.load(tmp_path / "parity.npz", allow_pickle=False)["step"]
    assert step.tolist() == [*range(50), *range(50)]


def test_graph_has_the_agreed_names_and_shapes(case: tuple[RDPGPolicy, Path, float]) -> None:
    policy, folder, _ = case
    model = onnx.load(folder / "policy.onnx", load_external_data=False)
    width = {"lstm": 16, "gru": 16, "history": 27}  # history: 3 times (5 readings + 4 actions)
    names = policy.export_state_names()

    def shapes(values: Any) -> dict[str, list[int]]:
        return {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in values}

    memory = [1, 1, next((units for kind, units in width.items() if folder.name.startswith(kind)), 0)]
    assert shapes(model.graph.input) == {"obs": [1, 12], **{f"{name}_in": memory for name in names}}
    assert shapes(model.graph.output) == {"actions": [1, 4], **{f"{name}_out": memory for name in names}}
    assert [opset.version for opset in model.opset_import] == [18]
    assert not [tensor for tensor in model.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]


def test_contract_in_file_and_metadata_agree(case: tuple[RDPGPolicy, Path, float]) -> None:
    _, folder, _ = case
    document = json.loads((folder / "policy.yaml").read_text())["contract"]
    metadata = {entry.key: entry.value for entry in onnx.load(folder / "policy.onnx").metadata_props}
    assert json.loads(metadata["contract"]) == document
    assert json.loads(metadata["action_scale"]) == [0.05, 0.1, 0.5, 1.0]
    assert [term["name"] for term in document["obs"]] == ["observation", "desired_goal", "previous_action"]
    assert document["obs"][1]["elements"][2] == {"name": "goal_2", "unit": "m", "kind": "", "frame": ""}
    assert document["trained"]["samples"] == 7
    assert document["trained"]["commit"] == "abc"


def test_bundle_holds_no_path_of_the_machine_that_exported(case: tuple[RDPGPolicy, Path, float]) -> None:
    here = str(Path(export_module.__file__).resolve().parent.parent).encode()
    files = {file.name: file.read_bytes() for file in case[1].iterdir()}
    assert not [name for name, content in files.items() if here in content]
    assert not [name for name, content in files.items() if name != "runner.pyz" and b'.py"' in content]


def test_layout_names_the_feedback_edges(case: tuple[RDPGPolicy, Path, float]) -> None:
    policy, folder, _ = case
    text = (folder / "policy.yaml").read_text()
    layout = yaml.safe_load(text)
    assert layout == json.loads(text)
    names = policy.export_state_names()
    assert layout["pipeline"]["inputs"] == {"policy": ["obs"]}
    assert layout["pipeline"]["configs"] == {"frequency": 25.0}
    onnx_file = (folder / "policy.onnx").read_bytes()
    assert layout["models"]["policy"]["parameters"]["sha256sum"] == hashlib.sha256(onnx_file).hexdigest()
    assert layout["models"]["policy"]["parameters"]["md5sum"] == hashlib.md5(onnx_file).hexdigest()
    assert layout["pipeline"]["feedback_flow"] == {f"policy/{name}_out": [f"policy/{name}_in"] for name in names}
    obs = layout["models"]["policy"]["inputs"][0]
    assert obs["shape"] == [1, 12]
    assert obs["element_names"][0][5:8] == ["goal_0", "goal_1", "goal_2"]
    card = (folder / "README.md").read_text()
    assert "`obs_4`" in card and "-0.05 to 0.05" in card and "exported with `--episodes 0`" in card


def test_weights_rebuild_the_policy(case: tuple[RDPGPolicy, Path, float]) -> None:
    policy, folder, _ = case
    weights = load_file(folder / "model.safetensors")
    assert weights.keys() == policy.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in policy.state_dict().items())
    assert json.loads((folder / "config.json").read_text()) == {**META, "network": policy.network()}


def test_exporting_leaves_the_policy_as_it_was() -> None:
    policy = make_policy("lstm")
    inputs = torch.ones(2, 5), torch.ones(2, 3), torch.ones(2, 4), policy.zero_state_tensors(2)
    before = policy.step(*inputs)[0]
    onnx_bytes(policy)
    assert torch.equal(policy.step(*inputs)[0], before)


def test_exporting_prints_nothing(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    onnx_bytes(make_policy("none"))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


class Drifting(nn.Module):
    """Answers a little more every time it is asked in torch, as no exported graph can."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = toy_task(horizon=4, observation=2, goal=2, action=2, dynamics=1)
        self.weight = nn.Parameter(torch.ones(()))
        self.calls = 0

    def input_terms(self) -> tuple[Term, ...]:
        return self.spec.input_terms

    def network(self) -> list[Operation] | None:
        return None

    def export_state_names(self) -> tuple[str, ...]:
        return ()

    def zero_state_tensors(self, n: int) -> tuple[Tensor, ...]:
        return ()

    def step(
        self, observation: Tensor, desired_goal: Tensor, previous_action: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        if not torch.compiler.is_compiling():
            self.calls += 1
        return torch.tanh(self.weight * observation * 1e-3 + self.calls * 1e-4), ()


@pytest.fixture
def drifting_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "load_policy", lambda run_dir: (Drifting(), META))


def test_a_policy_that_differs_is_refused_and_nothing_is_written(drifting_run: None, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"differs from the trained one by .*e-0[34].*nothing was written"):
        export(tmp_path / "run", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_bundle_are_not_replaced(drifting_run: None, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match=r"holds other things than a bundle \(thesis.tex\)"):
        export(tmp_path / "run", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_export_of_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"versions": {"torch": "2"}, "commit": "f00", "command": "secret"}))
    monkeypatch.setattr(export_module, "load_policy", lambda run_dir: (make_policy("none"), META))
    for _ in range(2):  # the second export replaces the first one
        delays = {"observation": (0.0, 40.0), "action": (0.0, 48.0)}
        out = export(run, tmp_path / "a" / "out", about=About(trained={"dynamics": {"base": "nominal"}}, delays=delays))
    contract = load_bundle(out).contract
    trained = contract.trained
    assert contract.delays == delays
    assert trained["versions"] == {"torch": "2"}
    assert trained["dynamics"] == {"base": "nominal"}
    assert "secret" not in (out / "policy.yaml").read_text()


# ---- documents -------------------------------------------------------------------------------------------------------


def test_small_numbers_are_numbers_for_every_yaml_reader() -> None:
    document = {"a": [1e-05, -2e16, 0.5, 3], "b": "1e-05 stays", 'quoted "2e-07"': "\\", "µ": "±1", "none": None}
    text = to_yaml(document)
    assert "1.0e-05" in text and '"1e-05 stays"' in text
    assert yaml.safe_load(text) == json.loads(text) == document


@settings(deadline=None)
@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(NAMES), inner), max_leaves=30))
def test_yaml_and_json_read_the_same(value: Any) -> None:
    text = to_yaml({"value": value})
    assert json.loads(text) == {"value": value}
    assert yaml.safe_load(text) == {"value": value}


def test_delays_span_what_the_set_draws() -> None:
    assert load_dynamics("train").delays() == {"observation": (0.0, 40.0), "action": (0.0, 48.0)}
    assert load_dynamics("nominal").delays() == {"observation": (0.0, 0.0), "action": (0.0, 0.0)}
