"""The vocabulary every part shares: protocols, and the few data classes that travel between modules.

Shape letters, used in every docstring: N environments, T steps of an episode, B episodes of a batch, D observation
elements, G elements of a goal, A elements of an action, P dynamics parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
Metrics = dict[str, Any]
"""Name -> number, or a zero-dimensional tensor that is fetched only when it is logged."""
State = dict[str, Any]
"""Nested dict whose leaves are tensors, numpy arrays or JSON values: what a checkpoint stores."""
Obs = Mapping[str, FloatArray]
"""Batched observation: ``observation [N, D]``, ``achieved_goal [N, G]``, ``desired_goal [N, G]``,
``previous_action [N, A]`` (what was sent one step ago; zeros at the start), and, privileged, ``dynamics [N, P]`` and
``state [N, D]``."""
PolicyState = Any
"""Recurrent state of N environments; opaque to everyone but the policy that made it. Feed-forward: ``()``."""

Delays = Mapping[str, tuple[float, float]]
"""``observation`` and ``action`` -> least and greatest delay (in milliseconds)."""
NO_DELAYS: Delays = {"observation": (0.0, 0.0), "action": (0.0, 0.0)}


@dataclass(frozen=True)
class Element:
    """One number of an observation, goal or action: what a robot's interface must know about it."""

    name: str
    unit: str
    kind: str = ""
    """Semantic kind in LEAPP's vocabulary, e.g. ``state/joint/position``."""
    frame: str = ""


Source = Literal["sensor", "command", "task", "feedback"]
"""Where a policy's input comes from: measured, asked for by whoever uses the robot, told by the task (rewards, states
that no sensor measures), or the policy's own last action."""


@dataclass(frozen=True)
class Term:
    """Neighbouring numbers of a policy's input that belong together; ``name`` is their key in `Obs`."""

    name: str
    source: Source
    elements: tuple[Element, ...]


@dataclass(frozen=True)
class TaskSpec:
    """What learners, evaluation and export may know about a task without importing it."""

    name: str
    horizon: int
    """Control steps of an episode, T."""
    control_dt: float
    """Nominal control period (in seconds)."""
    observation: tuple[Element, ...]
    goal: tuple[Element, ...]
    action: tuple[Element, ...]
    """Actions are in [-1, 1]; in the element's unit they are ``action * action_scale + action_offset``."""
    action_scale: tuple[float, ...]
    dynamics_names: tuple[str, ...]
    success_threshold: float
    """Largest distance between achieved and desired goal that counts as success (in metres)."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    action_offset: tuple[float, ...] = ()
    """Empty means zeros, and reads as that many."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "action_offset", self.action_offset or (0.0,) * len(self.action))

    @property
    def input_terms(self) -> tuple[Term, ...]:
        """What a policy of this package reads, in order: observation, goal, and the action before in [-1, 1]."""
        previous = tuple(Element(f"previous_{e.name}", "1", e.kind, e.frame) for e in self.action)
        return (
            Term("observation", "sensor", self.observation),
            Term("desired_goal", "command", self.goal),
            Term("previous_action", "feedback", previous),
        )

    @property
    def sizes(self) -> dict[str, int]:
        """Widths D, G, A, P by name."""
        return {
            "observation": len(self.observation),
            "goal": len(self.goal),
            "action": len(self.action),
            "dynamics": len(self.dynamics_names),
        }


@dataclass(frozen=True)
class Episodes:
    """N whole episodes of T steps, padded. Time alignment: ``action[t]`` is taken in ``observation[t]``
    and leads to ``observation[t + 1]``; ``previous_action[t] = action[t - 1]``, zeros at t = 0."""

    observation: FloatArray
    """[N, T+1, D] what the policy saw: noisy, delayed."""
    state: FloatArray
    """[N, T+1, D] the same elements without noise or delay (privileged)."""
    achieved_goal: FloatArray
    """[N, T+1, G]"""
    desired_goal: FloatArray
    """[N, G] one goal an episode."""
    action: FloatArray
    """[N, T, A] in [-1, 1]."""
    reward: FloatArray
    """[N, T]"""
    mask: FloatArray
    """[N, T] 1 where the step happened, 0 in the padding."""
    success: FloatArray
    """[N, T+1] 1 where the goal is fulfilled."""
    dynamics: FloatArray
    """[N, P] privileged dynamics vector mu, scaled to [-1, 1] over the training range."""
    dynamics_values: FloatArray
    """[N, P] the same parameters in their physical unit."""

    def __len__(self) -> int:
        return len(self.desired_goal)


class Policy(Protocol):
    """Acts on a batch of N environments. Recurrent state goes in and comes out; nothing is hidden in the object."""

    def initial_state(self, n: int) -> PolicyState:
        """State of N environments at the start of an episode."""
        ...

    def act(self, obs: Obs, state: PolicyState, *, deterministic: bool) -> tuple[FloatArray, PolicyState]:
        """Actions ``[N, A]`` in [-1, 1], float32, and the next state."""
        ...


class GoalVectorEnv(Protocol):
    """The part of the vector environment that learners and evaluation use (see ``sim2real.envs.vector``).

    All N episodes begin together and last ``task.horizon`` steps; the caller resets. Those of other libraries' tasks
    may end before (``terminated`` or ``truncated``; RDPG learns where it is ``truncated`` alone), and keep their last
    observation then. Episode k of a seed is the same episode whatever N is and whatever was run before.
    """

    num_envs: int
    task: TaskSpec

    def reset(self, *, seed: int | None = None) -> tuple[Obs, dict[str, Any]]:
        """Start the next N episodes; ``seed`` restarts the sequence of episodes at number 0.
        ``info["dynamics_values"]`` is [N, P]."""
        ...

    def step(self, actions: FloatArray) -> tuple[Obs, FloatArray, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """gymnasium's ``VectorEnv.step``; ``info["is_success"]`` is [N], NaN where the
        task has no success."""
        ...

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any = None) -> Any:
        """Sparse reward over the last axis, for numpy arrays and for torch tensors."""
        ...

    def state_dict(self) -> State: ...

    def load_state_dict(self, state: State) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class Demonstrator(Protocol):
    """An environment with a hand-written policy for its task."""

    def demonstrate(self, obs: Obs) -> FloatArray:
        """What that policy does, [N, A] in [-1, 1], float32; it has no memory."""
        ...


class Algorithm(Protocol):
    """Something that gathers experience and learns from it. Nothing else drives training."""

    @property
    def policy(self) -> Any:
        """What was learned so far, as the module that is scored and saved: for robot tasks a deterministic `Policy`."""
        ...

    def collect(self) -> tuple[int, Metrics]:
        """Gather experience; return how many samples (env steps, tasks, architectures) it cost."""
        ...

    def update(self) -> Metrics:
        """Learn from what was collected."""
        ...

    def state_dict(self) -> State:
        """Everything needed to continue bit for bit: weights, optimisers, replay, environments, generators."""
        ...

    def load_state_dict(self, state: State) -> None: ...
