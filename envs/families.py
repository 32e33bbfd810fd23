"""Families of tasks by name. A family is a frozen dataclass: its fields are what a configuration may set."""

from __future__ import annotations

from sim2real.envs.fetch_family import FetchDynamics
from sim2real.envs.half_cheetah import HalfCheetah
from sim2real.envs.navigation import Navigation

FAMILIES: dict[str, type] = {"navigation": Navigation, "half_cheetah": HalfCheetah, "fetch_dynamics": FetchDynamics}
