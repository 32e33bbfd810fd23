"""Reference standard deviation of every observation element: what a noise level of 1 means.

Peng et al. 2017 take 5 % of each feature's *running* standard deviation, which makes the noise depend on the policy
and on the moment. Here the deviations are measured once (`sim2real.envs.measure_reference`) and fixed, so that an
episode is the same whoever acts in it. Those of an arm of one's own are measured when it is loaded.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from sim2real.envs.dynamics import PARAMETERS
from sim2real.envs.signals import Segment
from sim2real.envs.task import Task

# fmt: off
STD: dict[str, tuple[float, ...]] = {
    "FetchReach": (
        0.0865, 0.094, 0.0784, 5.33e-05, 1.44e-06, 0.0118, 0.0118, 0.0116, 0.00111, 0.00109,
    ),
    "FetchPush": (
        0.0885, 0.0929, 0.0488, 0.0921, 0.0968, 0.00114, 0.097, 0.107, 0.0489, 2.4e-07, 0.000159, 0.214,
        0.0912, 0.229, 0.0121, 0.0122, 0.0124, 0.0291, 0.0298, 0.0347, 0.0123, 0.0125, 0.0123, 0.00181,
        0.00189,
    ),
    "FetchSlide": (
        0.14, 0.112, 0.0491, 0.177, 0.115, 0.000669, 0.11, 0.103, 0.0491, 4.82e-07, 0.000228, 0.0828, 0.0799,
        0.236, 0.0127, 0.0122, 0.0122, 0.0146, 0.022, 0.0248, 0.0126, 0.0123, 0.0122, 0.0018, 0.00185,
    ),
    "FetchPickAndPlace": (
        0.0871, 0.092, 0.0927, 0.0955, 0.1, 0.0836, 0.0908, 0.104, 0.0723, 0.0161, 0.0161, 0.148, 0.0556,
        0.0906, 0.0115, 0.0118, 0.0133, 0.0235, 0.0146, 0.016, 0.0126, 0.0126, 0.014, 0.0194, 0.0194,
    ),
    "FetchPuck": (
        0.203, 0.184, 0.174, 0.158, 0.187, 0.258, 0.301, 0.0336, 0.144, 0.037, 0.386, 0.0437, 0.225,
        0.103, 0.588, 0.658, 0.593, 0.745, 0.688, 0.911, 0.914, 0.133, 0.152, 0.107, 0.262, 0.292,
        0.193, 0.204, 0.15, 0.304, 0.146, 0.22, 0.254, 0.415, 0.422, 0.348, 0.109, 0.107, 0.00103,
        0.143, 0.168, 0.107, 0.00272, 0.00364, 0.014, 0.0274, 0.127, 0.135, 0.0273, 0.197, 0.201, 0.226,
    ),
}
# fmt: on


EPISODES = 8
"""Of random actions, where a task is not in the table."""


def reference_std(task: Task) -> NDArray[np.float64]:
    """[D] reference standard deviations in the elements' units; of a task that is not in the table, measured now."""
    return np.array(STD[task.name]) if task.name in STD else _measured(task)


@functools.cache
def _measured(task: Task) -> NDArray[np.float64]:
    """[D] over some episodes of random actions under nominal dynamics, always the same ones."""
    rng, start, spec = np.random.default_rng(0), task.initial(), task.spec(())
    robot, substeps = task.robot(start), round(task.control_dt / start.model.opt.timestep)
    commands = np.zeros((task.horizon + 1, len(spec.action)))
    readings = np.zeros((EPISODES, 2 * len(commands), task.reading_size))
    values = np.array([p.nominal for p in PARAMETERS])
    for episode in readings:
        # Near, so that some of them move it.
        place = task.sample_near_start(start, rng) if "object" in task.features else None
        commands[:-1] = rng.uniform(-1, 1, commands[:-1].shape) * spec.action_scale
        robot.reset(values, place, episode[0])
        for t in range(task.horizon):
            robot.step([Segment(t, substeps, None)], commands, episode, t + 1)
    seen = readings[:, : task.horizon + 1].reshape(-1, task.reading_size)
    return np.asarray(task.observation(seen).std(axis=0))
