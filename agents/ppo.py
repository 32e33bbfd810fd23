"""Proximal policy optimisation (Schulman et al. 2017) as functions: its losses, and nothing that steps.

Steps are averaged within each task first and tasks after that, so that one with long episodes counts no more.
"""

from __future__ import annotations

from torch import Tensor


def task_means(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the steps that happened, for each task: [B, R, T] -> [B]."""
    return (x * mask).sum((1, 2)) / mask.sum((1, 2))


def over_tasks(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over tasks of `task_means`: [B, R, T] -> scalar."""
    return task_means(x, mask).mean()


def surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """``-mean(pi / pi_old * advantage)``: the loss of the importance-weighted policy gradient."""
    return -over_tasks((log_prob - old_log_prob).exp() * advantage, mask)


def clipped_surrogate(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, mask: Tensor, *, clip: float
) -> Tensor:
    """Equation 7, negated: the smaller of the surrogate and the one with its ratio clipped to ``1 +- clip``."""
    ratio = (log_prob - old_log_prob).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -over_tasks((ratio * advantage).minimum(clipped * advantage), mask)


def value_loss(value: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of a learned baseline."""
    return over_tasks((value - returns).square(), mask)
