"""A bundle against a simulated robot: through the shared evaluator, or in the loop that a robot would run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.bundle import Array, Bundle, MemoryState
from sim2real.deploy.contract import BundleError, Contract
from sim2real.deploy.runner import BundleRunner, checked_readings


class BundlePolicy:
    """A bundle as a `sim2real.types.Policy`, so that the one evaluator scores it like any other policy.

    The model takes one environment at a time; the state is one memory for each of the N environments.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._scale = np.asarray(bundle.contract.action_scale, np.float32)

    def initial_state(self, n: int) -> tuple[MemoryState, ...]:
        return tuple(self.bundle.zero_state() for _ in range(n))

    def act(
        self, obs: Mapping[str, NDArray[Any]], state: tuple[MemoryState, ...], *, deterministic: bool
    ) -> tuple[Array, tuple[MemoryState, ...]]:
        """Normalised actions [N, A]; an exported policy is always deterministic."""
        names, actions, states = self.bundle.contract.readings, [], []
        vectors = np.concatenate([obs["observation"], obs["desired_goal"]], 1)
        for vector, previous, memory in zip(vectors, obs["previous_action"], state, strict=True):
            full = np.concatenate([checked_readings(vector, names), previous]).astype(np.float32)
            action, memory = self.bundle.infer(full, memory)
            actions.append(action)
            states.append(memory)
        return np.stack(actions) / self._scale, tuple(states)


def run_in_env(bundle: Bundle, env: Any, *, episodes: int, seed: int) -> float:
    """Run whole episodes, one `BundleRunner` a simulated robot; print each outcome and the success rate; return it.

    Args:
        bundle: the policy.
        env: a `sim2real.types.GoalVectorEnv` of the task that the contract names.
        episodes: how many, from episode 0 of ``seed``.
        seed: which episodes.

    Raises:
        BundleError: the environment's readings or actions are not those of the contract.
    """
    check_task(bundle.contract, env.task)
    runners = [BundleRunner(bundle) for _ in range(env.num_envs)]
    scale, results = np.asarray(bundle.contract.action_scale), list[bool]()
    seconds: list[float] = []
    while len(results) < episodes:
        obs, _ = env.reset(seed=None if results else seed)
        for runner in runners:
            runner.reset()
        for _ in range(env.task.horizon):
            vectors = np.concatenate([obs["observation"], obs["desired_goal"]], 1)
            began = time.perf_counter()
            actions = np.stack([runner.step(vector) for runner, vector in zip(runners, vectors, strict=True)])
            seconds.append((time.perf_counter() - began) / len(runners))
            obs, _, _, _, info = env.step(actions / scale)
        distances = np.linalg.norm(obs["achieved_goal"] - obs["desired_goal"], axis=-1)
        for success, distance in zip(info["is_success"][: episodes - len(results)], distances, strict=False):
            word = "success" if success else "failure"
            print(
                f"episode {len(results) + 1:4d}/{episodes}: {word}, {distance * 100:.1f} cm from the goal", flush=True
            )
            results.append(bool(success))
    rate = sum(results) / episodes
    print(f"success {sum(results)}/{episodes} = {rate:.3f}; policy step {np.median(seconds) * 1e6:.0f} us (median)")
    return rate


def check_task(contract: Contract, task: Any) -> None:
    """Compare the names of readings and actions with those of a `sim2real.types.TaskSpec`, order included."""
    for part in ("observation", "goal", "action"):
        got, promised = tuple(e.name for e in getattr(task, part)), getattr(contract, part)
        if got != promised:
            raise BundleError(
                f"the policy was exported for {contract.task}, whose {part} is {list(promised)}; "
                f"{task.name} has {list(got)}"
            )
    if tuple(task.action_scale) != contract.action_scale:
        raise BundleError(
            f"the policy's actions are scaled by {list(contract.action_scale)}, those of {task.name} by "
            f"{list(task.action_scale)}"
        )
