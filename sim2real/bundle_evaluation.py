"""What a bundle says about its own success: measured with the exported files, through the code that runs on a robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy import Bundle, BundlePolicy
from sim2real.deploy.simulate import readings_of
from sim2real.evaluate import evaluate
from sim2real.types import FloatArray, GoalVectorEnv, Obs


@dataclass(frozen=True)
class Setting:
    """One set of dynamics to evaluate under."""

    make_env: Callable[[], GoalVectorEnv]
    dynamics: Mapping[str, Any]
    """The set in full, for the contract and the model card."""


def evaluate_bundle(bundle: Bundle, settings: Mapping[str, Setting], *, episodes: int, seed: int) -> dict[str, Any]:
    """Entries of the contract: ``evaluation`` and the range of readings ``seen`` in it.

    ``evaluation`` is ``{setting: {metric: {"value", "low", "high", "n"}}}`` on episodes 0 to ``episodes`` - 1 of
    ``seed``; ``evaluated`` says how it was measured, and in how many of the control steps the safety filter (without
    its ramp) sent something else than what the policy said.
    """
    watch = _Watch(bundle)
    evaluation = {}
    for name, setting in settings.items():
        env = setting.make_env()
        summary = evaluate(watch, env, episodes=episodes, seed=seed).summary()
        env.close()
        evaluation[name] = {metric: estimate.to_json() for metric, estimate in summary.items() if estimate.n}
    how: dict[str, Any] = {"through": "runner and safety filter", "backend": bundle.backend.name}
    how |= {"seed": seed, "episodes": episodes, "steps": watch.steps, "interventions": watch.interventions}
    dynamics = {name: setting.dynamics for name, setting in settings.items()}
    return {"evaluation": evaluation, "evaluated": {**how, "dynamics": dynamics}, "seen": watch.seen()}


class _Watch(BundlePolicy):
    """The bundle as a policy, noting the range of what it reads."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self._low = np.full(len(bundle.contract.readings), np.inf)
        self._high = -self._low

    def act(self, obs: Obs, state: Any, *, deterministic: bool) -> tuple[FloatArray, Any]:
        readings: NDArray[Any] = readings_of(self.bundle.contract, obs)
        self._low, self._high = np.minimum(self._low, readings.min(0)), np.maximum(self._high, readings.max(0))
        return super().act(obs, state, deterministic=deterministic)

    def seen(self) -> dict[str, list[float]]:
        """Name of a reading -> [least, greatest], to six digits."""
        bounds = zip(self.bundle.contract.readings, self._low.tolist(), self._high.tolist(), strict=True)
        return {name: [float(f"{low:.6g}"), float(f"{high:.6g}")] for name, low, high in bounds}
