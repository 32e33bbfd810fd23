"""One step of gradient descent, as every learner takes it, and how its size falls."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, *, max_norm: float | None) -> None:
    """Move the optimiser's own parameters down ``loss``, along a gradient no longer than ``max_norm`` (None: any).

    Gradients of other parameters, such as those of a critic that judges a policy, are never computed; parameters that
    the loss does not depend on stay where they are.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
        p.grad = gradient
    if max_norm is not None:
        nn.utils.clip_grad_norm_(parameters, max_norm)
    optimizer.step()


def annealed(samples: int, over: int) -> float:
    """Factor of the learning rate after so many samples: from 1 to a hundredth along half a cosine; ``over`` 0: 1."""
    if not over:
        return 1.0
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, samples / over)))
