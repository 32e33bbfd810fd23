"""RL² as bundles: three implementations agree over trials, the memory outlives episodes, and what is said is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2real.agents.rl2_deployed import TrialPolicy
from sim2real.cli import main
from sim2real.deploy import BundleError, BundleRunner, load_bundle
from sim2real.deploy.bundle import BackendName
from sim2real.domains import ExportRequest
from sim2real.envs.bandits import Bandits
from sim2real.envs.navigation import Navigation
from sim2real.export import write_bundle
from sim2real.meta_rl_domain import draw_tasks
from sim2real.meta_rl_export import export_trained
from sim2real.meta_rl_types import TaskFamily, interface_of
from sim2real.played_bundles import trial_readings
from sim2real.sources import open_policy
from tests.agents.counting_family import Counting
from tests.agents.test_rl2_deployed import make, played

TASKS = 30
FAMILY = Bandits(4, 6)
BACKENDS: tuple[BackendName, ...] = ("onnx", "numpy")


@pytest.fixture(scope="module")
def bandits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of an untrained policy, as `sim2real export` makes it."""
    out = tmp_path_factory.mktemp("trial") / "bandits"
    meta = {"algorithm": "rl2", "env": {"family": "bandits", "options": {"arms": 4, "pulls": 6}}, "samples": 5}
    return export_trained(ExportRequest(make(FAMILY), meta, {"commit": "abc"}, out, TASKS))


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a policy that reads whole transitions, in a family that counts its steps."""
    folder = tmp_path_factory.mktemp("counting")
    policy = make(Counting(), normalize=True, transition=True)
    write_bundle(folder, TrialPolicy(policy, interface_of(Counting())), {"algorithm": "rl2"})
    return folder


def agree(folder: Path, backend: BackendName, policy: Any, family: TaskFamily) -> None:
    """Over whole trials, the runner takes the actions of the policy that was exported."""
    trials, runner = played(policy, family), BundleRunner(load_bundle(folder, backend=backend))
    for readings, actions in zip(trial_readings(trials.inputs, family.task), trials.action, strict=True):
        runner.reset()
        taken = [int(np.argmax(runner.step(step))) for step in readings]
        assert taken == actions.tolist() and len(set(taken)) > 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_choices_are_those_of_torch(bandits: Path, backend: BackendName) -> None:
    agree(bandits, backend, make(FAMILY), FAMILY)


@pytest.mark.parametrize("backend", BACKENDS)
def test_transitions_are_remembered_as_in_torch(counting: Path, backend: BackendName) -> None:
    agree(counting, backend, make(Counting(), normalize=True, transition=True), Counting())


@torch.no_grad()
def test_gaussian_actions_are_those_of_torch(tmp_path: Path) -> None:
    family = Navigation(horizon=7, unit_actions=False)
    policy = make(family)
    policy.last.weight.mul_(0.01)  # within the limits, beyond which feedback is cut
    policy.last.bias.mul_(0.01)
    write_bundle(tmp_path, TrialPolicy(policy, interface_of(family)), {"algorithm": "rl2"})
    trials = played(policy, family, tasks=1)
    assert 0.01 < trials.action.abs().max() < 0.1
    for backend in BACKENDS:
        runner = BundleRunner(load_bundle(tmp_path, backend=backend))
        actions = [runner.step(readings) for readings in trial_readings(trials.inputs, family.task)[0]]
        np.testing.assert_allclose(actions, trials.action[0], atol=1e-6)


def test_memory_runs_through_the_episodes_of_a_trial(counting: Path) -> None:
    """The family's observation is (episode, step), and the memory holds the latest two."""
    runner = BundleRunner(counting)
    readings = trial_readings(played(make(Counting()), Counting(), tasks=1).inputs, Counting().task)[0]
    seen = []
    for step in readings:
        runner.step(step)
        seen.append(runner.state[1].ravel().tolist())
    assert seen[0] == [0, 0, 0, 0]
    assert [both[:2] for both in seen[1:]] == readings[:-1, :2].tolist()
    assert seen[4] == [*readings[3, :2], 1, 0]  # the first step of the second episode knows the end of the first
    runner.reset()
    runner.step(readings[4])
    assert runner.state[1].ravel().tolist() == [0, 0, 1, 0]


def test_golden_rollouts_are_whole_trials(bandits: Path) -> None:
    golden = load_bundle(bandits).golden()
    assert np.flatnonzero(golden["step"] == 0).tolist() == list(range(0, 100, 6))
    rewards, ends = golden["readings"][:, 1], golden["readings"][:, 2]
    assert set(rewards.tolist()) == {0, 1}
    np.testing.assert_array_equal(ends, golden["step"] > 0)  # every pull ends its episode; nothing came before a trial
    assert set(golden["actions"].sum(1).tolist()) == {1}


def test_the_contract_says_when_to_reset_and_what_was_achieved(bandits: Path) -> None:
    contract = load_bundle(bandits).contract
    assert contract.document["reset"] == {"every": "trial", "episodes": 6, "steps_of_episode": 1}
    assert contract.document["horizon"] == 6 and "success_threshold" not in contract.document
    assert not contract.simulated and contract.trained["commit"] == "abc"
    tasks, luck = draw_tasks(FAMILY, TASKS, 0)
    expected = make(FAMILY).play(FAMILY, tasks, luck, mode=True).returns(6)
    evaluation = contract.evaluation
    assert list(evaluation) == ["trial", *(f"episode_{k}" for k in range(1, 7))]
    assert evaluation["trial"]["return"]["value"] == pytest.approx(float(expected.sum(1).mean()))
    assert evaluation["episode_6"]["return"]["value"] == pytest.approx(float(expected[:, 5].mean()))
    assert contract.document["evaluated"]["interventions"] == 0


def test_the_card_says_when_to_reset(bandits: Path) -> None:
    card = (bandits / "README.md").read_text(encoding="utf-8")
    assert "runner.reset()  # at the start of every trial (of 6 episodes), not between its episodes;" in card
    assert "**between trials,\nnot between the episodes of one**" in card
    assert "trials of 6 episodes in 30 tasks that training did not see (those of seed 0)" in card
    assert "| setting | tasks | return |" in card and "(argmax); in training, choices were drawn" in card
    assert "--dynamics" not in card and "## Dynamics" not in card


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_golden_rollout_is_replayed_through_the_safety_filter(bandits: Path, backend: str) -> None:
    """A bandit shows nothing that moves, and that is no frozen sensor."""
    assert main(["run", str(bandits), "--robot", "replay", "--steps", "200", "--backend", backend]) == 0


@pytest.mark.parametrize("command", [["run", "--robot", "sim"], ["evaluate"], ["drill"], ["record"]])
def test_what_needs_a_simulated_robot_says_so(
    bandits: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name, *options = command
    assert main([name, str(bandits), *options]) == 2
    assert "bandits can't be simulated from a bundle" in capsys.readouterr().err
    with pytest.raises(BundleError, match=r"How it did there is in the bundle's README\.md"):
        open_policy(bandits)
