from __future__ import annotations

import pytest
import torch

from sim2real.agents.descent import annealed, descend


def parameter(*values: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values))


def test_a_step_goes_down_the_gradient() -> None:
    p = parameter(1.0, -2.0)
    descend(torch.optim.SGD([p], lr=0.1), (p.square() / 2).sum(), max_norm=None)
    torch.testing.assert_close(p.detach(), torch.tensor([0.9, -1.8]))


def test_a_long_gradient_is_shortened_over_all_parameters_together() -> None:
    a, b = parameter(0.0), parameter(0.0)
    descend(torch.optim.SGD([a, b], lr=1.0), (3 * a + 4 * b).sum(), max_norm=1.0)  # its length is 5
    torch.testing.assert_close(torch.stack([a[0], b[0]]).detach(), torch.tensor([-0.6, -0.8]))


def test_parameters_of_others_get_no_gradient_and_unused_ones_stay() -> None:
    own, unused, judge = parameter(1.0), parameter(5.0), parameter(2.0)
    optimizer = torch.optim.SGD([own, unused], lr=0.5)
    unused.grad = torch.ones(1)  # left from a step before
    descend(optimizer, (judge * own).sum(), max_norm=10.0)
    assert (own.item(), unused.item(), judge.item()) == (0.0, 5.0, 2.0)
    assert judge.grad is None


def test_the_rate_falls_to_a_hundredth_along_half_a_cosine() -> None:
    # Halfway: 0.01 + 0.99 / 2.
    assert [annealed(n, 1000) for n in (0, 500, 1000, 9999)] == pytest.approx([1.0, 0.505, 0.01, 0.01])
    assert annealed(9999, 0) == 1.0
