"""A contract and a runner without a model: what the safety filter is tested with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.contract import Contract
from sim2real.deploy.robot import Reading
from sim2real.types import Element, Term

MOTION, POSITION = "target/body/displacement", "target/joint/position"


def make_contract(
    kinds: Sequence[str] = (MOTION,),
    *,
    low: Sequence[float] = (-1.0,),
    high: Sequence[float] = (1.0,),
    rate: Sequence[float] = (2.0,),
    dt: float = 0.1,
    observation_delay_ms: float = 0.0,
    prefix: str = "a",
) -> Contract:
    """Actions ``a0``, ``a1``, ... (or another ``prefix``); readings ``a0``, ``a1``, ... (their measured positions),
    ``other``, and ``goal``."""
    names = [f"a{i}" for i in range(len(kinds))]
    sensors = tuple(Element(name, "m", "state/joint/position") for name in (*names, "other"))
    return Contract(
        task="Fake",
        control_dt=dt,
        terms=(Term("observation", "sensor", sensors), Term("desired_goal", "command", (Element("goal", "m"),))),
        action_elements=tuple(Element(f"{prefix}{i}", "m", kind) for i, kind in enumerate(kinds)),
        action_scale=(1.0,) * len(kinds),
        action_offset=(0.0,) * len(kinds),
        action_low=tuple(low),
        action_high=tuple(high),
        rate_limit=tuple(rate),
        state={},
        delays={"observation": (0.0, observation_delay_ms), "action": (0.0, 0.0)},
        tolerance=1e-5,
        document={},
    )


@dataclass
class _Bundle:
    contract: Contract


class FakeRunner:
    """Answers with ``policy(vector)``; notes everything it is asked and told."""

    def __init__(self, contract: Contract, policy: Callable[[NDArray[np.float32]], Any]) -> None:
        self.bundle, self.policy = _Bundle(contract), policy
        self.seen: list[NDArray[np.float32]] = []
        self.told: list[NDArray[np.float64]] = []
        self.resets = 0

    def reset(self) -> None:
        self.resets += 1

    def step(self, readings: NDArray[np.float32], /) -> Any:
        assert np.isfinite(readings).all()
        assert readings.shape == (len(self.bundle.contract.readings),)
        self.seen.append(readings)
        return self.policy(readings)

    def sent(self, command: NDArray[np.float64], /) -> None:
        self.told.append(command.copy())


def constant(*values: float) -> Callable[[NDArray[np.float32]], Any]:
    """A policy that always says the same."""
    return lambda _: np.array(values, np.float32)


def reading(contract: Contract, stamp: float, *values: float) -> Reading:
    """A reading with these values, in the contract's order; without values, sensors that all show ``stamp``."""
    given = values or (stamp,) * len(contract.readings)
    return Reading(stamp, dict(zip(contract.readings, given, strict=True)))
