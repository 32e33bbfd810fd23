"""Observation spaces of goal environments."""

from __future__ import annotations

from collections.abc import Mapping

import gymnasium
import numpy as np


def observation_space(sizes: Mapping[str, int]) -> gymnasium.spaces.Dict:
    """Space of one environment whose task has these widths (`TaskSpec.sizes`)."""
    widths = {
        "observation": sizes["observation"],
        "achieved_goal": sizes["goal"],
        "desired_goal": sizes["goal"],
        "dynamics": sizes["dynamics"],
        "state": sizes["observation"],
    }
    return gymnasium.spaces.Dict(
        {key: gymnasium.spaces.Box(-np.inf, np.inf, (width,), np.float64) for key, width in widths.items()}
    )
