from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sim2real.agents.nas import NAS, NASConfig, reinforce_terms
from sim2real.checkpoint import load_state, save_state
from tests.agents.test_controller import everything
from tests.search_toys import SKIPS, TWO, Table

FAST = NASConfig(learning_rate=0.02)


def test_a_baseline_shrinks_the_variance_as_worked_by_hand() -> None:
    log_prob, returns = torch.tensor([0.5, 0.2, 0.3]), torch.tensor([1000.0, 1001.0, 1002.0])
    assert float(reinforce_terms(log_prob, returns, 0.0).var()) == pytest.approx(23286.8, abs=0.1)
    # Less their mean the returns are (-1, 0, 1): 0.1633, as of (1, 0, -1).
    assert float(reinforce_terms(log_prob, returns, 1001.0).var()) == pytest.approx(0.1633, abs=1e-4)


def test_the_gradient_is_that_of_the_expected_reward() -> None:
    """Each architecture as often as its probability says: the estimate's mean is the gradient of the expectation."""
    agent = NAS(NASConfig(units=4, init=0.5), Table(TWO), seed=0, device="cpu")
    controller, all_of_them = agent.policy.controller.double(), everything(TWO)
    rewards = torch.tensor(agent.source.score([tuple(row) for row in all_of_them.tolist()]).rewards)

    def expected() -> torch.Tensor:
        return (controller.log_prob(all_of_them)[0].sum(1).exp() * rewards).sum()

    log_prob = controller.log_prob(all_of_them)[0].sum(1)
    weights = log_prob.detach().exp()
    (weights * reinforce_terms(log_prob, rewards, 0.37)).sum().backward()  # type: ignore[no-untyped-call]
    for parameter in (controller.heads["second"].bias, controller.start, controller.lstm.weight_hh_l0):
        assert isinstance(parameter, torch.Tensor) and parameter.grad is not None
        where = (0,) * parameter.dim()
        differences = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter[where] += step
                differences.append(float(expected()))
                parameter[where] -= step
        assert float(parameter.grad[where]) == pytest.approx((differences[0] - differences[1]) / 2e-6, abs=1e-8)


def test_the_baseline_is_a_moving_average_of_the_rewards_before() -> None:
    agent = NAS(NASConfig(baseline_decay=0.75), Table(TWO), seed=0, device="cpu")
    agent.collect()
    first = float(np.mean(agent._rewards))
    assert agent.update()["loss/baseline"] == pytest.approx(first)
    agent.collect()
    assert agent.update()["loss/baseline"] == pytest.approx(first)
    assert agent.baseline == pytest.approx(0.75 * first + 0.25 * float(np.mean(agent._rewards)))


def test_cubed_rewards_are_what_the_controller_is_given_and_nobody_else() -> None:
    agent = NAS(NASConfig(reward="cubed"), Table(TWO), seed=0, device="cpu")
    _, metrics = agent.collect()
    assert set(agent._rewards) <= {0.0, 0.125, 1.0}
    assert metrics["collect/best"] in (0.5, 1.0)


@pytest.mark.parametrize("spec", [TWO, SKIPS])
def test_it_learns_the_best_architecture_of_a_table(spec: object) -> None:
    agent = NAS(FAST, Table(SKIPS if spec is SKIPS else TWO), seed=1, device="cpu")
    for _ in range(60):
        agent.collect()
        agent.update()
    best = [token.size - 1 for token in agent.source.task.tokens]
    assert agent.policy.architecture() == tuple(best)
    assert float(agent.policy.controller.log_prob(torch.tensor([best]))[0].sum().exp()) > 0.8


def test_a_checkpoint_continues_bit_for_bit(tmp_path: Path) -> None:
    unbroken, resumed = (NAS(FAST, Table(SKIPS), seed=seed, device="cpu") for seed in (0, 5))
    for _ in range(3):
        unbroken.collect()
        unbroken.update()
    save_state(tmp_path / "state", unbroken.state_dict())
    resumed.load_state_dict(load_state(tmp_path / "state"))
    for agent in (unbroken, resumed):
        agent.collect()
        agent.update()
    assert torch.equal(unbroken._numbers, resumed._numbers) and unbroken.baseline == resumed.baseline
    for a, b in zip(unbroken.policy.state_dict().values(), resumed.policy.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("option", "value"), [("batch", 0), ("units", 0), ("baseline_decay", 1.0)])
def test_options_that_make_no_sense_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=option):
        NASConfig(**{option: value})  # type: ignore[arg-type]
