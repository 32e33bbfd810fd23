"""Every task by its name."""

from __future__ import annotations

from pathlib import Path

from sim2real.envs import fetch, own_arm, puck
from sim2real.envs.task import Task
from sim2real.errors import UserError, unknown

TASKS: dict[str, Task] = {**fetch.TASKS, puck.PUCK.name: puck.PUCK}
"""Those that come with the package."""


def is_task(name: str) -> bool:
    """Whether a name is that of a task with dynamics: a packaged one, or the YAML file of an arm of one's own."""
    return name in TASKS or Path(name).suffix in (".yaml", ".yml")


def find(name: str) -> Task:
    """A packaged task by its name, or that of an arm by the path of its YAML file. Raises ``UserError``."""
    if name in TASKS:
        return TASKS[name]
    if not is_task(name):
        raise UserError(unknown("task", name, TASKS) + ", or the YAML file of an arm of your own")
    return own_arm.load_arm(name)


def id_of(name: str) -> str:
    """What gymnasium knows a packaged task by: ``FetchPush`` -> ``sim2real/FetchPush-v0``; any other name stays what it
    is."""
    return f"sim2real/{name}-v0" if name in TASKS else name
