"""A simulated robot: any of our environments behind the `Robot` protocol, so that the loop, the filter and the policy
run as on a real one."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim2real.deploy.contract import Contract
from sim2real.deploy.robot import Reading
from sim2real.deploy.safety_config import is_position_target
from sim2real.deploy.simulate import check_task, readings_of


@dataclass(frozen=True)
class Outcome:
    """How an episode stands."""

    success: bool | None
    """None where the environment knows no success."""
    distance: float | None
    """From the achieved to the desired goal (in the goal's unit); None without a goal."""
    episode_return: float
    """Sum of rewards."""


class SimRobot:
    """One environment, driven by the clock: `sleep_until` moves the world, a command stays in force until the next.

    Without ``realtime`` the clock is the simulation's: nothing is ever late, and a run gives the same episodes as the
    evaluation of the same seed. With it the clock is the wall's: a late loop finds that the world has moved on, by the
    command sent last. Delays and lost frames are part of the simulated dynamics; the stamp says when a frame arrived
    at the loop, which is all that the policy was trained to rely on.
    """

    def __init__(self, contract: Contract, env: Any, *, seed: int = 0, realtime: bool = False) -> None:
        """Take ``env``, a `sim2real.types.GoalVectorEnv` with one environment; episodes come from ``seed``.

        Raises:
            BundleError: it is not the task of the contract.
        """
        check_task(contract, env.task)
        if env.num_envs != 1:
            raise ValueError(f"a robot is one environment, got {env.num_envs}")
        self._contract, self._env, self._seed, self._realtime = contract, env, seed, realtime
        self._dt, self._horizon = contract.control_dt, int(env.task.horizon)
        # In float32, as the policy's own: a command that the filter left alone is bit for bit the action it came from.
        self._scale = np.asarray(contract.action_scale, np.float32)
        self._offset = np.asarray(contract.action_offset, np.float32)
        self._keeps = np.array([is_position_target(element.kind) for element in contract.action_elements])
        # Standstill; for a position target, which has none before it is measured, the middle of its range.
        self._rest = np.where(self._keeps, self._offset, np.float32(0))
        self._command = self._rest
        self._wall = time.monotonic()
        self._started, self._steps, self._ended, self._return = 0.0, 0, True, 0.0
        self._obs: Any = None
        self._info: Any = None

    # ---- episodes ----------------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether the episode has ended, or none has begun."""
        return self._ended

    @property
    def outcome(self) -> Outcome:
        """Of the episode so far."""
        goal, success = self._obs["desired_goal"][0], float(self._info["is_success"][0])
        distance = float(np.linalg.norm(self._obs["achieved_goal"][0] - goal)) if len(goal) else None
        return Outcome(bool(success) if math.isfinite(success) else None, distance, self._return)

    def begin(self) -> None:
        """Set up the next episode; the robot stands still until the first command."""
        began = self.now()
        self._obs, self._info = self._env.reset(seed=self._seed if self._obs is None else None)
        self._command = self._rest
        # With a wall clock, the episode begins when the world is ready; setting it up takes time.
        self._started, self._steps = self.now() if self._realtime else began, 0
        self._ended, self._return = False, 0.0

    # ---- Robot -------------------------------------------------------------------------------------------------------

    def read(self) -> Reading | None:
        if self._obs is None:
            return None
        values = readings_of(self._contract, self._obs)[0].tolist()
        return Reading(self._simulated(), dict(zip(self._contract.readings, values, strict=True)))

    def write(self, command: Mapping[str, float]) -> None:
        self._command = np.array([command[name] for name in self._contract.action], np.float32)

    def hold(self) -> None:
        self._command = np.where(self._keeps, self._command, np.float32(0))

    def now(self) -> float:
        return time.monotonic() - self._wall if self._realtime else self._simulated()

    def sleep_until(self, time_: float) -> None:
        # Before the wait: the command stands, and the time that the simulation takes should not make the loop late. A
        # thousandth of a period: sums of periods are not exact.
        while not self.over and self._started + (self._steps + 1) * self._dt <= time_ + 1e-3 * self._dt:
            action = ((self._command - self._offset) / self._scale)[None]
            self._obs, reward, terminated, truncated, self._info = self._env.step(action)
            self._steps, self._return = self._steps + 1, self._return + float(reward[0])
            self._ended = bool(terminated[0] or truncated[0]) or self._steps >= self._horizon
        if self._realtime and (left := time_ - self.now()) > 0:
            time.sleep(left)

    def close(self) -> None:
        self._env.close()

    def _simulated(self) -> float:
        return self._started + self._steps * self._dt if self._obs is not None else 0.0
