"""Fetch tasks under randomised dynamics: ``make_vec`` for training and evaluation, gymnasium ids for everything
else."""

from __future__ import annotations

import ctypes.util
import os
import sys

if sys.platform == "linux" and not os.environ.get("DISPLAY") and "MUJOCO_GL" not in os.environ:
    # MuJoCo chooses its renderer when it is imported. Without libEGL, asking for it makes that import fail.
    if ctypes.util.find_library("EGL"):
        os.environ["MUJOCO_GL"] = "egl"

from sim2real.envs.dynamics import INDEX, PARAMETERS, DynamicsParameter
from sim2real.envs.dynamics_sets import DynamicsError, DynamicsSet, load_dynamics
from sim2real.envs.gym_env import FetchEnv, register
from sim2real.envs.task import Task, compute_reward, is_success
from sim2real.envs.tasks import TASKS, find, id_of, is_task
from sim2real.envs.vector import FetchVectorEnv, make_vec

__all__ = [
    "INDEX",
    "PARAMETERS",
    "TASKS",
    "DynamicsError",
    "DynamicsParameter",
    "DynamicsSet",
    "FetchEnv",
    "FetchVectorEnv",
    "Task",
    "compute_reward",
    "find",
    "id_of",
    "is_success",
    "is_task",
    "load_dynamics",
    "make_vec",
]

register()
