"""Measure the table in ``reference.py``: ``python -m sim2real.envs.measure_reference`` prints it.

Half of the episodes act at random, half follow `scripted`, all under nominal dynamics, so that the table covers what an
untrained and a trained policy see.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.envs.fetch import HORIZON, TASKS
from sim2real.envs.scripted import scripted
from sim2real.envs.vector import make_vec

Array = NDArray[np.float64]
ON_TABLE = 0.4
"""Frames with a lower object (in metres) are left out: one that falls to the floor is fast, and no sensor's concern."""


def measure(task: str, num_envs: int = 64, batches: int = 4, seed: int = 0) -> Array:
    """[D] standard deviation of each observation element over ``batches * num_envs`` episodes."""
    env = make_vec(task, num_envs, "nominal", seed=seed)
    rng = np.random.default_rng(seed)
    rows: list[Any] = []
    for _ in range(batches):
        obs, _ = env.reset()
        rows.append(obs["state"])
        for _ in range(HORIZON):
            actions = rng.uniform(-1, 1, (num_envs, 4))
            actions[::2] = np.clip(scripted(task, obs) + rng.normal(0, 0.2, (num_envs, 4)), -1, 1)[::2]
            obs, *_ = env.step(actions.astype(np.float32))
            rows.append(obs["state"])
    env.close()
    table = np.concatenate(rows)
    if env.fetch.has_object:
        table = table[table[:, 5] > ON_TABLE]
    return np.asarray(table.std(axis=0))


def main() -> None:
    """Print the table as Python."""
    for task in TASKS:
        numbers = ", ".join(f"{float(f'{x:.3g}'):g}" for x in measure(task))
        print(f'    "{task}": ({numbers}),')


if __name__ == "__main__":
    main()
