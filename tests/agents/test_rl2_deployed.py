"""RL² step by step, as it is exported, against the trials that it plays in training's form."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from sim2real.agents.rl2_config import RL2Config
from sim2real.agents.rl2_deployed import TrialPolicy
from sim2real.agents.rl2_networks import RL2Policy
from sim2real.agents.trials import Trials
from sim2real.envs.bandits import Bandits
from sim2real.envs.navigation import Navigation
from sim2real.envs.tabular_mdps import TabularMDPs
from sim2real.errors import UserError
from sim2real.meta_rl_types import TaskFamily, interface_of, numbered
from sim2real.played_bundles import trial_readings
from sim2real.seeding import seeded_weights, torch_generator
from tests.agents.counting_family import Counting


def make(family: TaskFamily, **options: Any) -> RL2Policy:
    """An untrained policy whose actions differ from step to step."""
    with seeded_weights(0):
        policy = RL2Policy(RL2Config(embedding=12, hidden=16, **options), family.task)
        torch.nn.init.normal_(policy.last.weight, std=3.0)
        torch.nn.init.normal_(policy.memory.embed.weight)
    if policy.normalize is not None:
        policy.normalize.update(2 + 3 * torch.randn(40, family.task.observation, generator=torch_generator(0, "seen")))
    with torch.no_grad():  # without what all steps have in common, which would always win
        policy.last.bias.sub_(played(policy, family).outputs.mean((0, 1))[: family.task.action])
    return policy.eval()


def played(policy: RL2Policy, family: TaskFamily, tasks: int = 3) -> Trials:
    """Trials with the most likely actions."""
    drawn = family.sample(tasks, torch_generator(0, "tasks"))
    return policy.play(family, drawn, torch_generator(0, "luck"), mode=True)


CASES: dict[str, tuple[TaskFamily, dict[str, Any]]] = {
    "choices": (Bandits(4, 6), {}),
    "transition": (TabularMDPs(3), {"transition": True}),
    "normalised": (Counting(), {"normalize": True, "transition": True}),
}


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_a_trial_step_by_step_is_the_trial_that_is_played(case: str) -> None:
    family, options = CASES[case]
    policy = make(family, **options)
    trials = played(policy, family)
    assert trials.action.float().std() > 0  # a policy of one choice would repeat anything
    deployed = TrialPolicy(policy, interface_of(family))
    readings, size = torch.from_numpy(trial_readings(trials.inputs, family.task)), family.task.observation
    action, memory = torch.zeros(3, family.task.action), deployed.zero_state_tensors(3)
    for t in range(readings.shape[1]):
        action, memory = deployed.step(readings[:, t, :size], readings[:, t, size:], action, memory)
        assert torch.equal(deployed.decide.taken(action), trials.action[:, t]), t


@torch.no_grad()
def test_means_are_sent_within_the_limits() -> None:
    family = Navigation(horizon=5, unit_actions=False)
    policy = make(family)
    policy.last.weight.mul_(torch.tensor([[1.0], [0.02]]))
    policy.last.bias.mul_(torch.tensor([1.0, 0.02]))
    deployed = TrialPolicy(policy, interface_of(family))
    outcome, previous = torch.tensor([[-0.7, 0.0]]), torch.tensor([[0.5, -1.0]])
    observation, memory = torch.tensor([[0.2, -0.1]]), deployed.zero_state_tensors(1)
    action, _ = deployed.step(observation, outcome, previous, memory)
    # What is sent is in units of the limit, 0.1; what the network reads is not.
    mean, _ = policy.advance(torch.cat([observation, 0.1 * previous, outcome], -1), memory)
    assert mean.abs().max() > 0.1 > mean.abs().min()  # one is cut, one is not
    torch.testing.assert_close(action, (mean / 0.1).clamp(-1, 1))


def test_terms_horizon_and_memory() -> None:
    deployed = TrialPolicy(make(Counting(), transition=True), interface_of(Counting()))
    terms = {term.name: (term.source, len(term.elements)) for term in deployed.input_terms()}
    assert terms == {"observation": ("task", 2), "outcome": ("task", 2), "previous_action": ("feedback", 3)}
    assert deployed.spec.horizon == 12  # 3 episodes of 4 steps
    assert deployed.export_state_names() == ("h", "seen")
    assert [tuple(part.shape) for part in deployed.zero_state_tensors(5)] == [(1, 5, 16), (1, 5, 4)]
    assert TrialPolicy(make(Counting()), interface_of(Counting())).export_state_names() == ("h",)


def test_limits_that_are_not_symmetric_are_refused() -> None:
    policy = make(Navigation())
    task = dataclasses.replace(policy.task, action_low=(0.0, -1.0))
    with pytest.raises(UserError, match=r"navigation.s actions are not symmetric around 0 .*\[0.5, 0.0\]"):
        TrialPolicy(policy, numbered(task))
