"""What a policy of another library meets: how gymnasium's observations and actions lie in terms and tasks of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from sim2real.errors import UserError
from sim2real.types import Element, FloatArray, Source, TaskSpec, Term

GOALS = ("achieved_goal", "desired_goal")
"""Keys of a goal environment that are terms of their own; all others together are the term ``observation``."""


@dataclass(frozen=True)
class Place:
    """Elements ``start`` to ``stop`` of the term named ``term``."""

    term: str
    start: int
    stop: int


@dataclass(frozen=True)
class Interface:
    """One environment, seen as gymnasium's and as ours."""

    task: TaskSpec
    terms: tuple[Term, ...]
    """What a policy may read; the names are keys of `sim2real.types.Obs`."""
    entries: Mapping[str, Place]
    """Key of gymnasium's observation -> where its numbers are; an observation that is no dict is ``observation``."""
    action_space: spaces.Box
    """gymnasium's, in whose units its policies act; the task's actions in [-1, 1] span it."""


def interface_of(env_id: str, env: Any) -> Interface:
    """The interface of an environment of gymnasium, its elements named by key and number: ``observation_0``, ...

    Raises:
        UserError: its observations are no vectors, its actions are not continuous and bounded, its episodes have no
            end, or nothing says how long a control step is.
    """
    action = env.action_space
    if not isinstance(action, spaces.Box) or not action.is_bounded():
        raise UserError(f"{env_id} takes actions {action}; supported are bounded continuous ones (a finite Box)")
    entries, terms = _observations(env_id, env.observation_space)
    low, high = action.low.astype(np.float64).reshape(-1), action.high.astype(np.float64).reshape(-1)
    elements = {term.name: term.elements for term in terms}
    task = TaskSpec(
        name=env_id,
        horizon=_horizon(env_id, env),
        control_dt=_control_dt(env_id, env),
        observation=elements.get("observation", ()),
        goal=elements.get("desired_goal", ()),
        action=tuple(Element(f"action_{i}", "") for i in range(len(low))),
        action_scale=tuple(((high - low) / 2).tolist()),
        dynamics_names=(),
        success_threshold=float(getattr(env.unwrapped, "distance_threshold", 0.0)),
        action_offset=tuple(((high + low) / 2).tolist()),
    )
    return Interface(task, terms, entries, action)


def entries_of(space: Any) -> dict[str, Any]:
    """Key -> space, in the order the network reads them; an observation that is no dict is called ``observation``."""
    return dict(space.spaces) if isinstance(space, spaces.Dict) else {"observation": space}


def _observations(env_id: str, space: spaces.Space[Any]) -> tuple[dict[str, Place], tuple[Term, ...]]:
    """Key -> place, and the terms in the order in which policies read them."""
    entries: dict[str, Place] = {}
    elements: dict[str, list[Element]] = {"observation": [], "achieved_goal": [], "desired_goal": []}
    for key, part in entries_of(space).items():
        if not isinstance(part, spaces.Box) or part.dtype == np.uint8:
            raise UserError(f"{env_id} gives {key} as {part}; supported are vectors of numbers (Box), no pictures")
        term, size = key if key in GOALS else "observation", int(np.prod(part.shape))
        start = len(elements[term])
        entries[key] = Place(term, start, start + size)
        elements[term] += [Element(f"{key}_{i}", "") for i in range(size)]
    sources: dict[str, Source] = {"observation": "sensor", "achieved_goal": "sensor", "desired_goal": "command"}
    return entries, tuple(Term(name, sources[name], tuple(names)) for name, names in elements.items() if names)


def _horizon(env_id: str, env: Any) -> int:
    steps = getattr(env.spec, "max_episode_steps", None)
    if not steps:
        raise UserError(f"{env_id} has no time limit; register it with max_episode_steps")
    return int(steps)


def _control_dt(env_id: str, env: Any) -> float:
    """Control period (in seconds): ``env.dt``, as MuJoCo environments have it, or what the frame rate says."""
    dt = getattr(env.unwrapped, "dt", None)
    if dt is None and env.metadata.get("render_fps"):
        dt = 1 / env.metadata["render_fps"]
    if dt is None or not (math.isfinite(dt) and dt > 0):
        raise UserError(f"{env_id} does not say how long a control step is: give it an attribute dt (in seconds)")
    return float(dt)


def values_of(interface: Interface, obs: Any) -> dict[str, FloatArray]:
    """One observation of gymnasium as terms: name -> [D]."""
    by_key = obs if isinstance(obs, Mapping) else {"observation": obs}
    values: dict[str, FloatArray] = {term.name: np.zeros(len(term.elements)) for term in interface.terms}
    for key, place in interface.entries.items():
        values[place.term][place.start : place.stop] = np.asarray(by_key[key]).reshape(-1)
    return values
