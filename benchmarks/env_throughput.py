"""Environment steps per second: ours against the bare simulator, AsyncVectorEnv, SubprocVecEnv and EnvPool, in one run.

Every repeat measures all of them one after the other on whole episodes (the reset is not timed) with the same actions,
so that a busy machine slows all of them; ratios are medians over repeats of the ratio within a repeat.

- bound: nothing but ``mj_step`` of the same models with the same commands on as many threads, which take the next
  environment that is left, as ours do. What a step costs beyond it is ours.
- ours_train, bound_train: the same two with randomised dynamics.
- async, sb3: gymnasium-robotics' environment in gymnasium's AsyncVectorEnv and in stable-baselines3's SubprocVecEnv,
  with as many worker processes as we have threads.
- envpool: EnvPool's C++ ``FetchPush-v4`` with as many threads and environments; it has no randomised dynamics.

    python benchmarks/env_throughput.py            # about 15 minutes
    python benchmarks/env_throughput.py --quick    # about a minute
"""

from __future__ import annotations

import argparse
import contextlib
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

from publishing import publish
from sim2real.envs import FetchVectorEnv, make_vec
from sim2real.envs.fetch import HORIZON
from sim2real.provenance import version_of

import mujoco  # isort: skip - after sim2real.envs, which chooses the renderer

Actions = NDArray[np.float32]
Contender = Callable[[Actions], float]
"""Runs an episode with actions ``[T, N, 4]`` and returns the seconds its steps took."""
RATIOS = {
    "vs_bound": ("ours", "bound"),
    "vs_async": ("ours", "async"),
    "vs_sb3": ("ours", "sb3"),
    "vs_envpool": ("ours", "envpool"),
    "train_vs_bound": ("ours_train", "bound_train"),
    "train_vs_envpool": ("ours_train", "envpool"),
}
"""Name -> the two contenders whose rates are divided."""


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
    """Only ``mj_step``: commands are set and fingers locked outside of the measured time. A control step has as many
    substeps as the episode's timetable says (20, but for a random control period)."""
    pool = ThreadPoolExecutor(max(threads - 1, 1))
    robots: Any = env._robots

    def simulate(remaining: Any) -> None:
        for robot, substeps in remaining:
            mujoco.mj_step(robot.model, robot.data, nstep=substeps)

    def run(actions: Actions) -> float:
        env.reset()
        seconds = 0.0
        for t, action in enumerate(actions):
            for robot, command in zip(robots, env._scale(action), strict=True):
                robot._command(command)
            substeps = [sum(segment.substeps for segment in s.timetable.steps[t]) for s in env._signals]
            remaining = zip(robots, substeps, strict=True)
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
    """gymnasium-robotics' own environment. Its episodes are long enough never to end within a measurement:
    SubprocVecEnv would reset in the step that ends one."""
    import gymnasium_robotics

    gymnasium.register_envs(gymnasium_robotics)
    return gymnasium.make("FetchPush-v4", max_episode_steps=2 * HORIZON)


def measure(num_envs: int, threads: int, repeats: int, others: bool) -> dict[str, Any]:
    """One row of the result: rates in environment steps per second and ratios."""
    with contextlib.ExitStack() as stack:

        def ours(dynamics: str, threads: int) -> FetchVectorEnv:
            return stack.enter_context(contextlib.closing(make_vec("FetchPush", num_envs, dynamics, threads=threads)))

        contenders: dict[str, Contender] = {
            "ours": stepping(ours("nominal", threads)),
            "bound": bare(ours("nominal", 1), threads),
            "ours_train": stepping(ours("train", threads)),
            "bound_train": bare(ours("train", 1), threads),
        }
        if others:
            import envpool
            from stable_baselines3.common.vec_env import SubprocVecEnv

            workers = gymnasium.vector.AsyncVectorEnv([reference] * threads, context="spawn")
            contenders["async"] = stepping(stack.enter_context(contextlib.closing(workers)))
            subproc = SubprocVecEnv([reference] * threads, start_method="spawn")
            contenders["sb3"] = stepping(stack.enter_context(contextlib.closing(subproc)))
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
            # Those with a process for each environment are given the first columns of the actions.
            envs = threads if name in ("async", "sb3") else num_envs
            seconds = contender(actions[:, :envs])
            if repeat > 0:  # the first one warms up
                rates[name].append(HORIZON * envs / seconds)
    ratios = {
        name: round(median(a / b for a, b in zip(rates[ours], rates[other], strict=True)), 3)
        for name, (ours, other) in RATIOS.items()
        if other in rates
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
        "task": "FetchPush",
        "repeats": args.repeats,
        "figures": {name: headline[name] for name in RATIOS},
        "figures_of": {key: headline[key] for key in ("envs", "threads")},
        "rows": rows,
        "others": {name: version_of(name) for name in ("envpool", "stable-baselines3")},
    }
    publish("env_throughput", result, None if args.quick else args.out)


if __name__ == "__main__":
    main()
