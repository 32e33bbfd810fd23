from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from learner import build, flops_per_update, recurrent_flops
from sim2real.commands import resolve


def test_flops_of_a_recurrent_pass() -> None:
    # 4 gates x 5 units x (3 inputs + 5 units) = 160 weights, two operations each, for 2 x 7 steps
    assert recurrent_flops(nn.LSTM(3, 5, batch_first=True), torch.zeros(2, 7, 3)) == 2 * 2 * 7 * 160


@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_flops_of_an_update_grow_with_what_is_computed(memory: str) -> None:
    config = resolve("fetch_reach", [f"agent.memory={memory}", "agent.batch_episodes=4", "agent.num_goals=1"])
    once = flops_per_update(build(config, config.agent, "cpu"))
    twice = flops_per_update(build(config, dataclasses.replace(config.agent, batch_episodes=8), "cpu"))
    assert twice == 2 * once > 0


def test_the_memory_is_counted() -> None:
    """pi and pi' unroll 51 steps of 4 episodes; the first learns (times 3), the other only looks (times 1)."""
    counts = {}
    for memory in ("none", "lstm"):
        config = resolve("fetch_reach", [f"agent.memory={memory}", "agent.batch_episodes=4"])
        counts[memory] = flops_per_update(build(config, config.agent, "cpu"))
    unroll = 2 * 4 * 51 * (4 * 64 * (64 + 64))
    assert counts["lstm"] - counts["none"] > 4 * unroll
