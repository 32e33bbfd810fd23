"""What a bundle says about its own success: measured with the exported files, through the code that runs on a robot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy import Bundle, BundlePolicy
from sim2real.deploy.simulate import readings_of
from sim2real.estimates import Estimate
from sim2real.evaluate import evaluate
from sim2real.types import FloatArray, GoalVectorEnv, Obs


@dataclass(frozen=True)
class Setting:
    """One set of dynamics to evaluate under."""

    make_env: Callable[[], GoalVectorEnv]
    dynamics: Mapping[str, Any]
    """The set in full, for the contract and the model card."""


def evaluate_bundle(settings: Mapping[str, Setting], episodes: int, seed: int, bundle: Bundle) -> dict[str, Any]:
    """Entries of the contract: success on episodes 0 to ``episodes`` - 1 of ``seed`` under each set of dynamics."""
    watch, summaries = Watch(bundle), {}
    for name, setting in settings.items():
        env = setting.make_env()
        summaries[name] = evaluate(watch, env, episodes=episodes, seed=seed).summary()
        env.close()
    judged = any(summary["success"].n for summary in summaries.values())
    what = f"episodes 0 to {episodes - 1} of seed {seed} under each set of dynamics"
    how = {
        "what": what + ", success judged at the last step" * judged,
        "columns": ["dynamics", "episodes"],
        "seed": seed,
        "episodes": episodes,
        "dynamics": {name: setting.dynamics for name, setting in settings.items()},
    }
    return entries(watch, summaries, how)


def entries(watch: Watch, summaries: Mapping[str, Mapping[str, Estimate]], how: Mapping[str, Any]) -> dict[str, Any]:
    """Entries of the contract for what a watched bundle achieved.

    Args:
        watch: the bundle.
        summaries: setting -> metric -> estimate.
        how: ``what`` was measured, in words; the ``columns`` of the card that name a setting and count what was
            averaged; whatever else repeats the measurement.

    Returns:
        ``evaluation``, ``{setting: {metric: {"value", "low", "high", "n"}}}``; ``evaluated``, how it was measured, with
        the number of control steps in which the safety filter (without its ramp) sent something else than what the
        policy said; and ``seen``, the range of the readings.
    """
    evaluation = {
        name: {metric: estimate.to_json() for metric, estimate in summary.items() if estimate.n}
        for name, summary in summaries.items()
    }
    evaluated = {"through": "runner and safety filter", "backend": watch.bundle.backend.name, **how}
    evaluated |= {"steps": watch.steps, "interventions": watch.interventions}
    return {"evaluation": evaluation, "evaluated": evaluated, "seen": watch.seen()}


class Watch(BundlePolicy):
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
