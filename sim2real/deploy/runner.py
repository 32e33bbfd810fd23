"""One robot, one policy: named readings in, physical action out, memory and previous action kept in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from sim2real.deploy.bundle import Array, Bundle, load_bundle
from sim2real.deploy.contract import BundleError


class ObservationError(ValueError):
    """Readings that the policy must not see: missing, unknown, of the wrong number, or not finite."""


class BundleRunner:
    """Steps an exported policy.

    Call `reset` at the start of every episode, and whenever the robot was stopped or the loop was interrupted: the
    memory describes what just happened and is wrong after a gap.
    """

    def __init__(self, bundle: Bundle | str | Path) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        contract = self.bundle.contract
        self._scale = np.asarray(contract.action_scale, np.float32)
        self._offset = np.asarray(contract.action_offset, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the episode: memory and previous action (in [-1, 1]) are zero."""
        self.state = self.bundle.zero_state()
        self.previous_action: Array = np.zeros(len(self._scale), np.float32)

    def step(self, readings: Mapping[str, float] | ArrayLike) -> Array:
        """Action [A] for one control step, in the units of the contract.

        Args:
            readings: every element of `Contract.readings`, raw, either by name or as a vector [R] in that order.

        Raises:
            ObservationError: elements are missing, unknown or not finite. The memory is as before the call, so the
                caller may hold its last command and try again with the next readings.
        """
        vector = checked_readings(readings, self.bundle.contract.readings)
        obs = np.concatenate([vector, self.previous_action]) if self.bundle.contract.feeds_back else vector
        action, state = self.bundle.infer(obs, self.state)
        # The memory too: once it is not finite, it stays so and every later action is lost.
        if not all(np.isfinite(part).all() for part in (action, *state)):
            raise BundleError(f"the policy answered {action.tolist()}, or its memory is not finite; stop the robot")
        self.state = state
        self.previous_action = np.clip((action - self._offset) / self._scale, -1.0, 1.0)
        return action

    def sent(self, command: ArrayLike) -> None:
        """Say what the robot was really sent, physical [A], where that was not the action: it is the memory's input."""
        normalised = (np.asarray(command, np.float64) - self._offset) / self._scale
        self.previous_action = np.clip(normalised, -1.0, 1.0).astype(np.float32)


def checked_readings(readings: Mapping[str, float] | ArrayLike, names: Sequence[str]) -> Array:
    """Readings by name or in order -> float32 vector in the order of ``names``; see `BundleRunner.step`."""
    if isinstance(readings, Mapping):
        missing, extra = [n for n in names if n not in readings], [n for n in readings if n not in names]
        if missing or extra:
            raise ObservationError(f"readings do not match the contract: missing {missing}, unknown {extra}")
        readings = [readings[name] for name in names]
    # The robot's and the simulator's numbers are float64; the model takes float32 and nothing else.
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
        vector = np.asarray(readings, np.float32)
    if vector.shape != (len(names),):
        raise ObservationError(f"readings have shape {vector.shape}, expected ({len(names)},): {', '.join(names)}")
    if not np.isfinite(vector).all():
        bad = [f"{name} = {value}" for name, value in zip(names, vector, strict=True) if not np.isfinite(value)]
        raise ObservationError(f"readings are not finite: {', '.join(bad)}; hold the last command or stop")
    return vector
