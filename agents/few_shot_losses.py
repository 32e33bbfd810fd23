"""Losses and figures of merit of few-shot tasks, over the examples of each task.

All take a leading axis of tasks or none: outputs [..., n, O], result [...].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over examples and outputs; targets [..., n, O]."""
    return (outputs - targets).square().mean((-2, -1))


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over examples of -log softmax(outputs) at the class ``targets [..., n]``.

    The code of Finn et al. 2017 divides the sum by the shots and not by all N K examples, so a step size of theirs is
    N times as large here.
    """
    log_probability = torch.log_softmax(outputs, -1)
    return -log_probability.gather(-1, targets[..., None])[..., 0].mean(-1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "regression": mean_squared_error,
    "classification": cross_entropy,
}
"""By `FewShotSpec.kind`."""
