"""The update rule that the LSTM meta-learner learns (Ravi & Larochelle 2017, "Optimization as a Model for Few-Shot
Learning", sections 3.2 to 3.4): the cell state of an LSTM is a parameter of the learner.

    theta_t = f_t * theta_{t-1} - i_t * grad_t
    i_t = sigmoid(W_I [h_t, theta_{t-1}, i_{t-1}] + b_I),   f_t = sigmoid(W_F [h_t, theta_{t-1}, f_{t-1}] + b_F)

where h_t is an ordinary LSTM's reading of loss and gradient. One rule serves all coordinates, each with a state of its
own. As in the authors' code the carried f and i are those before the sigmoid.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn


def preprocess(x: Tensor, p: float = 10.0) -> Tensor:
    """Sizes and signs of numbers of any magnitude, appendix A.1: [P] -> [2, P].

    (log|x| / p, sign x) where |x| >= e^-p, else (-1, e^p x).
    """
    size = x.abs()
    large = size >= math.exp(-p)
    log = size.clamp(min=math.exp(-p)).log() / p
    return torch.stack([torch.where(large, log, -1.0), torch.where(large, x.sign(), math.exp(p) * x)])


class RuleState(NamedTuple):
    """What the rule carries from one update to the next, for P coordinates."""

    hidden: Tensor
    """[H, P]"""
    cell: Tensor
    """[H, P]"""
    forget: Tensor
    """[P] the last f before its sigmoid."""
    input: Tensor
    """[P] the last i before its sigmoid."""


class LearnedOptimizer(nn.Module):
    """One step of the rule for P coordinates at once.

    Starts as slow gradient descent: all weights U(-0.01, 0.01), b_F in U(4, 5), b_I in ``input_bias``. The LSTM is
    written out with coordinates along the last axis, which on a CPU takes two thirds of ``nn.LSTMCell``'s time.
    """

    def __init__(self, units: int = 20, *, input_bias: tuple[float, float] = (-5.0, -4.0)) -> None:
        super().__init__()
        self.units = units
        self.weight = _uniform(4 * units, 4 + units)
        """Rows: input, forget and output gate, candidate; columns: loss (2), gradient (2), h."""
        self.bias = _uniform(4 * units, 1)
        self.forget_weight, self.input_weight = _uniform(1, units), _uniform(1, units)
        self.forget_own, self.input_own = _uniform(2), _uniform(2)
        """Weights of theta and of the gate before."""
        self.forget_bias = _uniform(1, low=4.0, high=5.0)
        self.input_bias = _uniform(1, low=input_bias[0], high=input_bias[1])

    def initial_state(self, theta: Tensor) -> RuleState:
        """Zeros for the coordinates ``theta [P]``."""
        zeros = theta.new_zeros((self.units, len(theta)))
        return RuleState(zeros, zeros, torch.zeros_like(theta), torch.zeros_like(theta))

    def forward(self, theta: Tensor, gradient: Tensor, loss: Tensor, state: RuleState) -> tuple[Tensor, RuleState]:
        """theta [P], its gradient [P] and the loss [P] (each coordinate's own task's) -> the next theta [P].

        Gradient and loss are taken as constants: the dashed arrows of figure 1, no second derivatives.
        """
        gradient, loss = gradient.detach(), loss.detach()
        inputs = torch.cat([preprocess(loss), preprocess(gradient), state.hidden])
        sums = torch.addmm(self.bias, self.weight, inputs)
        gates, candidate = torch.split_with_sizes(sums, [3 * self.units, self.units])
        i, f, o = gates.sigmoid().chunk(3)
        cell = f * state.cell + i * candidate.tanh()
        hidden = o * cell.tanh()
        forget = (self.forget_weight @ hidden)[0] + self.forget_own[0] * theta + self.forget_own[1] * state.forget
        keep = (self.input_weight @ hidden)[0] + self.input_own[0] * theta + self.input_own[1] * state.input
        new = RuleState(hidden, cell, forget + self.forget_bias, keep + self.input_bias)
        return new.forget.sigmoid() * theta - new.input.sigmoid() * gradient, new


def _uniform(*shape: int, low: float = -0.01, high: float = 0.01) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(low, high))
