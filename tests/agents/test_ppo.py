from __future__ import annotations

import math

import torch
from torch.nn import functional

from sim2real.agents.ppo import clipped_surrogate, surrogate, task_means, value_loss

ONES = torch.ones(1, 1, 4)
RATIO = torch.tensor([[[1.5, 1.5, 0.5, 0.5]]])
ADVANTAGE = torch.tensor([[[1.0, -1.0, 1.0, -1.0]]])


def test_surrogate_by_hand() -> None:
    # ratios 1.5 and 0.5, advantages 2 and 4, and one step of padding: -(3 + 2) / 2
    log_prob = torch.tensor([[[math.log(1.5), math.log(0.5), 3.0]]])
    advantage, mask = torch.tensor([[[2.0, 4.0, 100.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]])
    loss = surrogate(log_prob, torch.zeros(1, 1, 3), advantage, mask)
    torch.testing.assert_close(loss, torch.tensor(-2.5))


def test_clipped_surrogate_by_hand() -> None:
    # clip 0.2: min(1.5, 1.2) = 1.2; min(-1.5, -1.2) = -1.5; min(0.5, 0.8) = 0.5; min(-0.5, -0.8) = -0.8
    loss = clipped_surrogate(RATIO.log(), torch.zeros(1, 1, 4), ADVANTAGE, ONES, clip=0.2)
    torch.testing.assert_close(loss, torch.tensor(-(1.2 - 1.5 + 0.5 - 0.8) / 4))


def test_no_gradient_where_the_clip_holds() -> None:
    log_prob = RATIO.log().requires_grad_()
    clipped_surrogate(log_prob, torch.zeros(1, 1, 4), ADVANTAGE, ONES, clip=0.2).backward()  # type: ignore[no-untyped-call]
    assert log_prob.grad is not None
    assert (log_prob.grad == 0).flatten().tolist() == [True, False, False, True]


def test_agrees_with_the_formula_of_stable_baselines3() -> None:
    """The lines of ``stable_baselines3.PPO.train``: ``policy_loss`` and ``value_loss``, no value clipping."""
    generator = torch.Generator().manual_seed(0)
    log_prob, old, advantages, values, returns = torch.randn(5, 1, 4, 16, generator=generator, dtype=torch.float64)
    ratio = torch.exp(log_prob - old)
    policy_loss_1 = advantages * ratio
    policy_loss_2 = advantages * torch.clamp(ratio, 1 - 0.3, 1 + 0.3)
    expected = -torch.min(policy_loss_1, policy_loss_2).mean()
    mask = torch.ones(1, 4, 16, dtype=torch.float64)
    torch.testing.assert_close(clipped_surrogate(log_prob, old, advantages, mask, clip=0.3), expected)
    torch.testing.assert_close(value_loss(values, returns, mask), functional.mse_loss(returns, values))


def test_tasks_count_alike_however_long_their_episodes_are() -> None:
    x = torch.tensor([[[1.0, 3.0]], [[8.0, 100.0]]])
    mask = torch.tensor([[[1.0, 1.0]], [[1.0, 0.0]]])
    assert task_means(x, mask).tolist() == [2.0, 8.0]
    assert float(value_loss(x, torch.zeros(2, 1, 2), mask)) == (5.0 + 64.0) / 2  # (1 + 9) / 2 and 64
