"""Trust region policy optimisation (Schulman et al. 2015) as functions of a dictionary of parameters.

A step solves ``H s = g`` by conjugate gradients, H being the Hessian of the mean KL divergence at the old parameters,
scales s to the KL limit, and walks back until the surrogate improves within the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Params = Mapping[str, Tensor]
Loss = Callable[[Params], Tensor]
"""A scalar of the parameters."""
Slope = Callable[[Params], tuple[Tensor, Tensor]]
"""Value of a loss and its gradient as a vector."""
Objective = Callable[[Params], tuple[Tensor, Tensor]]
"""Surrogate loss and mean KL divergence, which share most of their work."""
MatVec = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TrustRegionConfig:
    """A trust region step."""

    max_kl: float = 0.01
    """Limit of the mean KL divergence between old and new policies."""
    cg_iterations: int = 10
    """Iterations of conjugate gradients."""
    damping: float = 1e-5
    """Added to the diagonal of the KL's Hessian."""
    hessian: Literal["double_backward", "finite_differences"] = "double_backward"
    """How the KL's Hessian is applied to a vector; finite differences avoid one order of differentiation."""
    backtrack_ratio: float = 0.8
    """Every next try of the line search is this much shorter."""
    max_backtracks: int = 15
    """Tries of the line search; the parameters stay as they were where none will do."""

    def __post_init__(self) -> None:
        if self.max_kl <= 0 or self.damping < 0 or not 0 < self.backtrack_ratio < 1:
            raise ValueError("max_kl has to be above 0, damping at least 0 and backtrack_ratio between 0 and 1")
        if self.cg_iterations < 1 or self.max_backtracks < 1:
            raise ValueError("cg_iterations and max_backtracks have to be at least 1")


@dataclass(frozen=True)
class Step:
    """What a trust region step came to."""

    params: dict[str, Tensor]
    accepted: bool
    """Whether the line search found a better point; otherwise ``params`` are the old ones."""
    kl: float
    improvement: float
    """Decrease of the surrogate loss."""


def flatten(tree: Params) -> Tensor:
    """All entries as one vector, in the order of the dictionary."""
    return torch.cat([x.reshape(-1) for x in tree.values()])


def unflatten(vector: Tensor, like: Params) -> dict[str, Tensor]:
    """Inverse of `flatten`."""
    pieces = torch.split_with_sizes(vector, [x.numel() for x in like.values()])
    return {name: piece.view_as(x) for (name, x), piece in zip(like.items(), pieces, strict=True)}


def gradient(loss: Loss, params: Params) -> tuple[Tensor, Tensor]:
    """Value of ``loss`` and its gradient as a vector."""
    leaves = {name: x.detach().requires_grad_() for name, x in params.items()}
    value = loss(leaves)
    return value.detach(), torch.cat([g.reshape(-1) for g in torch.autograd.grad(value, list(leaves.values()))])


def hessian_by_double_backward(loss: Loss, params: Params) -> MatVec:
    """``v -> H v`` of ``loss`` at ``params``, as the gradient of ``grad(loss) . v``; the graph is built once."""
    leaves = {name: x.detach().requires_grad_() for name, x in params.items()}
    inputs = list(leaves.values())
    first = flatten(dict(zip(leaves, torch.autograd.grad(loss(leaves), inputs, create_graph=True), strict=True)))

    def product(v: Tensor) -> Tensor:
        second = torch.autograd.grad(first @ v, inputs, retain_graph=True, materialize_grads=True)
        return torch.cat([g.reshape(-1) for g in second])

    return product


def hessian_by_finite_differences(loss: Loss, params: Params, *, size: float | None = None) -> MatVec:
    """``v -> H v`` as the symmetric difference of gradients along v, ``size`` (in parameter units) to either side.

    Default ``size``: the cube root of the machine epsilon, where rounding and truncation balance.
    """
    centre = flatten(params).detach()
    reach = size or torch.finfo(centre.dtype).eps ** (1 / 3)

    def product(v: Tensor) -> Tensor:
        norm = v.norm()
        if norm == 0:
            return torch.zeros_like(v)
        offset = v * (reach / norm)
        ahead = gradient(loss, unflatten(centre + offset, params))[1]
        behind = gradient(loss, unflatten(centre - offset, params))[1]
        return (ahead - behind).mul(norm / (2 * reach))

    return product


HESSIANS = {"double_backward": hessian_by_double_backward, "finite_differences": hessian_by_finite_differences}


def conjugate_gradient(matvec: MatVec, b: Tensor, *, iterations: int, tolerance: float = 1e-10) -> Tensor:
    """x with ``A x = b`` for a symmetric positive A that is known by its products; stops at ``|r|^2 < tolerance``."""
    x, residual, direction = torch.zeros_like(b), b.clone(), b.clone()
    rr = residual @ residual
    for _ in range(iterations):
        if rr < tolerance:
            break
        product = matvec(direction)
        alpha = rr / (direction @ product)
        x += alpha * direction
        residual -= alpha * product
        rr_new = residual @ residual
        direction = residual + rr_new / rr * direction
        rr = rr_new
    return x


def trust_region_step(
    params: Params,
    objective: Objective,
    config: TrustRegionConfig,
    *,
    slope: Slope | None = None,
    curvature: Loss | None = None,
) -> Step:
    """The largest step along the natural gradient that lowers the surrogate and keeps the divergence within the limit.

    Args:
        params: where to start; the divergence is 0 there, and so is its gradient.
        objective: surrogate loss, and mean KL divergence from the old policies.
        config: sizes and methods.
        slope: how the surrogate is differentiated; None: by one backward pass.
        curvature: a cheaper estimate of the divergence for its Hessian; None: the divergence itself, which the line
            search holds to the limit in any case.
    """
    start = flatten(params).detach()
    loss, g = slope(params) if slope else gradient(lambda p: objective(p)[0], params)
    hessian = HESSIANS[config.hessian](curvature or (lambda p: objective(p)[1]), params)
    direction = conjugate_gradient(lambda v: hessian(v) + config.damping * v, -g, iterations=config.cg_iterations)
    quadratic = direction @ (hessian(direction) + config.damping * direction)
    if not quadratic > 0:  # a zero gradient, or not a number
        return Step({name: x.detach() for name, x in params.items()}, False, 0.0, 0.0)
    full = direction * (2 * config.max_kl / quadratic).sqrt()
    with torch.no_grad():
        for k in range(config.max_backtracks):
            candidate = unflatten(start + config.backtrack_ratio**k * full, params)
            surrogate, divergence = objective(candidate)
            distance, change = float(divergence), float(loss - surrogate)
            if distance <= config.max_kl and change > 0:
                return Step(candidate, True, distance, change)
    return Step({name: x.detach() for name, x in params.items()}, False, 0.0, 0.0)
