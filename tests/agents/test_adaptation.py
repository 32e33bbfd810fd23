from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sim2real.agents.adaptation import (
    AdaptationConfig,
    AdaptivePolicy,
    InnerLoss,
    PolicyConfig,
    ReturnConfig,
    advantages,
    inner_loss,
)
from sim2real.agents.advantages import generalized_advantages
from sim2real.agents.functional import for_tasks
from sim2real.envs.navigation import Navigation
from sim2real.meta_rl_types import Trajectories

FORMS: list[InnerLoss] = ["log_likelihood", "likelihood_ratio", "dice"]


def adaptive(**test: object) -> AdaptivePolicy:
    torch.manual_seed(0)
    options = AdaptationConfig(**{"rollouts": 3, **test})  # type: ignore[arg-type]
    return AdaptivePolicy(Navigation(horizon=5).task, PolicyConfig(hidden=(8,)), ReturnConfig(), options)


def trajectories_of(policy: AdaptivePolicy, tasks: int = 4, rollouts: int = 6) -> Trajectories:
    family, generator = Navigation(horizon=5), torch.Generator().manual_seed(1)
    goals = family.sample(tasks, generator)
    return policy.rollout(family, goals, rollouts, for_tasks(policy.net.parameter_dict(), tasks), generator)


def test_a_baseline_takes_the_variance_away() -> None:
    """Returns 1000, 1001, 1002 against what is left of them without their mean."""
    log_prob = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    returns = torch.tensor([1000.0, 1001.0, 1002.0], dtype=torch.float64)
    baseline = returns.mean().expand(3)
    advantage = generalized_advantages(returns[:, None], baseline[:, None], discount=0.99, trace=1.0)[:, 0]
    assert advantage.tolist() == [-1.0, 0.0, 1.0]
    assert float((log_prob * returns).var()) == pytest.approx(23286.8, abs=0.05)
    assert float((log_prob * advantage).var()) == pytest.approx(0.1633, abs=5e-5)
    assert float((log_prob * -advantage).var()) == pytest.approx(0.1633, abs=5e-5)


