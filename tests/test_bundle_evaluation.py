"""What a bundle says about its own success."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from sim2real.bundle_documents import About
from sim2real.bundle_evaluation import Setting, evaluate_bundle
from sim2real.deploy import Bundle, BundlePolicy, load_bundle, verify_files
from sim2real.deploy.bundle import BackendName
from sim2real.envs import make_vec
from sim2real.evaluate import evaluate
from sim2real.export import add_evaluation, write_bundle
from tests.bundles import META, make_policy
from tests.toys import PointReach


def make_env(hidden_sign: bool, num_envs: int = 3) -> PointReach:
    env = PointReach(num_envs, hidden_sign=hidden_sign)
    env.task = dataclasses.replace(env.task, action_scale=(0.3,))
    return env


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("evaluated")
    policy = make_policy("lstm", make_env(False).task)
    trained = {"commit": "abc", "dynamics": {"parameters": {"mass": {"uniform": [1, 2]}}}}
    write_bundle(folder, policy, META, about=About(trained=trained))
    settings = {
        "easy": Setting(functools.partial(make_env, False), {"parameters": {"mass": 1.0, "gravity": 1.0}}),
        "hard": Setting(
            functools.partial(make_env, True), {"parameters": {"mass": {"log_uniform": [[0.1, 0.5], [2, 3]]}}}
        ),
    }
    add_evaluation(folder, functools.partial(evaluate_bundle, settings, 40, 3))
    return load_bundle(folder)


def test_the_contract_says_what_the_evaluator_measures(evaluated: Bundle) -> None:
    contract = evaluated.contract
    assert list(contract.evaluation) == ["easy", "hard"]
    for setting, hidden in (("easy", False), ("hard", True)):
        summary = evaluate(BundlePolicy(evaluated), make_env(hidden, 2), episodes=40, seed=3).summary()
        success = contract.evaluation[setting]["success"]
        assert success == {key: getattr(summary["success"], key) for key in ("value", "low", "high", "n")}
        assert success["n"] == 40
    how = contract.document["evaluated"]
    assert (how["seed"], how["episodes"], how["backend"], how["steps"]) == (3, 40, "onnx", 2 * 42 * 8)
    assert how["interventions"] == 0


def test_the_ranges_seen(evaluated: Bundle) -> None:
    """The point starts within [-1, 1] and is stopped at 1.5, the goal stays within [-1, 1]."""
    seen = evaluated.contract.seen
    assert seen.keys() == {"obs_0", "goal_0"}
    assert all(-1.5 <= low < -0.5 and 0.5 < high <= 1.5 for low, high in seen.values())


def test_all_three_places_say_the_same(evaluated: Bundle) -> None:
    """Manifest, model and weights; opening checks that, with either backend."""
    verify_files(evaluated.path)
    backends: tuple[BackendName, ...] = ("onnx", "numpy")
    for backend in backends:
        assert load_bundle(evaluated.path, backend=backend).contract.evaluation == evaluated.contract.evaluation


def test_the_card_has_the_figures_with_intervals_and_the_dynamics(evaluated: Bundle) -> None:
    card = (evaluated.path / "README.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    success = evaluated.contract.evaluation["hard"]["success"]
    metadata = yaml.safe_load(front)
    assert metadata["library_name"] == "sim2real"
    values = [entry["metrics"][0]["value"] for entry in metadata["model-index"][0]["results"]]
    assert values == [evaluated.contract.evaluation[name]["success"]["value"] for name in ("easy", "hard")]
    assert f"| hard | 40 | {success['value']:.3f} [{success['low']:.3f}, {success['high']:.3f}] |" in body
    assert "episodes 0 to 39 of seed 3" in body
    assert "| parameter | trained on | easy | hard |" in body
    assert "| `mass` | 1 to 2 | 1 | 0.1 to 0.5 or 2 to 3 (log) |" in body
    assert "| `obs_0` | m |  |  | sensor |" in body
    assert "| `act_0` | m |  |  | -0.3 to 0.3 | 0.6 |" in body


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "numpy"])
def test_a_bundle_agrees_with_torch_episode_by_episode(backend: BackendName, tmp_path: Path) -> None:
    """The real task with delays, noise and lost frames; `benchmarks/bundle_agreement.py` has the trained policies."""
    env = make_vec("FetchPush", 8, "unseen")
    policy = make_policy("lstm", env.task)
    write_bundle(tmp_path, policy, META)
    exported = BundlePolicy(load_bundle(tmp_path, backend=backend))
    a, b = (evaluate(p, env, episodes=16, seed=5) for p in (policy, exported))
    np.testing.assert_array_equal(a.success, b.success)
    np.testing.assert_allclose(a.final_distance, b.final_distance, atol=1e-3)
    assert np.ptp(a.final_distance) > 0.05
    assert exported.interventions == 0


def test_what_has_no_value_is_left_out_or_null(tmp_path: Path) -> None:
    """One failed episode: no time to success, means without an interval; still JSON."""
    policy = make_policy("none", make_env(False).task)
    write_bundle(tmp_path, policy, META)

    def failing() -> PointReach:
        env = make_env(False, 1)
        env._success = lambda: env._x[:, 0] * math.nan == 0  # type: ignore[method-assign]
        return env

    add_evaluation(tmp_path, functools.partial(evaluate_bundle, {"failing": Setting(failing, {})}, 1, 0))
    entry = load_bundle(tmp_path).contract.evaluation["failing"]
    assert entry["success"]["value"] == 0
    assert "time_to_success" not in entry
    assert entry["final_distance"]["low"] is None
    assert "NaN" not in (tmp_path / "policy.yaml").read_text()
    assert json.loads((tmp_path / "policy.yaml").read_text())["contract"]["evaluated"]["episodes"] == 1
