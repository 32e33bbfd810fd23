from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sim2real.agents.adaptation import PolicyConfig, ReturnConfig
from sim2real.agents.outer import OuterConfig
from sim2real.agents.policy_gradient import PolicyGradient, PolicyGradientConfig
from sim2real.meta_rl_types import FamilySpec


class Levers:
    """One step, three levers; lever 2 pays 1, the others nothing, in every task."""

    task = FamilySpec("levers", 1, "discrete", 3, horizon=1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.zeros(n, 1)

    def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator) -> Levers:
        self._shape = (len(tasks), rollouts)
        return self

    def reset(self) -> Tensor:
        return torch.ones(*self._shape, 1)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return torch.ones(*self._shape, 1), (actions == 2).float(), torch.ones(self._shape, dtype=torch.bool)


@pytest.mark.parametrize(
    ("method", "rounds"),
    [
        (OuterConfig(method="reinforce", learning_rate=0.05), 80),
        (OuterConfig(method="ppo", learning_rate=0.05), 30),
        (OuterConfig(method="trpo"), 40),
    ],
)
def test_it_learns_the_lever_that_pays(method: OuterConfig, rounds: int) -> None:
    config = PolicyGradientConfig(network=PolicyConfig(hidden=()), outer=method, tasks=2, rollouts=50)
    algorithm = PolicyGradient(config, Levers(), seed=0, device="cpu")
    metrics: dict[str, Any] = {}
    for _ in range(rounds):
        samples, metrics = algorithm.collect()
        assert samples == 100  # 2 tasks, 50 episodes of one step
        algorithm.update()
    assert float(metrics["collect/return"]) > 0.9


def test_without_discount_and_baseline_effects_the_step_is_the_score_function() -> None:
    """One Adam step of REINFORCE moves the logit of the lever that paid up, the others down."""
    config = PolicyGradientConfig(
        network=PolicyConfig(hidden=()),
        returns=ReturnConfig(discount=1.0),
        outer=OuterConfig(method="reinforce", learning_rate=0.01),
        tasks=1,
        rollouts=200,
    )
    algorithm = PolicyGradient(config, Levers(), seed=0, device="cpu")
    bias = algorithm.policy.net.layers[0].bias
    algorithm.collect()
    algorithm.update()
    assert isinstance(bias, Tensor)
    assert (bias > 0).tolist() == [False, False, True]


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        PolicyGradientConfig(tasks=0)
