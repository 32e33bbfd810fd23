from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sim2real import __version__
from sim2real.agents import AGENTS
from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.checkpoint import CheckpointError
from sim2real.config import EnvConfig, ExperimentConfig, TrainerConfig, build, to_dict
from sim2real.runs import (
    Run,
    RunError,
    check_run,
    check_trained_on,
    exclusive,
    load_policy,
    open_run,
    read_config,
)
from sim2real.types import TaskSpec

from .toys import toy_task

CONFIG = ExperimentConfig(env=EnvConfig(), agent=RDPGConfig(hidden=(8,), embedding=4, memory_units=4))
TASK = dataclasses.replace(toy_task(horizon=5, observation=3, goal=2, action=2, dynamics=4), extra={"threads": [1, 2]})
COMMAND = ["sim2real", "train", "my preset"]


def start(folder: Path, config: ExperimentConfig = CONFIG) -> Run:
    return open_run(folder, config, TASK, COMMAND, "cpu")


def test_a_task_survives_json() -> None:
    assert build(TaskSpec, json.loads(json.dumps(to_dict(TASK)))) == TASK


def test_a_new_run_says_what_made_it(tmp_path: Path) -> None:
    start(tmp_path / "a" / "run")
    content = json.loads((tmp_path / "a" / "run" / "run.json").read_text())
    assert content["command"] == "sim2real train 'my preset'"
    assert (content["samples"], content["seconds"], content["device"]) == (0, 0.0, "cpu")
    assert content["versions"]["sim2real"] == __version__
    assert content["versions"]["torch"] == torch.__version__
    assert set(content) == {*("command", "started", "device", "versions", "commit", "machine", "samples", "seconds")}
    config = read_config(tmp_path / "a" / "run")
    assert (config.env, config.trainer) == (CONFIG.env, CONFIG.trainer)
    assert config.agent.hidden == (8,)


def test_progress_and_sessions_are_recorded(tmp_path: Path) -> None:
    start(tmp_path).record(500, 12.3456)
    start(tmp_path)
    content = json.loads((tmp_path / "run.json").read_text())
    assert (content["samples"], content["seconds"]) == (500, 12.346)
    assert [session["at_samples"] for session in content["resumed"]] == [500]


def test_only_the_budget_may_change(tmp_path: Path) -> None:
    start(tmp_path)
    check_run(tmp_path, dataclasses.replace(CONFIG, trainer=TrainerConfig(total_samples=7, max_minutes=1.0)))
    check_run(tmp_path, dataclasses.replace(CONFIG, agent=dataclasses.replace(CONFIG.agent, anneal_samples=9)))
    other = dataclasses.replace(CONFIG, seed=3, agent=dataclasses.replace(CONFIG.agent, gamma=0.5))
    with pytest.raises(RunError, match=r"agent.gamma: 0.98 there, 0.5 now; seed: 0 there, 3 now"):
        start(tmp_path, other)
    assert read_config(tmp_path).seed == 0


def test_a_task_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    trained = json.loads(json.dumps(to_dict(TASK)))
    check_trained_on(tmp_path, {**trained, "dynamics_names": []}, TASK)
    later = dataclasses.replace(TASK, success_threshold=9.0)
    with pytest.raises(RunError, match=r"is not what .* was trained on \(success_threshold: .* then, 9.0 now\)"):
        check_trained_on(tmp_path, trained, later)
    run = start(tmp_path)
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.json").write_text(json.dumps({"task": trained}))
    with pytest.raises(RunError, match="success_threshold"):
        open_run(run.folder, CONFIG, later, COMMAND, "cpu")


def test_options_that_are_newer_than_a_run_have_their_defaults(tmp_path: Path) -> None:
    start(tmp_path)
    path = tmp_path / "config.yaml"
    stored = yaml.safe_load(path.read_text())
    del stored["agent"]["n_step"], stored["env"]["threads"]
    path.write_text(yaml.safe_dump(stored))
    assert read_config(tmp_path) == CONFIG
    check_run(tmp_path, CONFIG)
    path.write_text(yaml.safe_dump({**stored, "agent": {"gone": 1}}))
    with pytest.raises(RunError, match=r"config.yaml is not of this version: agent: unknown key .gone"):
        check_run(tmp_path, CONFIG)


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(RunError, match="has files in it and is not a run directory; give a new or an empty folder"):
        start(tmp_path)
    with pytest.raises(RunError, match="is a file; give a folder"):
        start(tmp_path / "thesis.txt")
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match=r"is not a run directory; give a folder that `sim2real train --run-dir` made"):
        read_config(tmp_path)


def test_an_empty_folder_does(tmp_path: Path) -> None:
    start(tmp_path)
    assert (tmp_path / "config.yaml").exists()


def test_a_run_killed_before_its_first_checkpoint_goes_on(tmp_path: Path) -> None:
    start(tmp_path)
    (tmp_path / "run.json").unlink()
    start(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["samples"] == 0


def test_a_run_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path / "run"):
        with pytest.raises(RunError, match="another process is training in"), exclusive(tmp_path / "run"):
            pytest.fail("two at once")
        with exclusive(tmp_path / "other"):
            pass
    with exclusive(tmp_path / "run"):
        pass


def policy_of(seed: int) -> Any:
    torch.manual_seed(seed)
    return AGENTS["rdpg"].build_policy(CONFIG.agent, TASK)


def test_a_saved_policy_comes_back_with_its_description(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.save_policy("policy", policy_of(1), 100, {"success": 0.5})
    run.save_policy("policy_last", policy_of(2), 200, {})
    for which, seed in (("best", 1), ("last", 2)):
        loaded, _ = load_policy(tmp_path, which)  # type: ignore[arg-type]
        for (name, expected), got in zip(
            policy_of(seed).state_dict().items(), loaded.state_dict().values(), strict=True
        ):
            assert torch.equal(got, expected), name
        assert not loaded.training
    _, meta = load_policy(tmp_path)
    assert (meta["samples"], meta["eval"], meta["algorithm"]) == (100, {"success": 0.5}, "rdpg")
    assert meta["env"]["task"] == "FetchReach"
    assert build(TaskSpec, meta["task"]) == TASK


def test_loading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no trained policy in it; give a folder that `sim2real train"):
        load_policy(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": "rdgp"}, "unknown algorithm 'rdgp'. Did you mean 'rdpg'?"),
        ({"agent": {"gama": 1}}, "unknown key 'gama'. Did you mean 'gamma'?"),
        ({"task": {}}, "is damaged"),
        ({"agent": {"hidden": [9]}}, "size mismatch"),
    ],
)
def test_a_damaged_description_is_a_clear_error(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    start(tmp_path).save_policy("policy", policy_of(1), 100, {})
    file = tmp_path / "policy" / "policy.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(CheckpointError) as caught:
        load_policy(tmp_path)
    assert message in str(caught.value)


def test_damaged_weights_are_a_clear_error(tmp_path: Path) -> None:
    start(tmp_path).save_policy("policy", policy_of(1), 100, {})
    file = tmp_path / "policy" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_policy(tmp_path)


def test_a_policy_that_is_no_module_cannot_be_saved(tmp_path: Path) -> None:
    not_a_module: Any = object()
    with pytest.raises(TypeError, match="only policies that are torch modules can be saved, got object"):
        start(tmp_path).save_policy("policy", not_a_module, 1, {})
