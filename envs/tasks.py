"""Every task by its name."""

from __future__ import annotations

from sim2real.envs import fetch, puck
from sim2real.envs.task import Task

TASKS: dict[str, Task] = {**fetch.TASKS, puck.PUCK.name: puck.PUCK}
