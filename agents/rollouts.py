"""Act in a batch of tasks for an episode."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sim2real.agents.heads import Head
from sim2real.meta_rl_types import Judged, TaskBatch, Trajectories


@torch.no_grad()
def gather(
    env: TaskBatch, act: Callable[[Tensor], Tensor], head: Head, horizon: int, generator: torch.Generator
) -> Trajectories:
    """One episode of every rollout; stops early once all have ended.

    Args:
        act: observations [B, R, D] -> outputs [B, R, H] of a policy.
        generator: actions are drawn from it.
    """
    observation = env.reset()
    alive = torch.ones(observation.shape[:2], dtype=torch.bool, device=observation.device)
    columns: list[tuple[Tensor, ...]] = []
    for _ in range(horizon):
        outputs = act(observation)
        action = head.sample(outputs, generator)
        following, reward, done = env.step(action)
        mask = alive.to(reward.dtype)
        columns.append((observation, action, reward * mask, mask, head.log_prob(outputs, action)))
        observation, alive = following, alive & ~done
        if not alive.any():
            break
    success = env.success().to(observation.dtype) if isinstance(env, Judged) else None
    observations, actions, rewards, masks, log_probs = (
        torch.stack(list(column), 2) for column in zip(*columns, strict=True)
    )
    return Trajectories(observations, actions, rewards, masks, log_probs, success)
