"""Golden rollouts: what a policy answers in torch over whole episodes, for exported ones to be held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sim2real.collect import rollout
from sim2real.exportable import ExportablePolicy
from sim2real.types import Episodes, FloatArray, GoalVectorEnv, Term

GOLDEN_STEPS = 100
"""Steps that a bundle carries: the first 50 of each episode, so that they cross a reset."""


Readings = Callable[[ExportablePolicy], FloatArray]
"""What a policy is proved on: at least `least_episodes` of readings [B, T, R], in the order of the policy's input."""


def least_episodes(horizon: int) -> int:
    """Episodes that make `GOLDEN_STEPS` steps and cross a reset."""
    return max(2, math.ceil(GOLDEN_STEPS / horizon))


def random_readings(policy: ExportablePolicy) -> FloatArray:
    """Random walks whose elements differ in size, for the normaliser's and the memory's linear and saturated parts."""
    rng, horizon = np.random.default_rng(0), policy.spec.horizon
    width = sum(len(term.elements) for term in _read(policy))
    steps = rng.normal(size=(least_episodes(horizon), horizon, width)) * 10.0 ** rng.uniform(-2, 1, width)
    return np.cumsum(steps, 1)


def episode_readings(env: GoalVectorEnv, policy: ExportablePolicy) -> FloatArray:
    """What the policy reads in episodes of ``env``."""
    batches = [rollout(env, policy, deterministic=True, seed=0)]
    while sum(map(len, batches)) < least_episodes(policy.spec.horizon):
        batches.append(rollout(env, policy, deterministic=True))
    return np.concatenate([_readings(batch, _read(policy)) for batch in batches])


def _read(policy: ExportablePolicy) -> list[Term]:
    """The terms that are no feedback."""
    return [term for term in policy.input_terms() if term.source != "feedback"]


def _readings(episodes: Episodes, terms: Sequence[Term]) -> FloatArray:
    """[B, T, R] what a policy with these terms read."""
    shape = (*episodes.action.shape[:2], episodes.desired_goal.shape[-1])
    fields = {
        "observation": episodes.observation[:, :-1],
        "achieved_goal": episodes.achieved_goal[:, :-1],
        "desired_goal": np.broadcast_to(episodes.desired_goal[:, None], shape),
    }
    return np.concatenate([fields[term.name] for term in terms], -1)


@torch.no_grad()
def golden_rollout(policy: ExportablePolicy, readings: FloatArray) -> dict[str, NDArray[Any]]:
    """What torch answers to readings [B, T, R], as `sim2real.deploy.parity.replay_error` wants it: S = B T steps."""
    names, (episodes, horizon, width) = policy.export_state_names(), readings.shape
    terms, readings = policy.input_terms(), readings.astype(np.float32)
    widths = [len(term.elements) for term in terms if term.source != "feedback"]
    scale, offset = (np.asarray(values, np.float32) for values in (policy.spec.action_scale, policy.spec.action_offset))
    actions: list[FloatArray] = []
    memory: dict[str, list[FloatArray]] = {name: [] for name in names}
    previous, state = torch.zeros(episodes, len(scale)), policy.zero_state_tensors(episodes)
    feedback = terms[-1].source == "feedback"
    for t in range(horizon):
        inputs = torch.split(torch.from_numpy(readings[:, t]), widths, 1)
        previous, state = policy.step(*inputs, *([previous] if feedback else []), state)
        actions.append(previous.numpy() * scale + offset)
        for name, tensor in zip(names, state, strict=True):
            memory[name].append(tensor.numpy().swapaxes(0, 1)[:, :, None])  # [L, B, H] -> [B, L, 1, H]
    golden = {"actions": actions, **memory}
    step = np.tile(np.arange(horizon), episodes)
    flat = {
        name: np.stack(values, 1).reshape(episodes * horizon, *values[0].shape[1:]) for name, values in golden.items()
    }
    return {"readings": readings.reshape(episodes * horizon, width), "step": step, **flat}


def carried(golden: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The part of a golden rollout that goes into a bundle: `GOLDEN_STEPS` steps."""
    kept = np.flatnonzero(golden["step"] < GOLDEN_STEPS // 2)[:GOLDEN_STEPS]
    return {name: array[kept] for name, array in golden.items()}
