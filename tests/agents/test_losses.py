from __future__ import annotations

import torch

from sim2real.agents.losses import actor_loss, critic_loss, masked_mean, polyak_, smoothed_action, td_target


def test_masked_mean_divides_by_what_counts() -> None:
    x = torch.tensor([[1.0, 3.0, 100.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0]])
    assert float(masked_mean(x, mask)) == 2.0  # (1 + 3) / 2


def test_td_target_takes_the_smaller_head_and_clips() -> None:
    reward = torch.tensor([-1.0, 0.0, -1.0])
    next_q = torch.tensor([[-10.0, 5.0, -80.0], [-20.0, 3.0, -60.0]])
    # gamma 0.9: -1 + 0.9 * -20 = -19 -> clipped at -1 / 0.1 = -10; 0 + 0.9 * 3 = 2.7 -> 0; -73 -> -10
    torch.testing.assert_close(td_target(reward, next_q, gamma=0.9), torch.tensor([-10.0, 0.0, -10.0]))
    # gamma 0.98: -1 + 0.98 * -20 = -20.6; 0; -1 + 0.98 * -80 = -79.4 -> -50
    torch.testing.assert_close(td_target(reward, next_q, gamma=0.98), torch.tensor([-20.6, 0.0, -50.0]))


def test_td_target_discounts_by_the_steps_that_the_reward_sums_up() -> None:
    reward, next_q = torch.tensor([-2.71, -1.9]), torch.tensor([[-5.0, -5.0]])
    # gamma 0.9 after three steps: -2.71 + 0.729 * -5; after two: -1.9 + 0.81 * -5
    target = td_target(reward, next_q, gamma=0.9, steps=torch.tensor([3, 2]))
    torch.testing.assert_close(target, torch.tensor([-6.355, -5.95]))


def test_smoothed_action_clips_noise_then_action() -> None:
    action = torch.tensor([0.0, 0.9, -0.2])
    noise = torch.tensor([0.8, 0.3, -0.1])
    # noise clipped to 0.5: 0.5; 0.9 + 0.3 -> 1; -0.3
    torch.testing.assert_close(smoothed_action(action, noise, clip=0.5), torch.tensor([0.5, 1.0, -0.3]))


def test_critic_loss_sums_heads_over_unmasked_steps() -> None:
    q = torch.tensor([[[[1.0], [9.0]]], [[[3.0], [9.0]]]])  # [2 heads, B=1, K=2, n=1]
    target = torch.zeros(1, 2, 1)
    mask = torch.tensor([[[1.0], [0.0]]])
    assert float(critic_loss(q, target, mask)) == 10.0  # 1 + 9


def test_actor_loss_by_hand() -> None:
    q = torch.tensor([[[-4.0]]])
    action = torch.tensor([[[[0.5, -0.5]]]])
    # 4 + 2 * mean(0.25, 0.25)
    assert float(actor_loss(q, action, torch.ones(1, 1, 1), action_l2=2.0)) == 4.5


def test_polyak_moves_a_share() -> None:
    target, source = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    torch.nn.init.constant_(target.weight, 1.0)
    torch.nn.init.constant_(source.weight, 3.0)
    polyak_(target, source, tau=0.25)
    assert float(target.weight.detach()) == 1.5  # 0.75 * 1 + 0.25 * 3
    assert float(source.weight.detach()) == 3.0
