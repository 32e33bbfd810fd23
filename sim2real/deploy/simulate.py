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
        contract = bundle.contract
        self._scale = np.asarray(contract.action_scale, np.float32)
        self._offset = np.asarray(contract.action_offset, np.float32)

    def initial_state(self, n: int) -> tuple[MemoryState, ...]:
        return tuple(self.bundle.zero_state() for _ in range(n))

    def act(
        self, obs: Mapping[str, NDArray[Any]], state: tuple[MemoryState, ...], *, deterministic: bool
    ) -> tuple[Array, tuple[MemoryState, ...]]:
        """Normalised actions [N, A]; an exported policy is always deterministic."""
        contract, actions, states = self.bundle.contract, [], []
        vectors = readings_of(contract, obs)
        for vector, previous, memory in zip(vectors, obs["previous_action"], state, strict=True):
            full = checked_readings(vector, contract.readings)
            if contract.feeds_back:
                full = np.concatenate([full, previous]).astype(np.float32)
            action, memory = self.bundle.infer(full, memory)
            actions.append(action)
            states.append(memory)
        return (np.stack(actions) - self._offset) / self._scale, tuple(states)


def readings_of(contract: Contract, obs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The batched observation of N environments -> what their policy reads [N, R], in the contract's order."""
    return np.concatenate([obs[term.name] for term in contract.terms if term.source != "feedback"], 1)


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
    scale, offset = np.asarray(bundle.contract.action_scale), np.asarray(bundle.contract.action_offset)
    results = list[bool]()
    seconds: list[float] = []
    while len(results) < episodes:
        obs, _ = env.reset(seed=None if results else seed)
        for runner in runners:
            runner.reset()
        for _ in range(env.task.horizon):
            vectors = readings_of(bundle.contract, obs)
            began = time.perf_counter()
            actions = np.stack([runner.step(vector) for runner, vector in zip(runners, vectors, strict=True)])
            seconds.append((time.perf_counter() - began) / len(runners))
            obs, _, _, _, info = env.step((actions - offset) / scale)
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
    """Compare names, order and scales of the contract with those of a `sim2real.types.TaskSpec`.

    An ``achieved_goal`` has as many elements as the goal; what they are called is up to whoever exported the policy.
    """
    known = {"observation": task.observation, "desired_goal": task.goal}
    parts = {term.name: tuple(e.name for e in term.elements) for term in contract.terms if term.source != "feedback"}
    achieved = parts.pop("achieved_goal", task.goal)
    if len(achieved) != len(task.goal) or parts.keys() - known:
        raise BundleError(
            f"the policy was exported for {contract.task} and reads {[t.name for t in contract.terms]}; {task.name} "
            f"has {sorted([*known, 'achieved_goal'])}, its goals {len(task.goal)} elements"
        )
    for part, promised in {**parts, "action": contract.action}.items():
        got = tuple(e.name for e in {**known, "action": task.action}[part])
        if got != promised:
            raise BundleError(
                f"the policy was exported for {contract.task}, whose {part} is {list(promised)}; "
                f"{task.name} has {list(got)}"
            )
    scaling = contract.action_scale, contract.action_offset
    if (task.action_scale, task.action_offset) != scaling:
        raise BundleError(
            f"the policy's actions are scaled and shifted by {scaling}, those of {task.name} by "
            f"{(task.action_scale, task.action_offset)}"
        )
