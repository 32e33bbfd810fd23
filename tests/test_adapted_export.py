"""A bundle of an adapted policy is the adapted policy, and says where it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2real.adapted_export import export_adapted
from sim2real.agents.adaptation import AdaptationConfig, AdaptivePolicy, PolicyConfig, ReturnConfig
from sim2real.deploy import BundleRunner, load_bundle
from sim2real.deploy.bundle import BackendName
from sim2real.envs.fetch_family import FetchDynamics
from sim2real.envs.navigation import Navigation
from sim2real.evaluate import evaluate
from sim2real.exportable import ExportError
from sim2real.meta_rl_domain import draw_tasks
from sim2real.meta_rl_types import TaskFamily
from sim2real.seeding import seeded_weights
from sim2real.sources import make_env, open_policy
from tests.agents.test_rl2_deployed import make

FAMILY = Navigation(horizon=6)
META = {"algorithm": "maml_rl", "env": {"family": "navigation", "options": {"horizon": 6}}, "samples": 9}
BACKENDS: tuple[BackendName, ...] = ("onnx", "numpy")


def policy(family: TaskFamily = FAMILY) -> AdaptivePolicy:
    with seeded_weights(1):
        test = AdaptationConfig(rates=(0.5, 0.2), rollouts=3)
        return AdaptivePolicy(family.task, PolicyConfig((8,), "tanh", 0.3), ReturnConfig(), test).eval()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy adapted to the task of seed 3."""
    folder = tmp_path_factory.mktemp("adapted")
    export_adapted(policy(), META, folder / "nav_run", folder / "bundle", episodes=4, seed=3)
    return folder / "bundle"


@pytest.mark.parametrize("backend", BACKENDS)
@torch.no_grad()
def test_the_bundle_is_the_adapted_policy(bundle: Path, backend: BackendName) -> None:
    task, luck = draw_tasks(FAMILY, 1, 3)
    _, parameters = policy().fit(FAMILY, task, luck, episodes=4)
    observations = torch.from_numpy(np.random.default_rng(0).uniform(-0.5, 0.5, (20, 2)).astype(np.float32))
    net, runner = policy().net, BundleRunner(load_bundle(bundle, backend=backend))
    adapted = net.head.mode(net.per_task(parameters, observations[None]))[0]
    before = net.head.mode(net(observations))
    actions = np.stack([runner.step(o) for o in observations.numpy()])
    np.testing.assert_allclose(actions, adapted.clamp(-1, 1), atol=1e-5)
    assert np.abs(actions - before.numpy()).max() > 0.01  # the steps did something


def test_it_says_from_which_run_to_which_task_and_what_that_brought(bundle: Path) -> None:
    contract = load_bundle(bundle).contract
    task, luck = draw_tasks(FAMILY, 1, 3)
    outcomes = policy().meet(FAMILY, task, luck, episodes=4)
    facts = contract.trained["adapted"]
    assert (facts["run"], facts["steps"], facts["rates"], facts["episodes_of_a_step"]) == ("nav_run", 2, [0.5, 0.2], 4)
    assert facts["task"] == {"family": "navigation", "seed": 3, "parameters": task[0].tolist()}
    assert facts["return"] == pytest.approx({name: float(metrics["return"]) for name, metrics in outcomes.items()})
    assert contract.evaluation["adapted"]["return"]["n"] == 4
    assert contract.document["reset"] == {"every": "episode", "episodes": 1, "steps_of_episode": 6}
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert "This policy is for **one task**: that of seed 3 in the family navigation" in card
    before, after = (facts["return"][name] for name in ("step_0", "step_2"))
    assert f"{before:.4g} before the first step, {after:.4g} after the last" in card


def test_what_adapts_with_its_memory_is_exported_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"adapts with its memory.*sim2real export RUN --out DIR"):
        export_adapted(make(FAMILY), {"algorithm": "rl2"}, tmp_path, tmp_path / "out", episodes=None, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_robots_dynamics_are_named_and_the_bundle_runs_in_its_simulation(tmp_path: Path) -> None:
    options = {"robot_task": "FetchReach", "threads": 1}
    meta: dict[str, Any] = {"algorithm": "maml_rl", "env": {"family": "fetch_dynamics", "options": options}}
    out = tmp_path / "bundle"
    export_adapted(policy(FetchDynamics(threads=1)), meta, tmp_path, out, episodes=2, seed=0)
    contract = load_bundle(out).contract
    assert contract.trained["adapted"]["task"]["parameters"]["gravity"] > 0
    assert contract.delays["observation"] == (0.0, 40.0)
    exported, task = open_policy(out)
    env = make_env(task, "nominal", episodes=1, threads=1)
    assert evaluate(exported, env, episodes=1, seed=0).summary()["success"].n == 1
    env.close()
