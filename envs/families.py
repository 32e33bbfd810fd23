"""Families of tasks by name. A family is a frozen dataclass: its fields are what a configuration may set."""

from __future__ import annotations

from sim2real.envs.bandits import Bandits
from sim2real.envs.navigation import Navigation
from sim2real.envs.tabular_mdps import TabularMDPs

FAMILIES: dict[str, type] = {"bandits": Bandits, "navigation": Navigation, "tabular_mdps": TabularMDPs}
