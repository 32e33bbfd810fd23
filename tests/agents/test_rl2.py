from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from sim2real.agents.advantages import discounted_returns
from sim2real.agents.rl2 import RL2
from sim2real.agents.rl2_config import RL2Config
from sim2real.agents.rl2_networks import RL2Policy
from sim2real.envs.bandits import Bandits
from sim2real.envs.navigation import Navigation
from sim2real.envs.tabular_mdps import TabularMDPs
from sim2real.meta_rl_types import TaskFamily
from sim2real.seeding import torch_generator
from tests.agents.counting_family import Counting

SMALL = RL2Config(embedding=16, hidden=16, trials=40, batch_trials=20, epochs=2)


def make(family: TaskFamily, **options: Any) -> RL2:
    return RL2(dataclasses.replace(SMALL, **options), family, seed=0, device="cpu")


def test_step_by_step_is_the_same_as_unrolled() -> None:
    learner = make(TabularMDPs(3))
    learner.collect()
    assert learner._trials is not None
    outputs = learner.policy(learner._trials.inputs)
    assert outputs.std() > 1e-4
    torch.testing.assert_close(outputs, learner._trials.outputs, atol=1e-6, rtol=1e-4)


def test_memory_is_reset_between_trials() -> None:
    learner = make(Bandits(3, 4))
    torch.nn.init.normal_(learner.policy.last.weight)
    tasks = learner.family.sample(5, torch_generator(0, "tasks"))
    one, other = (learner.policy.play(learner.family, tasks, torch_generator(0, "luck")) for _ in range(2))
    assert torch.equal(one.outputs, other.outputs)
    assert not torch.allclose(one.outputs[:, 0], one.outputs[:, 1])  # and kept within one


def test_samples_are_steps_that_happened() -> None:
    learner = make(Counting())
    cost, _ = learner.collect()
    ends = Counting().sample(40, torch_generator(0, "tasks"))
    assert cost == 3 * int(ends.sum())


def test_advantages_reach_over_the_end_of_an_episode() -> None:
    learner = make(Counting(), discount=1.0, trace=1.0)
    learner.collect()
    trials = learner._trials
    assert trials is not None
    torch.nn.init.zeros_(learner.baseline.last.weight)
    advantage, returns = learner._advantages(trials)
    assert torch.equal(returns[:, 0], trials.reward.sum(1))
    # Without a baseline and with lambda = 1 the advantage is the return, standardised over the steps that happened.
    happened = trials.mask.bool()
    expected = (returns - returns[happened].mean()) / returns[happened].std(correction=0)
    torch.testing.assert_close(advantage[happened], expected[happened], atol=1e-4, rtol=1e-4)
    assert not advantage[~happened].any()


def test_steps_after_an_episodes_end_teach_the_policy_nothing() -> None:
    learner, again = make(Counting()), make(Counting())
    for one in (learner, again):
        one.collect()
    assert learner._trials is not None and again._trials is not None
    padding = again._trials.mask == 0
    assert padding.any()
    again._trials.action[padding] = (again._trials.action[padding] + 1) % 3
    learner.update()
    again.update()
    assert all(torch.equal(a, b) for a, b in zip(learner.policy.parameters(), again.policy.parameters(), strict=True))


@pytest.mark.parametrize("outer", ["ppo", "trpo"])
def test_the_policy_moves_and_not_too_far(outer: str) -> None:
    learner = make(Bandits(3, 5), outer=outer, trials=200, batch_trials=50)
    learner.collect()
    metrics = learner.update()
    assert 1e-7 < float(metrics["loss/kl"]) <= (0.01 if outer == "trpo" else 0.1)


def test_the_baseline_predicts_what_is_to_come() -> None:
    learner = make(Counting(), baseline_epochs=30, baseline_learning_rate=0.01)
    for _ in range(8):
        learner.collect()
        error = float(learner.update()["loss/baseline"])
    assert learner._trials is not None
    returns = discounted_returns(learner._trials.reward, discount=0.99)
    predicted = learner.baseline(learner._trials.inputs)
    assert error < 0.1 and float((predicted - returns).detach().square().mean() / returns.var()) < 0.15


