"""The learned update rule: gradient descent as a special case, and what gradients may pass."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from sim2real.agents.learned_optimizer import LearnedOptimizer, RuleState, preprocess


def test_preprocessing_by_hand() -> None:
    x = torch.tensor([1.0, -math.exp(-5), 0.0, math.exp(-10) / 2, -math.exp(-10) / 4])
    sizes, signs = preprocess(x)
    assert_close(sizes, torch.tensor([0.0, -0.5, -1.0, -1.0, -1.0]))
    assert_close(signs, torch.tensor([1.0, -1.0, 0.0, 0.5, -0.25]))


def gradient_descent(rate: float) -> LearnedOptimizer:
    """The rule with b_F -> +inf, b_I fixed, and no weights on what it reads."""
    rule = LearnedOptimizer(4).double()
    for name, parameter in rule.named_parameters():
        if name not in ("weight", "bias"):
            nn.init.zeros_(parameter)
    nn.init.constant_(rule.forget_bias, 50.0)
    nn.init.constant_(rule.input_bias, math.log(rate / (1 - rate)))
    return rule


def test_an_open_forget_gate_and_a_fixed_input_gate_are_gradient_descent() -> None:
    rule = gradient_descent(0.1)
    scale = torch.tensor([1.0, 3.0], dtype=torch.float64)
    theta = by_hand = torch.tensor([2.0, -1.0], dtype=torch.float64)
    state = rule.initial_state(theta)
    for _ in range(5):
        loss = (scale * theta.square()).sum().expand(2)
        theta, state = rule(theta, 2 * scale * theta, loss, state)
        by_hand = by_hand - 0.1 * 2 * scale * by_hand
    assert_close(theta, by_hand, rtol=0, atol=1e-12)


def test_one_update_by_hand() -> None:
    # One unit, all weights on h zero: f = sigmoid(0.5 theta + 0.25 f_before + 1), i = sigmoid(2 i_before - 1).
    rule = gradient_descent(0.5).float()
    nn.init.zeros_(rule.weight)
    with torch.no_grad():
        rule.forget_own.copy_(torch.tensor([0.5, 0.25]))
        rule.forget_bias.fill_(1.0)
        rule.input_own.copy_(torch.tensor([0.0, 2.0]))
        rule.input_bias.fill_(-1.0)
    theta, before = torch.tensor([2.0]), torch.tensor([4.0])
    zeros = torch.zeros(4, 1)
    new, state = rule(theta, torch.tensor([3.0]), torch.tensor([1.0]), RuleState(zeros, zeros, before, before))
    # The carried gates are those before the sigmoid: 0.5 * 2 + 0.25 * 4 + 1 = 3 and 2 * 4 - 1 = 7.
    assert_close((state.forget, state.input), (torch.tensor([3.0]), torch.tensor([7.0])))
    sigmoid = [1 / (1 + math.exp(-x)) for x in (3.0, 7.0)]
    assert_close(new, torch.tensor([sigmoid[0] * 2 - sigmoid[1] * 3]))


def test_the_reader_is_an_ordinary_lstm() -> None:
    torch.manual_seed(0)
    rule, cell = LearnedOptimizer(3), nn.LSTMCell(4, 3)
    nn.init.normal_(rule.weight)
    i, f, o, g = rule.weight.detach().chunk(4)  # torch orders input, forget, candidate, output
    weight, bias = torch.cat([i, f, g, o]), rule.bias.detach()[:, 0]
    bias = torch.cat([*bias.chunk(4)[:2], bias.chunk(4)[3], bias.chunk(4)[2]])
    cell.load_state_dict(
        {"weight_ih": weight[:, :4], "weight_hh": weight[:, 4:], "bias_ih": bias, "bias_hh": torch.zeros(12)}
    )
    gradient, loss, theta = torch.randn(5), torch.rand(1).expand(5), torch.randn(5)
    state = rule.initial_state(theta)
    hidden = None
    for _ in range(2):
        _, state = rule(theta, gradient, loss, state)
        hidden = cell(torch.cat([preprocess(loss), preprocess(gradient)]).T, hidden)
    assert_close((state.hidden.T, state.cell.T), hidden)


def test_coordinates_share_the_rule_and_nothing_else() -> None:
    rule = LearnedOptimizer()
    theta, gradient, loss = torch.randn(4), torch.randn(4), torch.rand(4)
    together, _ = rule(theta, gradient, loss, rule.initial_state(theta))
    order = torch.tensor([2, 0, 3, 1])
    shuffled, _ = rule(theta[order], gradient[order], loss[order], rule.initial_state(theta))
    assert_close(shuffled, together[order])


def test_no_gradient_passes_through_the_learners_gradient_or_loss() -> None:
    rule = LearnedOptimizer()
    theta, gradient, loss = (torch.rand(3, requires_grad=True) for _ in range(3))
    new, _ = rule(theta, gradient, loss, rule.initial_state(theta))
    slopes = torch.autograd.grad(new.sum(), [theta, gradient, loss], allow_unused=True)
    assert [slope is None for slope in slopes] == [False, True, True]


@pytest.mark.parametrize("seed", range(3))
def test_it_starts_as_slow_gradient_descent(seed: int) -> None:
    torch.manual_seed(seed)
    rule = LearnedOptimizer()

    def next_theta(theta: Tensor, gradient: Tensor) -> Tensor:
        new, _ = rule(theta, gradient, torch.ones(1), rule.initial_state(theta))
        return new.detach()  # type: ignore[no-any-return]

    kept, moved = next_theta(torch.ones(1), torch.zeros(1)), next_theta(torch.zeros(1), torch.ones(1))
    assert 0.98 < float(kept) < 0.994 and -0.019 < float(moved) < -0.0065  # sigmoid of 4 .. 5 and of -5 .. -4
