from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from sim2real.deploy import BundleError, is_bundle, load_bundle, verify_files
from sim2real.deploy.contract import parse_contract
from sim2real.deploy.onnx_backend import OnnxBackend


def test_a_good_bundle_opens(lstm_bundle: Path) -> None:
    contract = load_bundle(lstm_bundle).contract
    assert is_bundle(lstm_bundle)
    assert contract.task == "Toy"
    assert contract.readings == tuple([f"obs_{i}" for i in range(5)] + [f"goal_{i}" for i in range(3)])
    assert contract.action == ("act_0", "act_1", "act_2", "act_3")
    assert contract.action_scale == contract.action_high == (0.05, 0.1, 0.5, 1.0)
    assert contract.action_low == (-0.05, -0.1, -0.5, -1.0)
    assert contract.rate_limit == (0.1, 0.2, 1.0, 2.0)
    assert [(term.name, term.source) for term in contract.terms] == [
        *(("observation", "sensor"), ("desired_goal", "command"), ("previous_action", "feedback"))
    ]
    assert contract.feeds_back
    assert contract.inputs == {"obs": (1, 12), "h_in": (1, 1, 16), "c_in": (1, 1, 16)}


def test_the_session_has_one_thread_that_does_not_spin(lstm_bundle: Path) -> None:
    backend = load_bundle(lstm_bundle).backend
    assert isinstance(backend, OnnxBackend)
    options = backend.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_no_contract(broken: Path, tmp_path: Path) -> None:
    (broken / "policy.yaml").unlink()
    assert not is_bundle(broken)
    with pytest.raises(BundleError, match=r"no policy.yaml in .*cannot be run without one.*sim2real export"):
        load_bundle(broken)
    with pytest.raises(BundleError, match="this is not a bundle"):
        load_bundle(tmp_path)


