"""A bundle as a policy of the evaluator: every command goes through runner and safety filter, as on a robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.bundle import Array, Bundle
from sim2real.deploy.robot import Reading
from sim2real.deploy.runner import BundleRunner, ObservationError
from sim2real.deploy.safety import SafetyConfig, SafetyFilter
from sim2real.deploy.simulate import readings_of

NO_RAMP = SafetyConfig(ramp_steps=0)
"""The filter's defaults; episodes of a simulation begin at full speed, as those of the training did."""


@dataclass(frozen=True)
class _Driven:
    """One simulated robot in the middle of an episode."""

    safety: SafetyFilter
    time: float
    """Of its clock (in seconds)."""


class BundlePolicy:
    """A bundle as a `sim2real.types.Policy`, so that the one evaluator scores it like any other policy.

    The state is one filter, with its runner and its memory, for each of the N environments. A step drives the filters
    on, so a state can't be used twice.
    """

    def __init__(self, bundle: Bundle, safety: SafetyConfig = NO_RAMP) -> None:
        contract = bundle.contract
        self.bundle, self.safety = bundle, safety
        self.steps = 0
        """Control steps of all environments since this object was made."""
        self.interventions = 0
        """Those in which what was sent differs from what the policy said."""
        self._scale = np.asarray(contract.action_scale, np.float32)
        self._offset = np.asarray(contract.action_offset, np.float32)

    def initial_state(self, n: int) -> tuple[_Driven, ...]:
        return tuple(_Driven(SafetyFilter(BundleRunner(self.bundle), self.safety), 0.0) for _ in range(n))

    def act(
        self, obs: Mapping[str, NDArray[Any]], state: tuple[_Driven, ...], *, deterministic: bool
    ) -> tuple[Array, tuple[_Driven, ...]]:
        """Normalised actions [N, A]; an exported policy is always deterministic.

        Raises:
            ObservationError: the environment's readings are not as many as the contract's.
        """
        names, dt = self.bundle.contract.readings, self.bundle.contract.control_dt
        vectors = readings_of(self.bundle.contract, obs)
        if vectors.shape[1] != len(names):
            raise ObservationError(f"the environment has {vectors.shape[1]} readings, the contract {len(names)}")
        commands = []
        for vector, robot in zip(vectors, state, strict=True):
            reading = Reading(robot.time, dict(zip(names, vector.tolist(), strict=True)))
            commands.append(self._command(robot.safety, reading))
        actions = (np.array(commands) - self._offset) / self._scale
        return actions.astype(np.float32), tuple(replace(robot, time=robot.time + dt) for robot in state)

    def _command(self, safety: SafetyFilter, reading: Reading) -> NDArray[np.float64]:
        decision = safety.step(reading, reading.stamp)
        self.steps += 1
        # The limits are float64, the policy float32: at a limit they differ by rounding.
        same = decision.raw_action is not None and np.allclose(
            (decision.command - decision.raw_action) / self._scale, 0, atol=1e-6
        )
        self.interventions += not same
        return decision.command
