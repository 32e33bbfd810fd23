"""How long does one update of the recurrent agent take, and what do more goals per unroll of the memory cost?

The memory reads neither goal nor reward, so one unroll serves every relabelled goal and only the heads are repeated.
Beside the update with one goal stand: four goals from one unroll, and four goals from four unrolls (four times the
episodes), which is what an agent without this separation pays. All are timed in turn in one run; medians.

    python benchmarks/learner.py
    python benchmarks/learner.py --quick --preset fetch_push_dr --device cuda
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import statistics
import sys
import time
from pathlib import Path

import torch

from sim2real.agents.rdpg import RDPG
from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.collect import rollout
from sim2real.commands import choose_device, resolve
from sim2real.config import ExperimentConfig
from sim2real.envs import make_vec
from sim2real.provenance import provenance


def variants(agent: RDPGConfig) -> dict[str, RDPGConfig]:
    """The preset's own setting, and the same batch with one goal, four goals, and four times the unrolls."""
    return {
        "preset": agent,
        "one_goal": dataclasses.replace(agent, num_goals=1),
        "four_goals": dataclasses.replace(agent, num_goals=4),
        "four_unrolls": dataclasses.replace(agent, num_goals=1, batch_episodes=4 * agent.batch_episodes),
    }


def build(config: ExperimentConfig, agent: RDPGConfig, device: str) -> RDPG:
    """An agent whose replay holds a few hundred real episodes; collection is not timed."""
    env = make_vec(config.env.task, 16, config.env.dynamics, seed=0, threads=config.env.threads)
    learner = RDPG(dataclasses.replace(agent, overlap=False, capacity=512), env, seed=0, device=device)
    episodes = rollout(env, learner.policy, deterministic=True)
    learner.policy.normalize_obs.update(torch.as_tensor(episodes.observation, device=learner.device))
    for _ in range(16):
        learner.replay.add(episodes)
    return learner


def seconds_per_update(learner: RDPG, updates: int) -> float:
    """Wall seconds of one update, with its sampling and relabelling."""
    _synchronize(learner)
    begin = time.perf_counter()
    for _ in range(updates):
        learner._update_once(learner.replay.sample(learner.config.batch_episodes, learner._draw))
    _synchronize(learner)
    return (time.perf_counter() - begin) / updates


def matmul_flops(device: torch.device, size: int = 1024) -> float:
    """Floating-point operations per second of a square matrix product: this process's bound, measured beside it."""
    a = torch.randn(size, size, device=device)
    for _ in range(3):
        a @ a
    if device.type == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(10):
        a @ a
    if device.type == "cuda":
        torch.cuda.synchronize()
    return 10 * 2 * size**3 / (time.perf_counter() - begin)


def _synchronize(learner: RDPG) -> None:
    if learner.device.type == "cuda":
        torch.cuda.synchronize()


def measure(config: ExperimentConfig, device: str, *, rounds: int, updates: int) -> dict[str, float]:
    """Medians over ``rounds`` in which every variant takes its turn."""
    learners = {name: build(config, agent, device) for name, agent in variants(config.agent).items()}
    for learner in learners.values():
        seconds_per_update(learner, 2)
    times: dict[str, list[float]] = {name: [] for name in learners}
    flops = []
    for _ in range(rounds):
        for name, learner in learners.items():
            times[name].append(seconds_per_update(learner, updates))
        flops.append(matmul_flops(torch.device(device)))
    seconds = {name: statistics.median(values) for name, values in times.items()}
    steps = config.agent.batch_episodes * learners["preset"].env.task.horizon
    return {
        **{f"{name}_ms": 1e3 * value for name, value in seconds.items()},
        "four_goals_vs_one": seconds["four_goals"] / seconds["one_goal"],
        "four_unrolls_vs_one": seconds["four_unrolls"] / seconds["one_goal"],
        "sequence_steps_per_second": steps / seconds["preset"],
        "matmul_gflops": statistics.median(flops) / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="fetch_push_dr", help="preset or YAML file whose agent is timed")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "auto"])
    parser.add_argument("--threads", type=int, default=1, help="torch's threads on the CPU")
    parser.add_argument("--quick", action="store_true", help="a few updates only")
    parser.add_argument("--out", type=Path, default=Path("results/learner.json"), help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config, device = resolve(args.preset, []), choose_device(args.device)
    figures = measure(config, device, rounds=3 if args.quick else 9, updates=3 if args.quick else 10)
    result = {
        "benchmark": "learner",
        "command": shlex.join(["python", *sys.argv]),
        "preset": args.preset,
        "device": device,
        "threads": args.threads,
        **{name: round(value, 3) for name, value in figures.items()},
        **provenance(),
    }
    if not args.quick:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
