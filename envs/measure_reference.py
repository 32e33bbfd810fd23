"""Measure the table in ``reference.py``: ``python -m sim2real.envs.measure_reference`` prints it.

Half of the episodes act at random, half follow `scripted`, all under nominal dynamics, so that the table covers what an
untrained and a trained policy see.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.envs.scripted import scripted
from sim2real.envs.tasks import TASKS
from sim2real.envs.vector import make_vec

Array = NDArray[np.float64]
FALLEN = 0.025
"""Frames with an object that much below its resting height (in metres) are left out: one that falls to the floor is
fast, and no sensor's concern."""


def measure(task: str, num_envs: int = 64, batches: int = 4, seed: int = 0) -> Array:
    """[D] standard deviation of each observation element over ``batches * num_envs`` episodes."""
    env = make_vec(task, num_envs, "nominal", seed=seed)
    rng = np.random.default_rng(seed)
    size = (num_envs, len(env.task.action))
    rows: list[Any] = []
    for _ in range(batches):
        obs, _ = env.reset()
        least = obs["achieved_goal"][:, 2] - FALLEN
        rows.append(obs["state"])
        for _ in range(env.task.horizon):
            actions = rng.uniform(-1, 1, size)
            actions[::2] = np.clip(scripted(task, obs) + rng.normal(0, 0.2, size), -1, 1)[::2]
            obs, *_ = env.step(actions.astype(np.float32))
            standing = obs["achieved_goal"][:, 2] > least
            rows.append(obs["state"][standing if "object" in env.definition.features else slice(None)])
    env.close()
    return np.asarray(np.concatenate(rows).std(axis=0))


def main() -> None:
    """Print the table as Python."""
    for task in TASKS:
        numbers = ", ".join(f"{float(f'{x:.3g}'):g}" for x in measure(task))
        print(f'    "{task}": ({numbers}),')


if __name__ == "__main__":
    main()
