"""Returns, advantages and the linear baseline, for any leading axes; time is the last axis.

Padding takes part in nothing as long as rewards and values are 0 in it.
"""

from __future__ import annotations

import torch
from torch import Tensor


def discounted_returns(reward: Tensor, *, discount: float) -> Tensor:
    """``G_t = r_t + discount * G_{t+1}``: [..., T] -> [..., T]."""
    returns = torch.empty_like(reward)
    running = torch.zeros_like(reward[..., 0])
    for t in reversed(range(reward.shape[-1])):
        running = reward[..., t] + discount * running
        returns[..., t] = running
    return returns


def generalized_advantages(reward: Tensor, value: Tensor, *, discount: float, trace: float) -> Tensor:
    """Schulman et al. 2016, equation 16: the sum of ``(discount * trace)^l * delta_{t+l}``. [..., T].

    ``value`` is [..., T], for the states in which the rewards were earned; the state after the last step counts 0.
    With ``trace`` 1 this is the discounted return minus ``value``.
    """
    following = torch.cat([value[..., 1:], torch.zeros_like(value[..., :1])], -1)
    return discounted_returns(reward + discount * following - value, discount=discount * trace)


def standardize(x: Tensor, mask: Tensor, *, dims: tuple[int, ...]) -> Tensor:
    """Zero mean and unit variance over ``dims`` where ``mask`` is 1; 0 elsewhere."""
    count = mask.sum(dims, keepdim=True)
    centred = (x - (x * mask).sum(dims, keepdim=True) / count) * mask
    variance = centred.square().sum(dims, keepdim=True) / count
    return centred / (variance.sqrt() + 1e-8)


def baseline_features(observation: Tensor) -> Tensor:
    """``[o, o^2, t/100, (t/100)^2, (t/100)^3, 1]`` with o clipped to +-10: [..., T, D] -> [..., T, 2D+4].

    Duan et al. 2016, "Benchmarking Deep Reinforcement Learning for Continuous Control", as in rllab.
    """
    o = observation.clamp(-10, 10)
    t = torch.arange(o.shape[-2], dtype=o.dtype, device=o.device) / 100
    time = torch.stack([t, t**2, t**3, torch.ones_like(t)], -1)
    return torch.cat([o, o**2, time.expand(*o.shape[:-1], 4)], -1)


def linear_baseline(observation: Tensor, returns: Tensor, mask: Tensor, *, ridge: float = 1e-5) -> Tensor:
    """Values ``[B, R, T]`` of a linear fit of ``returns [B, R, T]``, one fit for each of the B tasks; 0 in the padding.

    Solved in float64 for all tasks at once: ``(F^T F + ridge I) w = F^T y`` over the steps that happened.
    """
    features = (baseline_features(observation.double()) * mask[..., None]).flatten(1, -2)
    target = (returns.double() * mask).flatten(1)[..., None]
    gram = features.mT @ features
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(gram + ridge * eye, features.mT @ target)
    value: Tensor = features @ weights
    return value.view(returns.shape).to(returns.dtype)