def test_actions_may_be_gaussian_and_observations_standardised() -> None:
    learner = make(Navigation(horizon=5), normalize=True)
    for _ in range(2):
        learner.collect()
        metrics = learner.update()
    assert torch.isfinite(torch.as_tensor(float(metrics["loss/policy"])))
    assert learner.policy.log_std is not None and float(learner.policy.log_std.detach().abs().max()) > 0
    assert learner.policy.normalize is not None and learner.policy.normalize.count == 2 * 40 * 5


def test_both_observations_of_a_transition_are_standardised_and_nothing_else() -> None:
    network = make(Navigation(horizon=5), normalize=True, transition=True).policy
    assert network.normalize is not None and network.encode.size == 2 + 2 + 2 + 2
    network.normalize.update(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))  # means 2 and 20, deviations 1 and 10
    inputs = torch.tensor([[4.0, 10.0, 0.5, 0.5, 7.0, 1.0, 1.0, 40.0]])
    assert network._normalized(inputs).tolist() == [[2.0, -1.0, 0.5, 0.5, 7.0, 1.0, -1.0, 2.0]]


def test_an_evaluation_gives_the_trial_and_each_of_its_episodes() -> None:
    policy = RL2Policy(SMALL, TabularMDPs(3).task)
    family = TabularMDPs(3)
    tasks = family.sample(6, torch_generator(0, "tasks"))
    outcomes = policy.meet(family, tasks, torch_generator(0, "luck"))
    assert list(outcomes) == ["trial", "episode_1", "episode_2", "episode_3"]
    total = sum(outcomes[f"episode_{k}"]["return"] for k in (1, 2, 3))
    torch.testing.assert_close(outcomes["trial"]["return"], total)
    assert list(policy.meet(family, tasks, torch_generator(0, "luck"), episodes=1)) == ["trial", "episode_1"]


def test_learning_rates_fall_to_a_hundredth_and_stay_there() -> None:
    learner = make(Bandits(2, 5), anneal_samples=400, learning_rate=0.01)  # 40 trials of 5 pulls: 200 samples a round
    rates = []
    for _ in range(3):
        learner.collect()
        learner.update()
        rates.append(learner.policy_optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.00505, 0.0001, 0.0001])


def test_the_entropy_bonus_falls_with_the_learning_rates() -> None:
    rates = {"learning_rate": 0.001, "baseline_learning_rate": 0.001, "entropy": 0.05}
    steady = make(Bandits(2, 5), **rates)
    annealed = make(Bandits(2, 5), anneal_samples=1, **{name: 100 * value for name, value in rates.items()})
    for learner in (steady, annealed):
        learner.collect()
        learner.update()
    for ours, theirs in zip(steady.policy.parameters(), annealed.policy.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_an_evaluation_may_take_the_most_likely_actions() -> None:
    family = Bandits(3, 4)
    policy = RL2Policy(dataclasses.replace(SMALL, evaluate="mode"), family.task)
    torch.nn.init.normal_(policy.last.weight)
    generator = torch_generator(0, "luck")
    trials = policy.play(family, family.sample(20, torch_generator(0, "tasks")), generator, mode=True)
    assert torch.equal(trials.action, trials.outputs.argmax(-1))


@pytest.mark.parametrize("options", [{"trials": 0}, {"discount": 0.0}, {"trace": 1.5}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        dataclasses.replace(SMALL, **options)


def test_it_learns_to_find_the_better_arm() -> None:
    """Two arms, five pulls: a random player earns 2.5, the best possible 3.0 or so; seconds of training."""
    learner = make(Bandits(2, 5), trials=500, batch_trials=250, epochs=4, learning_rate=3e-3, hidden=32)
    for _ in range(40):
        learner.collect()
        learner.update()
    family = Bandits(2, 5)
    tasks = family.sample(4_000, torch_generator(1, "tasks"))
    earned = learner.policy.meet(family, tasks, torch_generator(1, "luck"))["trial"]["return"].mean()
    assert float(earned) > 2.85
