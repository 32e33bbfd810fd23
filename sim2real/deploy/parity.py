"""The proof that travels with a bundle: a golden rollout, replayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sim2real.deploy.bundle import Bundle


def replay_error(bundle: Bundle, golden: Mapping[str, NDArray[Any]]) -> float:
    """Feed S recorded readings to a runner; largest difference of actions (in [-1, 1]) and memory.

    Memory above 1 is compared relative to its size: an LSTM's cells grow to 100 within an episode, where a float32 is
    known to 1e-5 only.

    Args:
        bundle: the policy; its runner keeps its own memory and previous action, as on the robot.
        golden: ``readings [S, R]``, ``step [S]`` (within its episode; 0 starts one), ``actions [S, A]`` in physical
            units, and for each memory tensor its value after the step, ``h [S, L, 1, H]``.
    """
    from sim2real.deploy.runner import BundleRunner  # the runner opens bundles, and bundles replay with the runner

    runner, worst = BundleRunner(bundle), 0.0
    scale = np.asarray(bundle.contract.action_scale)
    for t, readings in enumerate(golden["readings"]):
        if golden["step"][t] == 0:
            runner.reset()
        action = runner.step(readings)
        errors = [np.abs((action - golden["actions"][t]) / scale).max()]
        errors += [_relative(s, golden[name][t]) for name, s in zip(bundle.contract.state, runner.state, strict=True)]
        # np.maximum, unlike max, lets a NaN through.
        worst = float(np.maximum.reduce([worst, *errors]))
    return worst


def _relative(found: NDArray[Any], expected: NDArray[Any]) -> Any:
    """Largest difference, in units of what is expected where that is above 1."""
    return (np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max()
