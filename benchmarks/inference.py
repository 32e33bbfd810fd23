"""How long does one control step of an exported policy take, and how long until a fresh process has its first action?

For each kind of memory: onnxruntime, NumPy and torch (eager, without gradients) in turn on the same readings, batch 1,
one thread, memory fed back. `infer` is the network alone, `step` the whole runner with its checks. On a machine that
does other work p99 is the scheduler's. Beside the times stands how far actions (in [-1, 1]) and memory are from torch
over 20 episodes, each implementation with its own memory and previous action.

    python benchmarks/inference.py
    python benchmarks/inference.py --quick --preset fetch_reach
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from publishing import publish
from sim2real.agents.networks import MemoryKind
from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.agents.rdpg_networks import RDPGPolicy
from sim2real.commands import resolve
from sim2real.deploy import BundleRunner, load_bundle
from sim2real.deploy.bundle import BackendName
from sim2real.deploy.parity import replay_error
from sim2real.envs import TASKS
from sim2real.export import write_bundle
from sim2real.golden import golden_rollout
from sim2real.types import TaskSpec

MEMORIES: tuple[MemoryKind, ...] = ("lstm", "gru", "history", "none")
BACKENDS: tuple[BackendName, ...] = ("onnx", "numpy")
START = """
import time
began = time.perf_counter()
import sys
from sim2real.deploy import BundleRunner, load_bundle
imported = time.perf_counter()
runner = BundleRunner(load_bundle(sys.argv[1], backend=sys.argv[2]))
loaded = time.perf_counter()
runner.step([0.0] * len(runner.bundle.contract.readings))
acted = time.perf_counter()
print(imported - began, loaded - imported, acted - loaded, acted - began, time.process_time())
"""


def make_policy(agent: RDPGConfig, memory: MemoryKind, task: TaskSpec) -> RDPGPolicy:
    """An untrained policy of the preset's size; weights don't change the time of a step."""
    torch.manual_seed(0)
    return RDPGPolicy(dataclasses.replace(agent, memory=memory), task).eval()


def torch_step(policy: RDPGPolicy) -> Callable[[Any], object]:
    """The network in torch, eager and without gradients, memory fed back; numpy in, numpy out."""
    sizes = policy.spec.sizes
    state, previous = policy.zero_state_tensors(1), torch.zeros(1, sizes["action"])
    split = [sizes["observation"], sizes["goal"]]

    @torch.no_grad()
    def step(readings: Any) -> object:
        nonlocal state
        observation, goal = torch.split(torch.from_numpy(readings)[None], split, 1)
        action, state = policy.step(observation, goal, previous, state)
        return action.numpy()

    return step


def infer_step(folder: Path, backend: BackendName) -> Callable[[Any], object]:
    """The network alone, memory fed back."""
    bundle = load_bundle(folder, backend=backend)
    state, width = bundle.zero_state(), bundle.contract.inputs["obs"][1]
    obs = np.zeros(width, np.float32)

    def step(readings: Any) -> object:
        nonlocal state
        obs[: len(readings)] = readings
        action, state = bundle.infer(obs, state)
        return action

    return step


def microseconds(steps: dict[str, Callable[[Any], object]], readings: Any, rounds: int) -> dict[str, dict[str, float]]:
    """p50, p95 and p99 of one step; the variants take turns, a round of all readings each."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            for row in readings:
                began = time.perf_counter_ns()
                step(row)
                elapsed = (time.perf_counter_ns() - began) / 1e3
                if number:  # the first round warms up
                    times[name].append(elapsed)
    return {name: _percentiles(values) for name, values in times.items()}


def _percentiles(values: list[float]) -> dict[str, float]:
    return {f"p{q}_us": round(float(np.percentile(values, q)), 2) for q in (50, 95, 99)}


def measure(agent: RDPGConfig, task: TaskSpec, memory: MemoryKind, rounds: int) -> dict[str, Any]:
    """All variants for one kind of memory."""
    policy = make_policy(agent, memory, task)
    rollout = np.random.default_rng(1).normal(size=(20, task.horizon, len(task.observation) + len(task.goal)))
    golden = golden_rollout(policy, 2 * rollout)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bundle(folder, policy, {})
        parity = {b: replay_error(load_bundle(folder, backend=b), golden) for b in BACKENDS}
        steps: dict[str, Callable[[Any], object]] = {f"{b}_infer": infer_step(folder, b) for b in BACKENDS}
        steps |= {f"{b}_step": BundleRunner(load_bundle(folder, backend=b)).step for b in BACKENDS}
        steps["torch_eager"] = torch_step(policy)
        readings = np.random.default_rng(0).normal(size=(100, len(task.observation) + len(task.goal)))
        times: dict[str, Any] = microseconds(steps, readings.astype(np.float32), rounds)
    ratio = times["onnx_infer"]["p50_us"] / times["torch_eager"]["p50_us"]
    return {**times, "onnx_vs_torch": round(ratio, 3), "largest_difference_from_torch": parity}


def startup(bundle: Path, backend: BackendName, times: int) -> dict[str, float]:
    """Seconds in fresh processes, medians: import, load with self-test, first action, all three; and the processor time
    of the whole process, which other work on the machine does not lengthen."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", START, str(bundle), backend]
    rows = []
    for _ in range(times):
        out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        rows.append([float(word) for word in out.split()])
    names = ("import_s", "load_s", "first_action_s", "total_s", "process_cpu_s")
    columns = zip(*rows, strict=True)
    return {name: round(statistics.median(values), 4) for name, values in zip(names, columns, strict=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="fetch_push_dr", help="preset or YAML file whose agent is timed")
    parser.add_argument("--bundle", type=Path, default=Path("results/bundles/fetch_reach"), help="what is started")
    parser.add_argument("--quick", action="store_true", help="a few steps only")
    parser.add_argument("--out", type=Path, default=Path("results/inference.json"), help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = resolve(args.preset, [])
    task = TASKS[config.env.task].spec(())
    figures = {memory: measure(config.agent, task, memory, rounds=3 if args.quick else 30) for memory in MEMORIES}
    starts = {backend: startup(args.bundle, backend, times=3 if args.quick else 9) for backend in BACKENDS}
    result = {
        "preset": args.preset,
        "bundle": str(args.bundle),
        "parity_steps": 20 * task.horizon,
        "memories": figures,
        "fresh_process": starts,
    }
    publish("inference", result, None if args.quick else args.out)


if __name__ == "__main__":
    main()
