"""A bundle against simulated environments: as a policy for the shared evaluator, and whether the two fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.bundle import Array, Bundle, MemoryState
from sim2real.deploy.contract import BundleError, Contract
from sim2real.deploy.runner import checked_readings


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
