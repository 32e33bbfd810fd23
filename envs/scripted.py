"""Hand-written policies that solve Reach, Push, PickAndPlace and the puck task under nominal dynamics.

They see where things are and have no memory. They serve to measure what a working policy sees, as a benchmark's
workload and as a proof that the tasks can be solved.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.envs.reference import STD
from sim2real.envs.scripted_puck import ScriptedPusher
from sim2real.errors import UserError

Array = NDArray[np.float64]


def scripted(task: str, obs: Mapping[str, NDArray[Any]]) -> Array:
    """Actions ``[N, A]`` for the observation of N environments of ``task``; Slide is pushed, which rarely suffices."""
    if task not in STD:
        raise UserError(f"there is no hand-written policy for {task}; set agent.demonstrations to 0")
    if task == "FetchPuck":
        return _pusher()(obs)
    grip, goal = obs["observation"][:, :3], obs["desired_goal"]
    close = -np.ones((len(grip), 1))
    if task == "FetchReach":
        return np.hstack([_towards(grip, goal), close])
    thing = obs["achieved_goal"]
    if task == "FetchPickAndPlace":
        return _pick_and_place(grip, thing, goal, obs["observation"][:, 9:11])
    return np.hstack([_push(grip, thing, goal), close])


@functools.cache
def _pusher() -> ScriptedPusher:
    """One for all: it has a model of its own, and no memory."""
    return ScriptedPusher()


def _push(grip: Array, thing: Array, goal: Array) -> Array:
    """Go above the point behind the object, descend, push along the line to the goal; up again when off the line."""
    way = (goal - thing)[:, :2]
    rest = np.linalg.norm(way, axis=1, keepdims=True)
    direction = way / np.maximum(rest, 1e-6)
    offset = (grip - thing)[:, :2]
    along = np.sum(offset * direction, axis=1, keepdims=True)
    aside = np.linalg.norm(offset - along * direction, axis=1, keepdims=True)
    behind = thing[:, :2] - 0.08 * direction
    low, high = np.full_like(along, 0.425), np.full_like(along, 0.5)
    lined_up = (grip[:, 2:] < 0.45) & (along < -0.02) & (aside < 0.02)
    over = np.linalg.norm(grip[:, :2] - behind, axis=1, keepdims=True) < 0.02
    push = np.hstack([grip[:, :2] + 0.5 * np.minimum(rest, 0.05) * direction - (offset - along * direction), low])
    travel = np.hstack([behind, np.where(over, low, high)])
    travel[:, :2] = np.where(over | (grip[:, 2:] > 0.47), behind, grip[:, :2])
    target = np.where(lined_up, push, travel)
    return _towards(grip, np.where(rest < 0.02, grip, target))


def _pick_and_place(grip: Array, thing: Array, goal: Array, fingers: Array) -> Array:
    """Go above the object with open fingers, descend, close, carry."""
    aside = np.linalg.norm((thing - grip)[:, :2], axis=1, keepdims=True)
    near = (aside < 0.015) & (np.abs(thing - grip)[:, 2:] < 0.015)
    closed = fingers.sum(axis=1, keepdims=True) < 0.055
    above = thing + np.array([0.0, 0.0, 0.08])
    target = np.where(near, np.where(closed, goal, grip), np.where(aside < 0.01, thing, above))
    return np.hstack([_towards(grip, target), np.where(near, -1.0, 1.0)])


def _towards(position: Array, target: Array) -> Array:
    return np.asarray(np.clip((target - position) / 0.05, -1, 1))
