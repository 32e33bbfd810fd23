"""Imported before the tests' own imports of mujoco, so that it chooses a renderer that works without a display."""

import sim2real.envs  # noqa: F401
