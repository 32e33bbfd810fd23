"""Families of tasks by name. A family is a frozen dataclass: its fields are what a configuration may set."""

from __future__ import annotations

import importlib

FAMILIES = {
    "ant": ("sim2real.envs.ant", "Ant"),
    "bandits": ("sim2real.envs.bandits", "Bandits"),
    "fetch_dynamics": ("sim2real.envs.fetch_family", "FetchDynamics"),
    "half_cheetah": ("sim2real.envs.half_cheetah", "HalfCheetah"),
    "navigation": ("sim2real.envs.navigation", "Navigation"),
    "tabular_mdps": ("sim2real.envs.tabular_mdps", "TabularMDPs"),
}
"""Module and class of each; imported when asked for, because `sim2real list` should not wait for torch."""


def family_type(name: str) -> type:
    """The dataclass of a family."""
    module, cls = FAMILIES[name]
    found: type = getattr(importlib.import_module(module), cls)
    return found