def test_advantages_are_standardised_within_each_task() -> None:
    t = trajectories_of(adaptive())
    advantage = advantages(t, ReturnConfig())
    count = t.mask.sum((1, 2))
    torch.testing.assert_close((advantage * t.mask).sum((1, 2)) / count, torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close((advantage.square() * t.mask).sum((1, 2)) / count, torch.ones(4), atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_all_inner_losses_have_the_policy_gradient_at_the_sampling_policy(form: InnerLoss) -> None:
    policy = adaptive()
    t = trajectories_of(policy)
    advantage = advantages(t, policy.returns)
    log_prob = t.log_prob.clone().requires_grad_()
    (g,) = torch.autograd.grad(inner_loss(log_prob, t, advantage, form).sum(), log_prob)
    torch.testing.assert_close(g, -advantage * t.mask / t.mask.sum((1, 2), keepdim=True))


def enumerated(theta: Tensor, form: InnerLoss) -> Tensor:
    """Expected inner loss over all four runs of two choices, each made with probability sigmoid(theta) for 1.

    The return is 1 for (1, 0), 3 for (1, 1) and 0 otherwise; step rewards 1 for the first 1 and 2 for a 1 after it.
    """
    choices = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    log_prob = choices * torch.nn.functional.logsigmoid(theta) + (1 - choices) * torch.nn.functional.logsigmoid(-theta)
    reward = torch.stack([choices[:, 0], 2 * choices[:, 0] * choices[:, 1]], -1)
    to_go = torch.stack([reward.sum(-1), reward[:, 1]], -1)
    old = log_prob.detach()[:, None]
    runs = Trajectories(choices[:, None, :, None], choices[:, None], reward[:, None], torch.ones_like(old), old)
    # A mean over two steps for every run; the objective is their sum.
    return 2 * (old.sum((1, 2)).exp() * inner_loss(log_prob[:, None], runs, to_go[:, None], form)).sum()


def second_derivative(theta: Tensor, form: InnerLoss) -> float:
    (slope,) = torch.autograd.grad(enumerated(theta, form), theta, create_graph=True)
    p = torch.sigmoid(theta.detach())
    # J = p + 2 p^2, so dJ/dtheta = (1 + 4 p) p (1 - p).
    assert float(-slope.detach()) == pytest.approx(float((1 + 4 * p) * p * (1 - p)))
    return -float(torch.autograd.grad(slope, theta)[0])


def test_only_dice_has_the_second_derivative_of_the_objective() -> None:
    theta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    p = float(torch.sigmoid(theta.detach()))
    # d/dp [(1 + 4 p) (p - p^2)] = 1 + 6 p - 12 p^2, times dp/dtheta = p (1 - p)
    exact = (1 + 6 * p - 12 * p**2) * p * (1 - p)
    assert second_derivative(theta, "dice") == pytest.approx(exact)
    assert abs(second_derivative(theta, "log_likelihood") - exact) > 0.1
    # The ratio corrects for every step's own action: closer, not exact.
    ratio = second_derivative(theta, "likelihood_ratio")
    assert 1e-3 < abs(ratio - exact) < abs(second_derivative(theta, "log_likelihood") - exact)


def loop_adapt(policy: AdaptivePolicy, t: Trajectories, rate: float) -> list[dict[str, Tensor]]:
    """One task after the other, by hand: its own module call, its own backward pass."""
    advantage = advantages(t, policy.returns)
    found = []
    for i in range(len(t.reward)):
        parameters = {name: p.clone().requires_grad_() for name, p in policy.net.parameter_dict().items()}
        outputs = torch.func.functional_call(policy.net, parameters, (t.observation[i],))
        log_prob = policy.net.head.log_prob(outputs, t.action[i])
        loss = -(log_prob * advantage[i] * t.mask[i]).sum() / t.mask[i].sum()
        slopes = torch.autograd.grad(loss, list(parameters.values()))
        found.append({n: (p - rate * g).detach() for (n, p), g in zip(parameters.items(), slopes, strict=True)})
    return found


def test_adapting_all_tasks_at_once_is_adapting_one_after_the_other() -> None:
    policy = adaptive()
    t = trajectories_of(policy)
    at_once = policy.adapt(t, for_tasks(policy.net.parameter_dict(), 4), 0.5)
    for i, alone in enumerate(loop_adapt(policy, t, 0.5)):
        for name, value in alone.items():
            torch.testing.assert_close(at_once[name][i], value, atol=1e-6, rtol=0)
            assert name == "layers.0.bias" or not torch.equal(at_once[name][0], at_once[name][1])


def test_meeting_a_task_measures_before_and_after_every_step() -> None:
    policy = adaptive(rates=(0.1, 0.05))
    family = Navigation(horizon=5)
    goals = family.sample(4, torch.Generator().manual_seed(2))
    outcomes = policy.meet(family, goals, torch.Generator().manual_seed(3))
    assert list(outcomes) == ["step_0", "step_1", "step_2"]
    assert outcomes["step_2"]["return"].shape == (4,)
    again = policy.meet(family, goals, torch.Generator().manual_seed(3))
    assert torch.equal(again["step_2"]["return"], outcomes["step_2"]["return"])
    # The first measurement is of the policy as it is.
    generator = torch.Generator().manual_seed(3)
    t = policy.rollout(family, goals, 3, for_tasks(policy.net.parameter_dict(), 4), generator)
    torch.testing.assert_close(outcomes["step_0"]["return"], t.returns.mean(1))


def test_episodes_are_those_of_each_step() -> None:
    policy, family = adaptive(), Navigation(horizon=5)
    asked: list[int] = []

    class Spy(Navigation):
        def batch(self, tasks: Tensor, rollouts: int, generator: torch.Generator):  # type: ignore[no-untyped-def]
            asked.append(rollouts)
            return super().batch(tasks, rollouts, generator)

    goals = family.sample(2, torch.Generator().manual_seed(2))
    policy.meet(Spy(horizon=5), goals, torch.Generator().manual_seed(3), episodes=7)
    policy.meet(Spy(horizon=5), goals, torch.Generator().manual_seed(3))
    assert asked == [7] * 4 + [3] * 4


@pytest.mark.parametrize("options", [{"rollouts": 0}, {"headline": 4}])
def test_test_settings_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="has to be"):
        AdaptationConfig(**options)  # type: ignore[arg-type]


def test_pieces_of_a_batch_adapt_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = adaptive()
    t = trajectories_of(policy, tasks=5)
    start = for_tasks(policy.net.parameter_dict(), 5)
    whole = policy.adapt(t, start, 0.5)
    monkeypatch.setattr("sim2real.agents.adaptation.ROWS", 2 * t.reward[0].numel() + 1)  # pieces of 2, 2 and 1 tasks
    in_pieces = policy.adapt(t, start, 0.5)
    for name, value in whole.items():
        torch.testing.assert_close(in_pieces[name], value, atol=1e-7, rtol=0)
