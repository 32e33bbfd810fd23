"""Contracts without a model: enough for the parts of deployment that never ask the policy."""

from __future__ import annotations

from collections.abc import Sequence

from sim2real.deploy.contract import Contract
from sim2real.types import Element, Term


def element(name: str, kind: str = "", unit: str = "m", frame: str = "world") -> Element:
    return Element(name, unit, kind, frame)


def contract(
    sensors: Sequence[Element], actions: Sequence[Element], commands: Sequence[Element] = (), control_dt: float = 0.04
) -> Contract:
    """A contract of a policy without memory whose actions are in [-1, 1]."""
    n = len(actions)
    return Contract(
        task="Toy",
        control_dt=control_dt,
        terms=(Term("observation", "sensor", tuple(sensors)), Term("desired_goal", "command", tuple(commands))),
        action_elements=tuple(actions),
        action_scale=(1.0,) * n,
        action_offset=(0.0,) * n,
        action_low=(-1.0,) * n,
        action_high=(1.0,) * n,
        rate_limit=(2.0,) * n,
        state={},
        delays={"observation": (0.0, 0.0), "action": (0.0, 0.0)},
        tolerance=1e-5,
        document={},
    )
