"""What every learner in the table has to do, whatever its method."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2real.agents import AGENTS
from sim2real.checkpoint import load_state, save_state
from sim2real.config import build
from sim2real.envs.navigation import Navigation
from sim2real.metrics import Means
from sim2real.seeding import torch_generator
from sim2real.types import Algorithm
from tests.agents.clusters import Clusters
from tests.search_toys import SKIPS, Table
from tests.toys import PointReach

ENCODER = {"embedding": {"filters": 4}}
SMALL: dict[str, dict[str, Any]] = {
    "rdpg": {"hidden": [16], "embedding": 8, "memory_units": 8, "capacity": 100, "updates_per_collect": 3},
    "maml": {"filters": 4, "meta_batch": 2},
    "protonet": ENCODER,
    "matching": {**ENCODER, "full_context": True},
    "lstm_learner": {**ENCODER, "units": 8},
    "neural_process": {**ENCODER, "units": 8},
    "meta_lstm": {"filters": 4, "units": 4, "updates": 2},
    "nearest_neighbour": {},
    "policy_gradient": {"network": {"hidden": [8]}, "tasks": 2, "rollouts": 3},
    "maml_rl": {"network": {"hidden": [8]}, "tasks": 2, "rollouts": 3},
    "rl2": {"embedding": 8, "hidden": 8, "trials": 6, "batch_trials": 3},
    "nas": {"units": 8},
    "enas": {"units": 8, "shared_updates": 2},
    "random_search": {},
    "evolution": {"population": 8, "tournament": 2},
}
"""Options that make a learner take milliseconds; a new learner adds a line."""
TOYS: dict[str, Any] = {
    "goals": lambda: PointReach(4, hidden_sign=True),
    "few_shot": lambda: Clusters((1, 16, 16), ways=3, shots=2, queries=2),
    "meta_rl": lambda: Navigation(horizon=5),
    "search": lambda: Table(SKIPS),
}
"""What the learners of a domain gather from here."""


def options(name: str) -> Any:
    return build(AGENTS[name].config, SMALL[name])


def make(name: str, *, seed: int = 0, device: str = "cpu") -> Algorithm:
    entry = AGENTS[name]
    return entry.build(options(name), TOYS[entry.domain](), seed=seed, device=device)


def weights(algorithm: Algorithm) -> list[torch.Tensor]:
    policy: Any = algorithm.policy
    return [p.detach().cpu().clone() for p in policy.state_dict().values()]


def rounds(algorithm: Algorithm, n: int) -> dict[str, float]:
    metrics: dict[str, Any] = {}
    for _ in range(n):
        cost, collected = algorithm.collect()
        assert cost > 0
        metrics |= collected | algorithm.update()
    return {key: float(value) for key, value in metrics.items()}


@pytest.mark.parametrize("name", AGENTS)
def test_it_learns_something_and_says_finite_numbers(name: str) -> None:
    algorithm = make(name)
    before = weights(algorithm)
    metrics = rounds(algorithm, 2)
    assert metrics and all(np.isfinite(value) for value in metrics.values())
    assert any(not torch.equal(a, b) for a, b in zip(before, weights(algorithm), strict=True))


@pytest.mark.parametrize("name", AGENTS)
def test_a_checkpoint_file_continues_it_bit_for_bit(name: str, tmp_path: Path) -> None:
    unbroken, interrupted = make(name), make(name)
    rounds(unbroken, 2)
    rounds(interrupted, 2)
    save_state(tmp_path / "checkpoint", interrupted.state_dict())
    resumed = make(name, seed=9)
    resumed.load_state_dict(load_state(tmp_path / "checkpoint"))
    rounds(unbroken, 2)
    rounds(resumed, 2)
    assert all(torch.equal(a, b) for a, b in zip(weights(unbroken), weights(resumed), strict=True))


@pytest.mark.parametrize("name", AGENTS)
def test_its_policy_is_rebuilt_from_config_and_weights(name: str) -> None:
    algorithm, domain = make(name), AGENTS[name].domain
    rounds(algorithm, 1)
    policy: Any = algorithm.policy
    spec = TOYS[domain]().task
    assert isinstance(spec, AGENTS[name].spec)
    rebuilt: Any = AGENTS[name].build_policy(options(name), spec)
    rebuilt.load_state_dict(policy.state_dict())
    PREDICTIONS[domain](policy, rebuilt.eval())


def _same_actions(policy: Any, rebuilt: Any) -> None:
    obs = {
        "observation": np.array([[0.3], [-0.2]]),
        "desired_goal": np.array([[0.5], [0.1]]),
        "previous_action": np.array([[0.1], [0.0]]),
    }
    action, _ = policy.act(obs, policy.initial_state(2), deterministic=True)
    again, _ = rebuilt.act(obs, rebuilt.initial_state(2), deterministic=True)
    assert action.shape == (2, 1) and action.dtype == np.float32 and bool((np.abs(action) <= 1).all())
    np.testing.assert_array_equal(action, again)


def _same_answers(policy: Any, rebuilt: Any) -> None:
    batch = TOYS["few_shot"]().sample(2)
    answers = policy.adapt(batch.support).predict(batch.query.inputs)
    again = rebuilt.adapt(batch.support).predict(batch.query.inputs)
    assert list(answers) == list(again)
    for setting, logits in answers.items():
        assert logits.shape == (2, 6, 3) and not logits.requires_grad
        assert torch.equal(logits, again[setting])


def _same_outcomes(policy: Any, rebuilt: Any) -> None:
    family = TOYS["meta_rl"]()
    tasks = family.sample(3, torch_generator(0, "tasks"))
    outcomes, again = (p.meet(family, tasks, torch_generator(0, "luck")) for p in (policy, rebuilt))
    assert policy.headline in outcomes and list(outcomes) == list(again)
    for setting, metrics in outcomes.items():
        assert metrics["return"].shape == (3,) and torch.equal(metrics["return"], again[setting]["return"])


def _same_architecture(policy: Any, rebuilt: Any) -> None:
    assert policy.architecture() == rebuilt.architecture() != (0,) * len(SKIPS.tokens)


PREDICTIONS: dict[str, Any] = {
    "goals": _same_actions,
    "meta_rl": _same_outcomes,
    "few_shot": _same_answers,
    "search": _same_architecture,
}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", [name for name, entry in AGENTS.items() if entry.cuda])
def test_it_runs_on_cuda_and_continues_there(name: str, tmp_path: Path) -> None:
    algorithm = make(name, device="cuda")
    rounds(algorithm, 2)
    save_state(tmp_path / "checkpoint", algorithm.state_dict())
    resumed = make(name, device="cuda")
    resumed.load_state_dict(load_state(tmp_path / "checkpoint"))
    means = Means()
    means.add(resumed.collect()[1])
    means.add(resumed.update())
    assert all(np.isfinite(value) for value in means.fetch().values())
