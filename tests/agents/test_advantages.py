from __future__ import annotations

import torch

from sim2real.agents.advantages import (
    baseline_features,
    discounted_returns,
    generalized_advantages,
    linear_baseline,
    standardize,
)


def test_discounted_returns_by_hand() -> None:
    # G_2 = 3; G_1 = 2 + 0.5 * 3 = 3.5; G_0 = 1 + 0.5 * 3.5 = 2.75
    reward = torch.tensor([[1.0, 2.0, 3.0]])
    torch.testing.assert_close(discounted_returns(reward, discount=0.5), torch.tensor([[2.75, 3.5, 3.0]]))


def test_generalized_advantages_by_hand() -> None:
    # deltas with discount 0.5: 1 + 0.5 * 2 - 4 = -2; 1 + 0.5 * 6 - 2 = 2; 1 - 6 = -5
    # with trace 0.5, factor 0.25: A_2 = -5; A_1 = 2 - 1.25 = 0.75; A_0 = -2 + 0.1875 = -1.8125
    reward, value = torch.ones(3), torch.tensor([4.0, 2.0, 6.0])
    advantage = generalized_advantages(reward, value, discount=0.5, trace=0.5)
    torch.testing.assert_close(advantage, torch.tensor([-1.8125, 0.75, -5.0]))


def test_trace_one_is_return_minus_value() -> None:
    generator = torch.Generator().manual_seed(0)
    reward = torch.rand(2, 3, 7, generator=generator, dtype=torch.float64)
    value = torch.rand(2, 3, 7, generator=generator, dtype=torch.float64)
    advantage = generalized_advantages(reward, value, discount=0.9, trace=1.0)
    torch.testing.assert_close(advantage, discounted_returns(reward, discount=0.9) - value)


def test_the_padding_changes_no_advantage() -> None:
    reward, value = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.25])
    padded = generalized_advantages(
        torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.5, 0.25, 0.0]), discount=0.9, trace=0.8
    )
    expected = generalized_advantages(reward, value, discount=0.9, trace=0.8)
    torch.testing.assert_close(padded, torch.cat([expected, torch.zeros(1)]))


def test_standardize_by_hand() -> None:
    # 1 and 3 count: mean 2, deviation 1
    x, mask = torch.tensor([[1.0, 3.0, 50.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    torch.testing.assert_close(standardize(x, mask, dims=(1,)), torch.tensor([[-1.0, 1.0, 0.0]]))


def test_features_by_hand() -> None:
    observation = torch.tensor([[2.0], [-20.0]])
    expected = torch.tensor([[2.0, 4.0, 0.0, 0.0, 0.0, 1.0], [-10.0, 100.0, 0.01, 0.0001, 0.000001, 1.0]])
    torch.testing.assert_close(baseline_features(observation), expected)


def test_the_baseline_is_fitted_for_every_task_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    observation = torch.randn(2, 30, 10, 3, generator=generator, dtype=torch.float64)
    mask = torch.ones(2, 30, 10, dtype=torch.float64)
    mask[0, :, 7:] = 0
    t = torch.arange(10, dtype=torch.float64) / 100
    returns = torch.stack([3 * observation[0, ..., 1] + t, 5 - observation[1, ..., 2] ** 2])
    value = linear_baseline(observation, returns, mask)
    torch.testing.assert_close(value, returns * mask, atol=1e-4, rtol=0)  # the ridge pulls a little

    alone = linear_baseline(observation[1:], returns[1:], mask[1:])
    torch.testing.assert_close(value[1:], alone)


def test_the_ridge_is_what_the_closed_form_says() -> None:
    observation = torch.zeros(1, 1, 2, 1, dtype=torch.float64)
    mask = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    returns = torch.tensor([[[2.0, 9.0]]], dtype=torch.float64)
    # One step counts, its features are (0, 0, 0, 0, 0, 1): the weight is 2 / (1 + ridge).
    value = linear_baseline(observation, returns, mask, ridge=1.0)
    torch.testing.assert_close(value, torch.tensor([[[1.0, 0.0]]], dtype=torch.float64))