def test_an_altered_model(broken: Path) -> None:
    content = bytearray((broken / "policy.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (broken / "policy.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=r"policy.onnx is not the file that was exported: its sha256 is"):
        load_bundle(broken)


def test_no_model(broken: Path) -> None:
    (broken / "policy.onnx").unlink()
    with pytest.raises(BundleError, match=r"policy.onnx is missing: the bundle is incomplete"):
        load_bundle(broken)


@pytest.mark.parametrize("name", ["policy.onnx", "model.safetensors", "config.json", "parity.npz", "README.md"])
def test_every_file_is_verified(broken: Path, name: str) -> None:
    assert verify_files(broken)["contract"]["task"] == "Toy"
    (broken / name).write_bytes((broken / name).read_bytes() + b" ")
    with pytest.raises(BundleError, match=f"{name} is not the file that was exported"):
        verify_files(broken)


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((folder / "policy.yaml").read_text())
    change(document)
    (folder / "policy.yaml").write_text(json.dumps(document))


def test_an_edited_contract(broken: Path) -> None:
    _edit(broken, lambda m: m["contract"].update(control_dt=0.05))
    with pytest.raises(BundleError, match=r"contradicts the contract inside the model in: control_dt"):
        load_bundle(broken)


def _replace_model(folder: Path, change: Callable[[onnx.ModelProto], object]) -> None:
    """Alter the model and make the checksum fit, as somebody who knows what he does would."""
    model = onnx.load(folder / "policy.onnx")
    change(model)
    onnx.save(model, folder / "policy.onnx")
    digest = hashlib.sha256((folder / "policy.onnx").read_bytes()).hexdigest()
    _edit(folder, lambda c: c["sha256"].update({"policy.onnx": digest}))


def test_a_model_without_metadata(broken: Path) -> None:
    _replace_model(broken, lambda model: model.ClearField("metadata_props"))
    with pytest.raises(BundleError, match="holds no contract in its metadata"):
        load_bundle(broken)


def test_a_model_of_another_shape(broken: Path) -> None:
    """A contract that promises another memory in both places is caught by the model itself."""

    def change(document: dict[str, Any]) -> None:
        document["state"]["h"]["shape"] = [1, 1, 17]

    def change_inside(model: onnx.ModelProto) -> None:
        entry = next(entry for entry in model.metadata_props if entry.key == "contract")
        document = json.loads(entry.value)
        change(document)
        entry.value = json.dumps(document)

    _edit(broken, lambda manifest: change(manifest["contract"]))
    _replace_model(broken, change_inside)
    with pytest.raises(BundleError, match=r"the model's inputs are .*\(1, 1, 16\).*the contract says .*\(1, 1, 17\)"):
        load_bundle(broken)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema={"name": "other"}), "was not exported by sim2real"),
        (lambda c: c.pop("schema"), "was not exported by sim2real"),
        (lambda c: c["schema"].update(version=99), "version 99, this runner reads 2"),
        (lambda c: c.pop("control_dt"), "the contract is damaged: KeyError: 'control_dt'"),
        (lambda c: c.update(obs=None), "the contract is damaged: TypeError"),
        (lambda c: c.update(control_dt=0), "control_dt is 0.0 s, expected a positive time"),
        (lambda c: c["action"].update(scale=[1, 1, 1, 0]), "action_scale is .*expected 4 positive numbers"),
        (lambda c: c["action"].update(scale=[1, 1]), "action_scale is .*expected 4 positive numbers"),
        (lambda c: c["action"].update(offset=[0, 0, 0, math.inf]), "action_offset is .*expected 4 finite numbers"),
        (lambda c: c["action"].update(rate_limit=[0, 1, 1, 1]), "rate_limit is .*expected 4 positive numbers"),
        (lambda c: c["action"].update(rate_limit=None), "the contract is damaged: TypeError"),
        (lambda c: c["action"].update(low=[0, 0, 0, 1]), r"action_low .* is not below its action_high"),
        (lambda c: c["action"]["elements"][1].update(name="act_0"), "names these elements twice: act_0"),
        (lambda c: c["obs"][0].update(source="sensors"), "term 'observation' has source 'sensors', expected one of"),
        (lambda c: c["obs"].reverse(), r"feedback terms are \['previous_action'\]; there may be one"),
        (lambda c: c["obs"][2].update(name="last"), r"feedback terms are \['last'\]; there may be one"),
        (lambda c: c["obs"][2]["elements"].pop(), "with the 4 elements of the action"),
        (lambda c: c.update(obs=[c["obs"][2]]), "names no readings"),
        (lambda c: c["delays"].update(action=[3, 2]), r"action delay is \[3.0, 2.0\] ms, expected 0 <= low"),
        (lambda c: c["delays"].pop("observation"), "the contract is damaged: KeyError: 'observation'"),
        (lambda c: c["parity"].update(tolerance=math.inf), "tolerance is inf"),
        (lambda c: c.update(seen={"obs_0": [2, 1]}), "ranges of readings make no sense for obs_0"),
        (lambda c: c.update(seen={"obs_0": [0, math.nan]}), "ranges of readings make no sense for obs_0"),
        (lambda c: c.update(seen={"elbow": [0, 1]}), "ranges of readings make no sense for elbow"),
        (lambda c: c.update(seen={"obs_0": [1]}), "ranges of readings are damaged"),
        (lambda c: c.update(seen=[1]), "ranges of readings are damaged"),
        (lambda c: c["obs"][1]["elements"][0].update(name="obs_3"), "names these elements twice: obs_3"),
    ],
)
def test_damaged_contracts(lstm_bundle: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    document = json.loads((lstm_bundle / "policy.yaml").read_text())["contract"]
    parse_contract(document)
    change(document)
    with pytest.raises(BundleError, match=message):
        parse_contract(document)


def test_a_contract_that_is_not_json(broken: Path) -> None:
    (broken / "policy.yaml").write_text("{")
    with pytest.raises(BundleError, match="is not valid JSON"):
        load_bundle(broken)


def test_a_manifest_of_the_old_shape(broken: Path) -> None:
    (broken / "policy.yaml").write_text("{}")
    with pytest.raises(BundleError, match="holds no contract with checksums"):
        load_bundle(broken)
