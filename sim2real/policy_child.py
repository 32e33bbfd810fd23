"""A policy network's worth: a short training of the recurrent agent with it, and a time trial of the exported model."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from sim2real.agents import AGENTS
from sim2real.envs import make_vec
from sim2real.envs.policy_networks import PolicyChildConfig, agent_options, latency_factor
from sim2real.evaluate import evaluate
from sim2real.onnx_export import onnx_bytes
from sim2real.search_types import Labels
from sim2real.seeding import component_seed

_BLOCKS, _STEPS = 7, 100


def score_policy(labels: Labels, config: PolicyChildConfig, seed: int) -> dict[str, float]:
    """Train with the network and score it: ``reward`` is success times the latency factor."""
    entry = AGENTS["rdpg"]
    options = entry.config(**agent_options(labels, config), overlap=False)
    env = make_vec(config.task, config.num_envs, config.dynamics, component_seed(seed, "training"), 1)
    test = make_vec(config.task, min(16, config.episodes), config.dynamics, threads=1)
    agent: Any = entry.build(options, env, seed=seed, device="cpu")
    successes = []
    for round_ in range(1, config.evaluate_after[-1] + 1):
        agent.collect()
        agent.update()
        if round_ in config.evaluate_after:
            found = evaluate(agent.policy, test, episodes=config.episodes, seed=component_seed(seed, "evaluation"))
            successes.append(float(found.success.mean()))
    env.close()
    test.close()
    latency = exported_latency(agent.policy)
    success = float(np.mean(successes))
    return {
        "reward": success * latency_factor(latency, config.latency_budget),
        "success": success,
        "final_success": successes[-1],
        "latency_us": latency,
        "parameters": float(sum(p.numel() for p in agent.policy.parameters())),
    }


def exported_latency(policy: torch.nn.Module) -> float:
    """Time of one step of the exported model in onnxruntime, one thread (in microseconds).

    The median of the quietest of several blocks: others may be computing on this machine.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    model: Any = policy
    session = onnxruntime.InferenceSession(onnx_bytes(model), options, providers=["CPUExecutionProvider"])
    feed = {i.name: np.zeros(i.shape, np.float32) for i in session.get_inputs()}
    blocks = []
    for _ in range(_BLOCKS + 1):
        times = []
        for _ in range(_STEPS):
            begin = time.perf_counter()
            session.run(None, feed)
            times.append(time.perf_counter() - begin)
        blocks.append(float(np.median(times)))
    return 1e6 * min(blocks[1:])  # the first block warms up
