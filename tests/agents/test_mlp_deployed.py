from __future__ import annotations

import torch

from sim2real.agents.mlp_deployed import TaskPolicy
from sim2real.agents.mlp_policy import MLPPolicy
from sim2real.meta_rl_types import FamilySpec, numbered


@torch.no_grad()
def test_it_takes_the_most_likely_action() -> None:
    observation = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    real = FamilySpec("real", 2, "gaussian", 1, 5, action_low=(-0.5,), action_high=(0.5,))
    choice = FamilySpec("choice", 2, "discrete", 3, 5)
    for task in (real, choice):
        net = MLPPolicy(task, (8,), "tanh", 1.0)
        deployed = TaskPolicy(net, task, numbered(task))
        action, memory = deployed.step(observation, ())
        expected = net.head.mode(net(observation))
        taken = deployed.decide.taken(action)
        torch.testing.assert_close(taken, expected if task is choice else expected.clamp(-0.5, 0.5))
        assert memory == () and [term.name for term in deployed.input_terms()] == ["observation"]
