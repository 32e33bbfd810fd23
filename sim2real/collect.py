"""Vector environment x policy -> Episodes: the one rollout that training and evaluation share."""

from __future__ import annotations

import numpy as np

from sim2real.errors import UserError
from sim2real.types import Episodes, FloatArray, GoalVectorEnv, Obs, Policy

_ENDED = (
    "ended an episode itself (terminated); this learner takes tasks to go on beyond the horizon and would value states "
    "that never come; let episodes end by time (truncated) alone"
)


def rollout(
    env: GoalVectorEnv, policy: Policy, *, deterministic: bool, seed: int | None = None, bootstrapped: bool = False
) -> Episodes:
    """Run the next N whole episodes of ``env``.

    Time alignment (see `Episodes`): the policy sees ``observation[t]`` and ``previous_action[t] = action[t - 1]``
    (zeros at t = 0), answers with ``action[t]``, and the environment moves to ``observation[t + 1]``. The memory
    starts from the policy's initial state in every episode. Episodes that end early are padded up to the horizon with
    what came last; the mask says where.

    Args:
        env: N environments whose episodes last at most ``env.task.horizon`` steps.
        policy: anything that acts; its state is created here and dropped at the end.
        deterministic: passed on to the policy.
        seed: restarts the environment's sequence of episodes; None continues it.
        bootstrapped: a learner adds the value of the last observation, as if the task went on.

    Raises:
        UserError: ``bootstrapped``, and an episode ended for good (``terminated``).
    """
    horizon, n = env.task.horizon, env.num_envs
    obs, info = env.reset(seed=seed)
    frames, actions, rewards = [obs], [], []
    successes = [np.asarray(info["is_success"], np.float32)]
    state = policy.initial_state(n)
    previous_action = np.zeros((n, env.task.sizes["action"]), np.float32)
    alive, masks = np.ones(n, np.bool_), []
    for _ in range(horizon):
        if alive.any():
            action, state = policy.act({**obs, "previous_action": previous_action}, state, deterministic=deterministic)
            obs, reward, terminated, truncated, step_info = env.step(action)
            if bootstrapped and (alive & np.asarray(terminated)).any():
                raise UserError(f"{env.task.name} {_ENDED}")
        masks.append(alive)
        alive = alive & ~np.asarray(terminated) & ~np.asarray(truncated)
        previous_action = np.asarray(action, np.float32)
        frames.append(obs)
        actions.append(previous_action)
        rewards.append(np.asarray(reward, np.float32))
        successes.append(np.asarray(step_info["is_success"], np.float32))
    return Episodes(
        observation=_stack(frames, "observation"),
        state=_stack(frames, "state"),
        achieved_goal=_stack(frames, "achieved_goal"),
        desired_goal=np.asarray(frames[0]["desired_goal"], np.float32),
        action=np.stack(actions, 1),
        reward=np.stack(rewards, 1),
        mask=np.stack(masks, 1).astype(np.float32),
        success=np.stack(successes, 1),
        dynamics=np.asarray(frames[0]["dynamics"], np.float32),
        dynamics_values=np.asarray(info["dynamics_values"], np.float64),
    )


def _stack(frames: list[Obs], key: str) -> FloatArray:
    """``T+1`` times [N, D] -> [N, T+1, D] in float32."""
    return np.stack([np.asarray(frame[key], np.float32) for frame in frames], 1)
