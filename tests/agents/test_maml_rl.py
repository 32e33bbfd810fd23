from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from sim2real.agents.adaptation import PolicyConfig
from sim2real.agents.maml_rl import MAMLRL, Loss, MAMLRLConfig, Order, meta_gradient
from sim2real.agents.outer import OuterConfig
from sim2real.envs.navigation import Navigation
from sim2real.meta_rl_types import Parameters

B, N, RATE = 3, 4, 0.1


def quadratics(k: int) -> tuple[list[Tensor], list[Tensor]]:
    """Symmetric matrices [B, N, N] and vectors [B, N] of k inner losses ``x.A.x / 2 + b.x`` and of the query."""
    generator = torch.Generator().manual_seed(k)
    roots = [torch.randn(B, N, N, generator=generator, dtype=torch.float64) for _ in range(k + 1)]
    vectors = [torch.randn(B, N, generator=generator, dtype=torch.float64) for _ in range(k + 1)]
    return [r @ r.mT / N for r in roots], vectors


def quadratic(matrix: Tensor, vector: Tensor) -> Loss:
    def loss(parameters: Parameters) -> Tensor:
        x = torch.cat([parameters["a"], parameters["b"]], -1)
        return ((x[:, None] @ matrix @ x[..., None])[:, 0, 0] / 2) + (vector * x).sum(-1)

    return loss


def closed_form(matrices: list[Tensor], vectors: list[Tensor], start: Tensor, *, first_order: bool) -> Tensor:
    """``mean_tasks prod_j (I - rate A_j) (A x_k + b)`` with ``x_{j+1} = x_j - rate (A_j x_j + b_j)``."""
    total = torch.zeros_like(start)
    for i in range(B):
        x, jacobian = start, torch.eye(N, dtype=torch.float64)
        for matrix, vector in zip(matrices[:-1], vectors[:-1], strict=True):
            x = x - RATE * (matrix[i] @ x + vector[i])
            jacobian = (torch.eye(N, dtype=torch.float64) - RATE * matrix[i]) @ jacobian
        g = matrices[-1][i] @ x + vectors[-1][i]
        total = total + (g if first_order else jacobian.T @ g) / B
    return total


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("order", ["second", "hessian_vector", "first"])
def test_meta_gradients_on_quadratics(order: Order, k: int) -> None:
    matrices, vectors = quadratics(k)
    *losses, last = [quadratic(m, v) for m, v in zip(matrices, vectors, strict=True)]
    start = torch.linspace(-1, 1, N, dtype=torch.float64)
    parameters = {"a": start[:1], "b": start[1:]}
    _, g = meta_gradient(losses, lambda p: last(p).mean(), parameters, B, RATE, order)
    expected = closed_form(matrices, vectors, start, first_order=order == "first")
    torch.testing.assert_close(torch.cat([g["a"], g["b"]]), expected, atol=1e-10, rtol=0)


def test_first_and_second_order_differ_on_quadratics() -> None:
    matrices, vectors = quadratics(2)
    start = torch.linspace(-1, 1, N, dtype=torch.float64)
    first, second = (closed_form(matrices, vectors, start, first_order=f) for f in (True, False))
    assert float((first - second).abs().max()) > 1e-2


def learner(**options: Any) -> MAMLRL:
    small = {"tasks": 3, "rollouts": 4, "curvature_rollouts": None, "network": PolicyConfig(hidden=(8,))}
    return MAMLRL(MAMLRLConfig(**{**small, **options}), Navigation(horizon=6), seed=0, device="cpu")


def weights(algorithm: MAMLRL) -> Tensor:
    return torch.cat([p.detach().flatten() for p in algorithm.policy.parameters()])


def updated(**options: Any) -> Tensor:
    algorithm = learner(**options)
    algorithm.collect()
    algorithm.update()
    return weights(algorithm)


@pytest.mark.parametrize("steps", [1, 2])
def test_second_order_and_hessian_vector_products_make_the_same_step(steps: int) -> None:
    outer = OuterConfig(method="reinforce", learning_rate=0.1)
    a, b, first = (updated(steps=steps, rate=1.0, outer=outer, order=o) for o in ("second", "hessian_vector", "first"))
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)
    assert float((a - first).abs().max()) > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"curvature_rollouts": 2},
        {"order": "first"},
        {"order": "hessian_vector"},
        {"inner_loss": "dice"},
        {"inner_loss": "likelihood_ratio"},
        {"outer": OuterConfig(method="ppo")},
        {"steps": 2},
    ],
)
def test_every_form_improves_something(options: dict[str, Any]) -> None:
    algorithm = learner(**options)
    before = weights(algorithm)
    samples, metrics = algorithm.collect()
    metrics |= algorithm.update()
    assert samples > 0 and all(torch.isfinite(torch.as_tensor(float(v))) for v in metrics.values())
    assert not torch.equal(before, weights(algorithm))


@pytest.mark.parametrize("steps", [1, 3])
def test_every_inner_step_has_trajectories_of_its_own(steps: int) -> None:
    algorithm = learner(steps=steps)
    samples, metrics = algorithm.collect()
    rounds = algorithm._rounds
    assert len(rounds) == steps + 1 and samples == sum(t.steps for t in rounds)
    assert [f"collect/return_step_{k}" for k in range(steps + 1)] == list(metrics)
    for a, b in itertools.pairwise(rounds):
        length = min(a.action.shape[2], b.action.shape[2])
        assert not torch.equal(a.action[:, :, :length], b.action[:, :, :length])


def test_trust_region_steps_keep_to_the_limit_between_adapted_policies() -> None:
    algorithm = learner(rate=0.5)
    for _ in range(3):
        algorithm.collect()
        assert float(algorithm.update()["loss/kl"]) <= algorithm.config.outer.trust_region.max_kl


@pytest.mark.parametrize("options", [{"steps": 0}, {"rate": 0.0}, {"curvature_rollouts": 0}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"have to be|has to be"):
        MAMLRLConfig(**options)  # type: ignore[arg-type]
