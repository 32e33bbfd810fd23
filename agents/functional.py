"""The one differentiable inner step: gradient descent on a dictionary of parameters, and gradients through k of them.

A loss here is a function of parameters. It returns a scalar (one task, parameters as the module has them) or one number
a task, ``[B]`` (B tasks, every parameter with a leading axis B; see `for_tasks`). Tasks do not share parameters once
they have their own copies, so the gradient of the sum of their losses holds the gradient of each: the same lines serve
one task and B, and nothing loops.

Finn et al. 2017 (MAML), algorithm 1: ``theta_j = theta_{j-1} - alpha * grad L_support(theta_{j-1})``, and the
meta-gradient ``prod_j (I - alpha Hess L_support(theta_{j-1})) grad L_query(theta_k)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, cast

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
Loss = Callable[[Parameters], Tensor]
Rates = Mapping[str, float | Tensor]
"""Step size of every parameter that is adapted: a number, or a tensor that broadcasts with it (Li et al. 2017,
Meta-SGD). A parameter without one stays as it is (Raghu et al. 2020, ANIL: only the last layer has one)."""
Form = Literal["batched", "vmap", "loop"]
"""How B tasks are computed, see `task_losses`."""


def for_tasks(parameters: Mapping[str, Tensor], tasks: int) -> Parameters:
    """Every parameter with a leading axis of ``tasks`` equal copies; no memory is used until they differ."""
    return {name: value.expand(tasks, *value.shape) for name, value in parameters.items()}


def task_losses(loss: Callable[..., Tensor], form: Form) -> Callable[..., Tensor]:
    """``loss(parameters, *tensors) -> scalar`` of one task, as a function of B tasks that returns [B].

    Args:
        loss: ``vmap`` and ``loop`` take any; for ``batched`` it has to take a leading task axis in all its arguments
            and return [B] by itself, and is returned as it is (the networks of `few_shot_networks` are written so).
        form: ``vmap``: one call under ``torch.func.vmap``. ``loop``: one task after the other, what the other two are
            checked against.
    """
    if form == "batched":
        return loss
    if form == "vmap":
        # Dropout has to differ between tasks; nothing else here draws.
        return cast(Callable[..., Tensor], torch.func.vmap(loss, randomness="different"))

    def looped(parameters: Parameters, *tensors: Tensor) -> Tensor:
        return torch.stack(
            [
                loss({name: value[i] for name, value in parameters.items()}, *(t[i] for t in tensors))
                for i in range(len(tensors[0]))
            ]
        )

    return looped


def gradient(loss: Loss, parameters: Parameters, names: list[str], *, create_graph: bool) -> dict[str, Tensor]:
    """Gradient of the summed loss in the named parameters, which have to require gradients. Zeros for one that the loss
    does not depend on."""
    value = loss(parameters).sum()
    found = torch.autograd.grad(
        value,
        [parameters[name] for name in names],
        create_graph=create_graph,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(names, found, strict=True))


def sgd_step(loss: Loss, parameters: Parameters, rates: Rates, *, first_order: bool = False) -> Parameters:
    """One step of gradient descent, differentiable in the parameters and in the rates.

    Args:
        loss: scalar, or [B] for parameters with a leading task axis.
        rates: step sizes by name.
        first_order: take the gradient for a constant (FOMAML): no graph of it is kept, and the result's derivative in
            ``parameters`` is the identity.

    Under ``torch.no_grad()`` the step is the same and the result has no graph: adaptation without meta-learning.
    """
    names = [name for name in parameters if name in rates]
    if torch.is_grad_enabled():
        start = {n: p if p.requires_grad else p.detach().requires_grad_() for n, p in parameters.items()}
        slope = gradient(loss, start, names, create_graph=not first_order)
    else:
        with torch.enable_grad():
            start = {n: p.detach().requires_grad_(n in rates) for n, p in parameters.items()}
            slope = gradient(loss, start, names, create_graph=False)
    return {n: p - rates[n] * slope[n] if n in slope else parameters[n] for n, p in start.items()}


def sgd_steps(
    loss: Loss, parameters: Parameters, rates: Rates, steps: int, *, first_order: bool = False
) -> list[Parameters]:
    """The parameters after 0, 1, ... ``steps`` steps, the same loss in all of them."""
    path = [parameters]
    for _ in range(steps):
        path.append(sgd_step(loss, path[-1], rates, first_order=first_order))
    return path


def hessian_vector_meta_gradient(
    support: Loss, query: Loss, parameters: Parameters, rates: Rates, steps: int
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """The second-order meta-gradient by k products of a Hessian with a vector, last step first.

    Equal to backpropagation through `sgd_steps`, but the graph of one step is alive at a time, so memory does not grow
    with ``steps``; each step's gradient is computed twice.

    Returns:
        The query loss (scalar or [B], no graph); its gradient in ``parameters``; and its gradient in those rates that
        are tensors, as it would be for a rate of the parameter's own shape. With a task axis both have it: sum over it.
    """
    with torch.no_grad():
        path = sgd_steps(support, parameters, rates, steps)
    names = [name for name in parameters if name in rates]
    end = {n: p.detach().requires_grad_() for n, p in path[-1].items()}
    with torch.enable_grad():
        value = query(end)
    adjoint = dict(zip(end, _grad(value.sum(), list(end.values())), strict=True))
    in_rates = {n: torch.zeros_like(adjoint[n]) for n in names if isinstance(rates[n], Tensor)}
    for before in reversed(path[:-1]):
        start = {n: p.detach().requires_grad_() for n, p in before.items()}
        with torch.enable_grad():
            slope = gradient(support, start, names, create_graph=True)
            # d/dtheta of <slope, rate * adjoint>: the Hessian product, mixed derivatives of ANIL's body included.
            weights = [_constant(rates[n]) * adjoint[n] for n in names]
            pulled = _grad(
                sum(((s * w).sum() for s, w in zip(slope.values(), weights, strict=True)), value.new_zeros(())),
                list(start.values()),
            )
        for n in in_rates:
            in_rates[n] = in_rates[n] - slope[n].detach() * adjoint[n]
        adjoint = {n: adjoint[n] - h for n, h in zip(start, pulled, strict=True)}
    return value.detach(), adjoint, in_rates


def _constant(rate: float | Tensor) -> float | Tensor:
    return rate.detach() if isinstance(rate, Tensor) else rate


def _grad(value: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True)
