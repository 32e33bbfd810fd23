"""Contracts without a model: enough for the parts of deployment that never ask the policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any


def element(name: str, kind: str = "", unit: str = "m", frame: str = "world") -> dict[str, str]:
    return {"name": name, "unit": unit, "kind": kind, "frame": frame}


def contract(
    sensors: Sequence[Mapping[str, str]],
    actions: Sequence[Mapping[str, str]],
    commands: Sequence[Mapping[str, str]] = (),
    control_dt: float = 0.04,
) -> Any:
    """The part of a contract that adapters read."""
    document = {
        "obs": [
            {"name": "observation", "source": "sensor", "elements": list(sensors)},
            {"name": "desired_goal", "source": "command", "elements": list(commands)},
        ],
        "action": {"elements": list(actions)},
    }
    return SimpleNamespace(
        document=document,
        control_dt=control_dt,
        readings=tuple(e["name"] for e in (*sensors, *commands)),
        action=tuple(e["name"] for e in actions),
    )
