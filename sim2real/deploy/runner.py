"""One robot, one policy: named readings in, physical action out, memory and previous action kept in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim2real.deploy.bundle import PARITY_FILE, Array, Bundle, load_bundle, verified
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
        self._scale = np.asarray(self.bundle.contract.action_scale, np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget the episode: memory and previous action are zero."""
        self.state = self.bundle.zero_state()
        self.previous_action: Array = np.zeros(len(self._scale), np.float32)

    def step(self, readings: Mapping[str, float] | ArrayLike) -> Array:
        """Action [A] for one control step, in the units of the contract.

        Args:
            readings: every observation and goal element, raw, either by name or as a vector [D+G] in the contract's
                order.

        Raises:
            ObservationError: elements are missing, unknown or not finite. The memory is as before the call, so the
                caller may hold its last command and try again with the next readings.
        """
        vector = checked_readings(readings, self.bundle.contract.readings)
        obs = np.concatenate([vector, self.previous_action])
        action, state = self.bundle.infer(obs, self.state)
        if not np.isfinite(action).all():
            raise BundleError(f"the policy answered {action.tolist()}, which is not finite; stop the robot")
        self.state = state
        self.previous_action = np.clip(action / self._scale, -1.0, 1.0)
        return action

    def self_test(self) -> float:
        """Replay the golden rollout of the bundle; return the largest difference (actions in units of their scale).

        Resets the runner. Raises ``BundleError`` if the difference exceeds the contract's tolerance: this machine
        computes something else than the one that exported the policy.
        """
        path, contract = self.bundle.path, self.bundle.contract
        verified(path, PARITY_FILE, contract.document)
        with np.load(path / PARITY_FILE, allow_pickle=False) as golden:
            worst = replay_error(self, {name: golden[name] for name in golden.files})
        self.reset()
        if not worst <= contract.tolerance:
            raise BundleError(
                f"self-test of {path}: the largest difference from the exported policy is {worst:.2e}, "
                f"allowed are {contract.tolerance:.0e}; do not run this policy on this machine"
            )
        return worst


def replay_error(runner: BundleRunner, golden: Mapping[str, NDArray[Any]]) -> float:
    """Feed S recorded readings to ``runner``; largest absolute difference of actions (in [-1, 1]) and memory.

    Args:
        runner: keeps its own memory and previous action, as on the robot.
        golden: ``readings [S, D+G]``, ``step [S]`` (within its episode; 0 starts one), ``actions [S, A]`` in physical
            units, and for each memory tensor its value after the step, ``h [S, L, 1, H]``.
    """
    scale = np.asarray(runner.bundle.contract.action_scale)
    worst = 0.0
    for t, readings in enumerate(golden["readings"]):
        if golden["step"][t] == 0:
            runner.reset()
        action = runner.step(readings)
        errors = [np.abs((action - golden["actions"][t]) / scale).max()]
        errors += [
            np.abs(s - golden[name][t]).max()
            for name, s in zip(runner.bundle.contract.state, runner.state, strict=True)
        ]
        # np.maximum, unlike max, lets a NaN through.
        worst = float(np.maximum.reduce([worst, *errors]))
    return worst


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
