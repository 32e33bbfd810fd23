"""Proximal policy optimisation (Schulman et al. 2017) as functions: its losses, and nothing that steps."""

from __future__ import annotations

from torch import Tensor

from sim2real.agents.losses import masked_mean


def surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """``-mean(pi / pi_old * advantage)``: the loss of the importance-weighted policy gradient."""
    return -masked_mean((log_prob - old_log_prob).exp() * advantage, mask)


def clipped_surrogate(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, mask: Tensor, *, clip: float
) -> Tensor:
    """Equation 7, negated: the smaller of the surrogate and the one with its ratio clipped to ``1 +- clip``."""
    ratio = (log_prob - old_log_prob).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -masked_mean((ratio * advantage).minimum(clipped * advantage), mask)


def value_loss(value: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of a learned baseline."""
    return masked_mean((value - returns).square(), mask)
