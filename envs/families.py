"""Families of tasks by name. A family is a frozen dataclass: its fields are what a configuration may set."""

from __future__ import annotations

from sim2real.envs.navigation import Navigation

FAMILIES: dict[str, type] = {"navigation": Navigation}
