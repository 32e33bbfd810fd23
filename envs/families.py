"""Families of tasks by name. A family is a frozen dataclass: its fields are what a configuration may set."""

from __future__ import annotations

from sim2real.envs.bandits import Bandits
from sim2real.envs.fetch_family import FetchDynamics
from sim2real.envs.half_cheetah import HalfCheetah
from sim2real.envs.navigation import Navigation
from sim2real.envs.tabular_mdps import TabularMDPs

FAMILIES: dict[str, type] = {
    "bandits": Bandits,
    "fetch_dynamics": FetchDynamics,
    "half_cheetah": HalfCheetah,
    "navigation": Navigation,
    "tabular_mdps": TabularMDPs,
}
