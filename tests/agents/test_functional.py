from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sim2real.agents.functional import (
    Form,
    Loss,
    Parameters,
    Rates,
    for_tasks,
    hessian_vector_meta_gradient,
    sgd_step,
    sgd_steps,
    task_losses,
)

SIZE = 4


def quadratic(seed: int) -> tuple[Tensor, Tensor]:
    """A positive definite matrix and a centre, in double precision."""
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(SIZE, SIZE, generator=draw, dtype=torch.float64)
    return root @ root.T / SIZE + torch.eye(SIZE), torch.randn(SIZE, generator=draw, dtype=torch.float64)


def energy(matrix: Tensor, centre: Tensor) -> Loss:
    def loss(parameters: Parameters) -> Tensor:
        off = parameters["theta"] - centre
        return 0.5 * off @ matrix @ off

    return loss


def start() -> Tensor:
    return torch.linspace(-1.0, 2.0, SIZE, dtype=torch.float64).requires_grad_()


def closed_form(theta: Tensor, alpha: float, steps: int) -> tuple[Tensor, Tensor]:
    """(I - alpha H)^k H1 (theta_k - c1), and H1 (theta_k - c1) alone, for 0.5 (theta - c)' H (theta - c)."""
    (h0, c0), (h1, c1) = quadratic(0), quadratic(1)
    power = torch.linalg.matrix_power(torch.eye(SIZE) - alpha * h0, steps)
    adapted = c0 + power @ (theta.detach() - c0)
    plain = h1 @ (adapted - c1)
    return power @ plain, plain


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_meta_gradient_of_quadratics_is_the_closed_form(steps: int) -> None:
    theta, alpha = start(), 0.1
    second, first = closed_form(theta, alpha, steps)
    for first_order, expected in ((False, second), (True, first)):
        adapted = sgd_steps(energy(*quadratic(0)), {"theta": theta}, {"theta": alpha}, steps, first_order=first_order)
        found = torch.autograd.grad(energy(*quadratic(1))(adapted[-1]), theta)[0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert float((second - first).abs().max()) > 1e-3


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_hessian_vector_products_give_the_closed_form(steps: int) -> None:
    theta, alpha = start(), 0.1
    value, found, rates = hessian_vector_meta_gradient(
        energy(*quadratic(0)), energy(*quadratic(1)), {"theta": theta}, {"theta": alpha}, steps
    )
    torch.testing.assert_close(found["theta"], closed_form(theta, alpha, steps)[0], rtol=0, atol=1e-10)
    assert rates == {} and not value.requires_grad


def network(seed: int = 3) -> Parameters:
    draw = torch.Generator().manual_seed(seed)
    shapes = {"w1": (3, 1), "b1": (3,), "w2": (1, 3), "b2": (1,)}
    return {n: torch.randn(s, generator=draw, dtype=torch.float64).requires_grad_() for n, s in shapes.items()}


def mean_squared(p: Parameters, x: Tensor, y: Tensor) -> Tensor:
    hidden = torch.tanh(x @ p["w1"].mT + p["b1"][..., None, :])
    return (hidden @ p["w2"].mT + p["b2"][..., None, :] - y).square().mean((-2, -1))


def data(tasks: int, seed: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    a, b, c, d = (torch.randn(tasks, 6, 1, generator=draw, dtype=torch.float64) for _ in range(4))
    return a, b, c, d


def backpropagated(rates: Rates, steps: int, form: Form, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """Meta-gradient, in ``inputs``, of the mean query loss of four tasks."""
    x, y, qx, qy = data(4)
    loss = task_losses(mean_squared, form)
    parameters = for_tasks(dict(zip(network(), inputs, strict=False)), 4)
    adapted = sgd_steps(lambda p: loss(p, x, y), parameters, rates, steps)[-1]
    return torch.autograd.grad(loss(adapted, qx, qy).mean(), inputs, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("form", ["batched", "vmap"])
@pytest.mark.parametrize("only_last_layer", [False, True])
def test_all_tasks_at_once_are_the_loop(form: Form, only_last_layer: bool) -> None:
    rates = {name: 0.2 for name in (["w2", "b2"] if only_last_layer else network())}
    inputs = list(network().values())
    at_once, looped = backpropagated(rates, 3, form, inputs), backpropagated(rates, 3, "loop", inputs)
    torch.testing.assert_close(at_once, looped, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("only_last_layer", [False, True])
def test_hessian_vector_products_are_second_order_with_learned_rates(only_last_layer: bool) -> None:
    parameters = network()
    names = ["w2", "b2"] if only_last_layer else list(parameters)
    rates: dict[str, Tensor] = {n: torch.full_like(parameters[n], 0.2).requires_grad_() for n in names}
    expected = backpropagated(rates, 3, "batched", [*parameters.values(), *rates.values()])
    x, y, qx, qy = data(4)
    _, in_parameters, in_rates = hessian_vector_meta_gradient(
        lambda p: mean_squared(p, x, y), lambda p: mean_squared(p, qx, qy), for_tasks(parameters, 4), rates, 3
    )
    found = [g.mean(0) for g in (*in_parameters.values(), *in_rates.values())]
    assert all(float(g.abs().max()) > 1e-6 for g in found)
    torch.testing.assert_close(found, list(expected), rtol=1e-10, atol=1e-12)


def test_gradcheck_of_two_steps() -> None:
    x, y, qx, qy = (t[0] for t in data(1))

    def after_two_steps(rate: Tensor, *values: Tensor) -> Any:
        parameters = dict(zip(network(), values, strict=True))
        rates = dict.fromkeys(parameters, rate)
        return mean_squared(sgd_steps(lambda p: mean_squared(p, x, y), parameters, rates, 2)[-1], qx, qy)

    rate = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(after_two_steps, (rate, *network().values()))


def test_second_order_is_first_order_where_the_loss_is_linear() -> None:
    slope = torch.tensor([1.0, -2.0])
    theta = torch.tensor([0.5, 0.5], requires_grad=True)
    found = [
        torch.autograd.grad(
            sgd_step(lambda p: slope @ p["theta"], {"theta": theta}, {"theta": 0.1}, first_order=f)["theta"]
            .square()
            .sum(),
            theta,
        )[0]
        for f in (False, True)
    ]
    # theta - 0.1 * slope = [0.4, 0.7]; its square has the gradient [0.8, 1.4].
    torch.testing.assert_close(found[0], torch.tensor([0.8, 1.4]))
    torch.testing.assert_close(found[1], found[0])


def test_without_gradients_the_step_is_the_same_and_has_no_graph() -> None:
    parameters = network()
    x, y = (t[0] for t in data(1)[:2])
    tracked = sgd_step(lambda p: mean_squared(p, x, y), parameters, dict.fromkeys(parameters, 0.2))
    with torch.no_grad():
        free = sgd_step(lambda p: mean_squared(p, x, y), parameters, dict.fromkeys(parameters, 0.2))
    assert all(torch.equal(free[n], tracked[n]) and not free[n].requires_grad for n in parameters)


def test_a_parameter_without_a_rate_stays() -> None:
    parameters = network()
    x, y = (t[0] for t in data(1)[:2])
    stepped = sgd_step(lambda p: mean_squared(p, x, y), parameters, {"w2": 0.2})
    assert stepped["w1"] is parameters["w1"] and not torch.equal(stepped["w2"], parameters["w2"])


@pytest.mark.parametrize("form", ["batched", "vmap", "loop"])
def test_a_task_among_others_takes_the_step_it_takes_alone(form: Form) -> None:
    x, y, _, _ = data(4)
    parameters, rates = network(), dict.fromkeys(network(), 0.2)
    loss = task_losses(mean_squared, form)
    together = sgd_step(lambda p: loss(p, x, y), for_tasks(parameters, 4), rates)
    for k in range(4):
        alone = sgd_step(lambda p, k=k: mean_squared(p, x[k], y[k]), parameters, rates)  # type: ignore[misc]
        for name, value in alone.items():
            torch.testing.assert_close(together[name][k], value, rtol=1e-12, atol=1e-12)
