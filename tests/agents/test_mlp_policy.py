from __future__ import annotations

import pytest
import torch

from sim2real.agents.mlp_policy import MLPPolicy
from sim2real.meta_rl_types import FamilySpec

REAL = FamilySpec("real", 2, "gaussian", 1, 5)
CHOICE = FamilySpec("choice", 2, "discrete", 3, 5)


def test_forward_by_hand() -> None:
    policy = MLPPolicy(REAL, (2,), "relu", init_std=0.5)
    with torch.no_grad():
        for parameter, values in zip(
            policy.parameters(),
            ([0.5], [[1.0, 0.0], [0.0, -1.0]], [0.0, 1.0], [[2.0, 3.0]], [-1.0]),
            strict=True,
        ):
            parameter.copy_(torch.tensor(values))
        # hidden: relu(3) = 3, relu(-4 + 1) = 0; mean 2 * 3 + 3 * 0 - 1 = 5; log deviation 0.5
        assert policy(torch.tensor([3.0, 4.0])).tolist() == [5.0, 0.5]


def test_it_starts_with_the_deviation_asked_for() -> None:
    policy = MLPPolicy(REAL, (), "tanh", init_std=0.5)
    assert policy.log_std is not None and float(policy.log_std.detach().exp()) == pytest.approx(0.5)
    assert MLPPolicy(CHOICE, (), "tanh", init_std=0.5).log_std is None


@pytest.mark.parametrize("task", [REAL, CHOICE])
def test_policies_of_many_tasks_at_once(task: FamilySpec) -> None:
    policies = [MLPPolicy(task, (4,), "tanh", init_std=1.0) for _ in range(3)]
    parameters = {n: torch.stack([p.parameter_dict()[n] for p in policies]) for n in policies[0].parameter_dict()}
    observation = torch.randn(3, 2, 5, 2, generator=torch.Generator().manual_seed(0))
    together = policies[0].per_task(parameters, observation)
    assert together.shape == (3, 2, 5, policies[0].head.outputs)
    for i, policy in enumerate(policies):
        torch.testing.assert_close(together[i], policy(observation[i]))
