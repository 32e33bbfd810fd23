"""Environment steps per second: ours against the bare simulator, gymnasium's AsyncVectorEnv and EnvPool, in one run.

Every repeat measures all of them one after the other on whole episodes (the reset is not timed) with the same actions,
so that a busy machine slows all of them; ratios are medians over repeats of the ratio within a repeat.

- bound: nothing but ``mj_step`` of the same models with the same commands on as many threads, which take the next
  environment that is left, as ours do. What a step costs beyond it is ours.
- async: gymnasium-robotics' environment in gymnasium's AsyncVectorEnv with as many worker processes as we have threads.
- envpool: EnvPool's C++ ``FetchPush-v4`` with as many threads and environments; it has no randomised dynamics.

    python benchmarks/env_throughput.py            # about 15 minutes
    python benchmarks/env_throughput.py --quick    # about a minute
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sim2real.envs import FetchVectorEnv, make_vec
from sim2real.envs.fetch import HORIZON
from sim2real.provenance import provenance, version_of

import mujoco  # isort: skip - after sim2real.envs, which chooses the renderer

Actions = NDArray[np.float32]
Contender = Callable[[Actions], float]
"""Runs an episode with actions ``[T, N, 4]`` and returns the seconds its steps took."""
TARGETS = {"vs_bound": 0.85, "vs_async": 2.0, "vs_envpool": 1.0}


def stepping(env: Any) -> Contender:
    """The steps of anything with gymnasium's vector interface."""

    def run(actions: Actions) -> float:
        env.reset()
        begin = time.perf_counter()
        for action in actions:
            env.step(action)
        return time.perf_counter() - begin

    return run


def bare(env: FetchVectorEnv, threads: int) -> Contender:
    """Only ``mj_step``: commands are set and fingers locked outside of the measured time."""
    pool = ThreadPoolExecutor(max(threads - 1, 1))
    robots: Any = env._robots

    def simulate(remaining: Any) -> None:
        for robot in remaining:
            mujoco.mj_step(robot.model, robot.data, nstep=20)

    def run(actions: Actions) -> float:
        env.reset()
        seconds = 0.0
        for action in actions:
            for robot, command in zip(robots, env._scale(action), strict=True):
                robot._command(command)
            remaining = iter(robots)
            begin = time.perf_counter()
            futures = [pool.submit(simulate, remaining) for _ in range(threads - 1)]
            simulate(remaining)
            for future in futures:
                future.result()
            seconds += time.perf_counter() - begin
            for robot in robots:
                robot._finger_pos[:] = 0.0
                robot._refresh()
        return seconds

    return run


def reference() -> Any:
    """gymnasium-robotics' own environment."""
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    return gymnasium.make("FetchPush-v4")


def measure(num_envs: int, threads: int, repeats: int, others: bool) -> dict[str, Any]:
    """One row of the result: rates in environment steps per second and ratios."""
    with contextlib.ExitStack() as stack:

        def ours(dynamics: str, threads: int) -> FetchVectorEnv:
            return stack.enter_context(contextlib.closing(make_vec("FetchPush", num_envs, dynamics, threads=threads)))

        contenders: dict[str, Contender] = {
            "ours": stepping(ours("nominal", threads)),
            "bound": bare(ours("nominal", 1), threads),
            "ours_train": stepping(ours("train", threads)),
        }
        if others:
            import envpool

            # One process an environment, so it is given the first columns of the actions.
            workers = gymnasium.vector.AsyncVectorEnv([reference] * threads, context="spawn")
            of_all = stepping(stack.enter_context(contextlib.closing(workers)))
            contenders["async"] = lambda actions: of_all(actions[:, :threads])
            pool = envpool.make("FetchPush-v4", env_type="gymnasium", num_envs=num_envs, num_threads=threads, seed=0)
            contenders["envpool"] = stepping(stack.enter_context(contextlib.closing(pool)))
        return row(contenders, num_envs, threads, repeats)


def row(contenders: dict[str, Contender], num_envs: int, threads: int, repeats: int) -> dict[str, Any]:
    """Measure all contenders in turn, ``repeats`` times."""
    rng = np.random.default_rng(0)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats + 1):
        actions = rng.uniform(-1, 1, (HORIZON, num_envs, 4)).astype(np.float32)
        for name, contender in contenders.items():
            seconds = contender(actions)
            if repeat > 0:  # the first one warms up
                rates[name].append(HORIZON * (threads if name == "async" else num_envs) / seconds)
    ratios = {
        f"vs_{name}": round(median(a / b for a, b in zip(rates["ours"], rates[name], strict=True)), 3)
        for name in ("bound", "async", "envpool")
        if name in rates
    }
    steps_per_second = {name: round(median(rate)) for name, rate in rates.items()}
    return {"envs": num_envs, "threads": threads, "steps_per_second": steps_per_second, **ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--envs", type=int, nargs="+", default=[8, 16, 32, 64, 128, 256], help="numbers of environments"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("results/env_throughput.json"))
    parser.add_argument("--quick", action="store_true", help="16 environments, 3 repeats, nothing written")
    args = parser.parse_args()
    if args.quick:
        args.envs, args.repeats = [16], 3
    rows = []
    for num_envs in args.envs:
        for threads in args.threads:
            rows.append(measure(num_envs, threads, args.repeats, others=threads == max(args.threads)))
            print(rows[-1], file=sys.stderr, flush=True)
    headline = next((r for r in rows if r["envs"] == 64 and "vs_async" in r), rows[-1])
    result = {
        "benchmark": "env_throughput",
        "command": shlex.join(["python", *sys.argv]),
        "task": "FetchPush",
        "repeats": args.repeats,
        "figures": {name: headline[name] for name in TARGETS},
        "figures_of": {key: headline[key] for key in ("envs", "threads")},
        "targets": TARGETS,
        "rows": rows,
        "load_average": os.getloadavg()[0],
        "envpool": version_of("envpool"),
        **provenance(),
    }
    if not args.quick:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
