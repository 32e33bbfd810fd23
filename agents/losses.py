"""The equations of deterministic policy gradients as pure functions of tensors.

RDPG: Heess et al. 2015; omniscient critic and sparse goals: Peng et al. 2017; twin critics and target smoothing:
Fujimoto et al. 2018 (TD3); clipped targets: Andrychowicz et al. 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``x`` over the entries whose mask is 1; shapes broadcast."""
    mask = mask.expand_as(x)
    return (x * mask).sum() / mask.sum().clamp(min=1.0)


def smoothed_action(action: Tensor, noise: Tensor, *, clip: float) -> Tensor:
    """Target policy smoothing (TD3, equation 14): ``clamp(a + clamp(noise, -clip, clip), -1, 1)``."""
    return (action + noise.clamp(-clip, clip)).clamp(-1.0, 1.0)


def td_target(reward: Tensor, next_q: Tensor, *, gamma: float, steps: Tensor | int = 1) -> Tensor:
    """``clamp(r + gamma^n min_i Q_i', -1 / (1 - gamma), 0)`` (Peng, algorithm 1; TD3, equation 10; HER, appendix A).

    Rewards are -1 or 0 and the horizon's end is a truncation, not a termination, so every step bootstraps and the
    return is bounded by the geometric sum.

    Args:
        reward: [...]
        next_q: [heads, ...]
        steps: n, transitions that ``reward`` sums up (with its own discounts); broadcasts with it.
    """
    return (reward + gamma**steps * next_q.amin(0)).clamp(-1.0 / (1.0 - gamma), 0.0)


def critic_loss(q: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Sum over the heads of the masked mean squared error.

    Args:
        q: [heads, B, K, n]
        target: [B, K, n]
        mask: [B, K, 1]
    """
    return torch.stack([masked_mean((head - target).square(), mask) for head in q]).sum()


def actor_loss(q: Tensor, action: Tensor, mask: Tensor, *, action_l2: float) -> Tensor:
    """``-Q(s, pi(s)) + action_l2 |pi(s)|^2`` (deterministic policy gradient with HER's action penalty).

    Args:
        q: [B, K, n]
        action: [B, K, n, A]
        mask: [B, K, 1]
    """
    return masked_mean(action_l2 * action.square().mean(-1) - q, mask)


@torch.no_grad()
def polyak_(target: torch.nn.Module, source: torch.nn.Module, *, tau: float) -> None:
    """``target <- (1 - tau) target + tau source`` over parameters, in place."""
    targets: list[Tensor] = list(target.parameters())
    sources: list[Tensor] = list(source.parameters())
    torch._foreach_lerp_(targets, sources, tau)
