from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sim2real.agents.controller import Controller
from sim2real.search_types import SearchSpec
from tests.search_toys import SKIPS, TWO


def controller(spec: SearchSpec, *, seed: int = 0, init: float = 0.08) -> Controller:
    torch.manual_seed(seed)
    return Controller(spec, units=5, layers=2, init=init)


def everything(spec: SearchSpec) -> torch.Tensor:
    return torch.cartesian_prod(*(torch.arange(token.size) for token in spec.tokens))


def test_weights_start_in_the_papers_range() -> None:
    values = torch.cat([p.detach().flatten() for p in controller(SKIPS).parameters()])
    assert float(values.abs().max()) <= 0.08 and float(values.std()) == pytest.approx(0.08 / math.sqrt(3), rel=0.05)


def test_equal_logits_give_the_probabilities_worked_by_hand() -> None:
    silent = controller(SKIPS, init=0.0)
    log_prob, entropy = silent.log_prob(torch.tensor([[1, 0, 0, 1, 1, 2]]))
    # Widths: 1/2 each. Anchors: one fair coin for each anchor before, so 0, 1 and 2 coins.
    expected = np.log(2) * np.array([1, 0, 1, 1, 1, 2])
    np.testing.assert_allclose(log_prob[0].detach(), -expected, rtol=1e-6)
    np.testing.assert_allclose(entropy[0].detach(), expected, rtol=1e-6)


def test_a_softmax_and_a_sigmoid_worked_by_hand() -> None:
    model = controller(TWO, init=0.0)
    head = model.heads["second"]
    assert isinstance(head, torch.nn.Linear)
    head.bias.data = torch.tensor([0.0, math.log(2.0), math.log(5.0)])
    log_prob, _ = model.log_prob(torch.tensor([[0, 0], [1, 1], [0, 2]]))
    np.testing.assert_allclose(log_prob.sum(1).exp().detach(), [0.5 / 8, 0.5 * 2 / 8, 0.5 * 5 / 8], rtol=1e-6)


def test_an_anchors_probability_is_the_papers_formula() -> None:
    model = controller(SKIPS, init=0.8)
    h = [torch.linspace(-1, 1, 5)[None], torch.linspace(0.5, -0.2, 5)[None]]
    y = torch.full((1, 5), 0.3)
    v, w_prev, w_curr = model.connect.weight[0], model.previous.weight, model.current.weight
    for j, h_j in enumerate(h):
        expected = torch.dot(v, torch.tanh(w_prev @ h_j[0] + w_curr @ y[0]))
        assert float(model._anchor_logits(y, h)[0, j]) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("spec", [TWO, SKIPS])
def test_the_probabilities_of_all_architectures_add_up_to_one(spec: SearchSpec) -> None:
    log_prob, _ = controller(spec, init=0.8).log_prob(everything(spec))
    assert float(log_prob.sum(1).exp().sum()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("spec", [TWO, SKIPS])
def test_samples_come_as_often_as_their_probability_says(spec: SearchSpec) -> None:
    model = controller(spec, init=0.8)
    n = 20_000
    samples = model.sample(n, torch.Generator().manual_seed(1))
    _, counts = np.unique(samples.numpy(), axis=0, return_counts=True)
    probability = model.log_prob(everything(spec))[0].sum(1).exp().detach().numpy()
    # cartesian_prod and unique order rows alike.
    assert len(counts) == spec.size
    np.testing.assert_allclose(counts / n, probability, atol=4 * 0.5 / math.sqrt(n))


def test_what_was_decided_before_changes_what_comes() -> None:
    log_prob, _ = controller(TWO, init=0.8).log_prob(torch.tensor([[0, 0], [1, 0]]))
    assert float(log_prob[0, 1]) != float(log_prob[1, 1])
