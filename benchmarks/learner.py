"""How long does one update of the recurrent agent take, and what do more goals per unroll of the memory cost?

The memory reads neither goal nor reward, so one unroll serves every relabelled goal and only the heads are repeated.
Beside the update with one goal stand: four goals from one unroll, and four goals from four unrolls (four times the
episodes), which is what an agent without this separation pays. All are timed in turn in one run; medians. The bound is
the rate of a square matrix product in the same process: what is missing to it is memory traffic, small kernels, Python.

    python benchmarks/learner.py
    python benchmarks/learner.py --quick --preset fetch_push_dr --device cpu
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from publishing import publish
from sim2real.agents.rdpg import RDPG
from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.collect import rollout
from sim2real.commands import choose_device, resolve
from sim2real.config import ExperimentConfig
from sim2real.envs import make_vec


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


def with_foreach_adam(learner: RDPG) -> RDPG:
    """The same agent with torch's default form of Adam: some calls for every operation instead of one for the step."""
    for name, optimizer in learner._optimizers().items():
        groups = [{"params": g["params"], "lr": g["lr"]} for g in optimizer.param_groups]
        setattr(learner, f"{name}_optimizer", torch.optim.Adam(groups, foreach=True))
    return learner


def with_compiled_networks(learner: RDPG) -> RDPG:
    """The same agent with heads and critics compiled (``torch.compile``, shapes fixed); recurrent memories stay."""
    for network in (learner.policy.actor.head, learner.target_actor.head, learner.critic, learner.target_critic):
        network.compile(dynamic=False)
    return learner


def seconds_per_update(learner: RDPG, updates: int) -> float:
    """Wall seconds of one update, with its sampling and relabelling."""
    _synchronize(learner.device)
    begin = time.perf_counter()
    for _ in range(updates):
        learner._update_once(learner.replay.sample(learner.config.batch_episodes, learner._draw))
    _synchronize(learner.device)
    return (time.perf_counter() - begin) / updates


def flops_per_update(learner: RDPG) -> float:
    """Floating-point operations of the matrix products of one update, forward and backward."""
    rnns = [m for n in learner._modules().values() for m in n.modules() if isinstance(m, nn.LSTM | nn.GRU)]
    counter, missed = FlopCounterMode(display=False), [0.0]

    def before(rnn: nn.Module, inputs: Any) -> None:
        missed.append(float(counter.get_total_flops()))

    def after(rnn: nn.LSTM | nn.GRU, inputs: tuple[Tensor, ...], outputs: Any) -> None:
        # The counter does not see into fused recurrent kernels, backward included; into others it does.
        if counter.get_total_flops() == missed.pop():
            missed[0] += recurrent_flops(rnn, inputs[0]) * (3 if torch.is_grad_enabled() else 1)

    hooks = [h for r in rnns for h in (r.register_forward_pre_hook(before), r.register_forward_hook(after))]
    with counter:
        learner._update_once(learner.replay.sample(learner.config.batch_episodes, learner._draw))
    for hook in hooks:
        hook.remove()
    return counter.get_total_flops() + missed[0]


def recurrent_flops(rnn: nn.LSTM | nn.GRU, x: Tensor) -> float:
    """Matrix products of one pass over ``x`` [B, T, I]: ``2 B T gates H (I + H)``."""
    weights = sum(weight.numel() for name, weight in rnn.named_parameters() if "weight" in name)
    return 2.0 * x.shape[0] * x.shape[1] * weights


def matmul_flops(device: torch.device) -> float:
    """Floating-point operations per second of a square matrix product: this process's bound, measured beside it."""
    size = 4096 if device.type == "cuda" else 1024
    a = torch.randn(size, size, device=device)
    for _ in range(3):
        a @ a
    _synchronize(device)
    begin = time.perf_counter()
    for _ in range(10):
        a @ a
    _synchronize(device)
    return 10 * 2 * size**3 / (time.perf_counter() - begin)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def measure(config: ExperimentConfig, device: str, *, rounds: int, updates: int, compiled: bool) -> dict[str, float]:
    """Medians over ``rounds`` in which every variant takes its turn, and the matrix product."""
    learners = {name: build(config, agent, device) for name, agent in variants(config.agent).items()}
    learners["foreach_adam"] = with_foreach_adam(build(config, config.agent, device))
    if compiled:
        learners["compiled"] = with_compiled_networks(build(config, config.agent, device))
    for learner in learners.values():
        seconds_per_update(learner, 2)
    times: dict[str, list[float]] = {name: [] for name in learners}
    flops = []
    for _ in range(rounds):
        for name, learner in learners.items():
            times[name].append(seconds_per_update(learner, updates))
        flops.append(matmul_flops(torch.device(device)))
    return figures(learners, {name: statistics.median(t) for name, t in times.items()}, statistics.median(flops))


def figures(learners: dict[str, RDPG], seconds: dict[str, float], bound: float) -> dict[str, float]:
    """Ratios and rates from seconds per update and the bound (in floating-point operations per second).

    A sequence step is one step of one episode of a batch: what a memory unrolls. A goal is one relabelled transition:
    what the heads are evaluated on.
    """
    config, task = learners["preset"].config, learners["preset"].env.task
    steps = config.batch_episodes * task.horizon
    goals = config.batch_episodes * (config.steps_per_episode or task.horizon) * config.num_goals
    # Nothing can be counted in compiled code.
    gflop = {name: flops_per_update(learner) / 1e9 for name, learner in learners.items() if name != "compiled"}
    found = {
        **{f"{name}_ms": 1e3 * value for name, value in seconds.items()},
        "four_goals_vs_one": seconds["four_goals"] / seconds["one_goal"],
        "four_unrolls_vs_one": seconds["four_unrolls"] / seconds["one_goal"],
        "foreach_adam_vs_fused": seconds["foreach_adam"] / seconds["preset"],
        "sequence_steps_per_second": steps / seconds["preset"],
        "goals_per_second": goals / seconds["preset"],
        "preset_gflop": gflop["preset"],
        "matmul_gflops": bound / 1e9,
        **{f"{name}_share_of_bound": 1e9 * gflop[name] / seconds[name] / bound for name in gflop},
    }
    if "compiled" in seconds:
        found["compiled_vs_preset"] = seconds["compiled"] / seconds["preset"]
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """Time the update on every device, write and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="fetch_push_dr", help="preset or YAML file whose agent is timed")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], nargs="+", help="default: cpu and, where there is one, cuda"
    )
    parser.add_argument("--threads", type=int, default=1, help="torch's threads on the CPU")
    parser.add_argument("--quick", action="store_true", help="a few updates only, nothing compiled")
    parser.add_argument("--out", type=Path, default=Path("results/learner.json"), help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    devices = args.device or ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    config, rounds = resolve(args.preset, []), 3 if args.quick else 9
    updates, compiled = (3, False) if args.quick else (10, True)
    found = {d: measure(config, choose_device(d), rounds=rounds, updates=updates, compiled=compiled) for d in devices}
    result = {
        "preset": args.preset,
        "threads": args.threads,
        "figures": found[devices[0]],
        "figures_of": {"device": devices[0]},
        "devices": found,
        "gpu": torch.cuda.get_device_name() if "cuda" in devices else None,
    }
    publish("learner", result, None if args.quick else args.out)


if __name__ == "__main__":
    main()
