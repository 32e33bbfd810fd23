"""Small untrained policies and their bundles, shared by the tests of export and deployment."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.agents.rdpg_networks import RDPGPolicy
from sim2real.types import TaskSpec
from tests.toys import toy_task

META = {"algorithm": "rdpg", "env": {"task": "Toy"}, "samples": 7, "eval": {"success": 0.5}}
# Sizes and scales all differ, so that no mix-up of order or unit goes unnoticed; 13 episodes make 100 steps.
TASK = dataclasses.replace(
    toy_task(horizon=8, observation=5, goal=3, action=4, dynamics=2), action_scale=(0.05, 0.1, 0.5, 1.0)
)


def make_policy(memory: Any, task: TaskSpec = TASK) -> RDPGPolicy:
    """An untrained policy with normalisers that have seen something."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        policy = RDPGPolicy(RDPGConfig(memory=memory, memory_units=16, hidden=(24, 24), history=3), task)
        policy.normalize_obs.update(3 + 2 * torch.randn(50, task.sizes["observation"]))
        policy.normalize_goal.update(-1 + 0.5 * torch.randn(50, task.sizes["goal"]))
    return policy.eval()
