from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Independent, Normal, kl_divergence

from sim2real.agents.heads import Categorical, Gaussian, Head, head_of
from sim2real.meta_rl_types import FamilySpec


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reference(head: Head, outputs: torch.Tensor) -> torch.distributions.Distribution:
    if isinstance(head, Gaussian):
        mean, log_std = outputs.chunk(2, -1)
        return Independent(Normal(mean, log_std.exp()), 1)
    return TorchCategorical(logits=outputs)


@pytest.mark.parametrize("head", [Gaussian(3), Categorical(4)])
def test_heads_agree_with_torch_distributions(head: Head) -> None:
    old, new = draw(2, 5, head.outputs), draw(2, 5, head.outputs, seed=1)
    action = head.sample(old, torch.Generator().manual_seed(3))
    p, q = reference(head, old), reference(head, new)
    torch.testing.assert_close(head.log_prob(old, action), p.log_prob(action))
    torch.testing.assert_close(head.entropy(old), p.entropy())
    torch.testing.assert_close(head.kl(old, new), kl_divergence(p, q))


def test_gaussian_by_hand() -> None:
    # mean 1, deviation 2, action 3: z = 1, so -(1/2 + ln 2 + ln(2 pi) / 2)
    outputs = torch.tensor([1.0, math.log(2.0)])
    expected = -(0.5 + math.log(2.0) + 0.5 * math.log(2 * math.pi))
    assert float(Gaussian(1).log_prob(outputs, torch.tensor([3.0]))) == pytest.approx(expected)
    assert float(Gaussian(1).mode(outputs)) == 1.0


def test_gaussian_deviations_have_a_floor() -> None:
    head = Gaussian(1, min_std=0.5)
    action = torch.tensor([0.5])
    small, floor = (head.log_prob(torch.tensor([0.0, math.log(s)]), action) for s in (1e-3, 0.5))
    assert float(small) == float(floor)


@pytest.mark.parametrize(
    ("head", "outputs", "mean"),
    [
        (Gaussian(1), torch.tensor([0.7, math.log(0.3)]), 0.7),
        (Categorical(3), torch.tensor([0.2, 0.5, 0.3]).log(), 1.1),
    ],
)
def test_samples_follow_the_distribution(head: Head, outputs: torch.Tensor, mean: float) -> None:
    generator = torch.Generator().manual_seed(0)
    actions = head.sample(outputs.expand(20_000, -1), generator)
    assert float(actions.double().mean()) == pytest.approx(mean, abs=0.02)


def test_samples_repeat_with_the_generator() -> None:
    for head in (Gaussian(2), Categorical(5)):
        a, b = (head.sample(draw(4, head.outputs), torch.Generator().manual_seed(9)) for _ in range(2))
        assert torch.equal(a, b)


def test_the_head_of_a_family() -> None:
    assert head_of(FamilySpec("a", 2, "gaussian", 3, 10)) == Gaussian(3)
    assert head_of(FamilySpec("b", 1, "discrete", 5, 1)) == Categorical(5)


@pytest.mark.parametrize("head", [Gaussian(2), Categorical(3)])
def test_heads_work_under_vmap(head: Head) -> None:
    outputs = draw(3, 4, head.outputs)
    action = head.sample(outputs, torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.vmap(head.log_prob)(outputs, action), head.log_prob(outputs, action))
