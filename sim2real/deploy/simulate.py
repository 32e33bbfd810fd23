"""A bundle and a simulated task: the same readings in the same order, and the same actions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.contract import BundleError, Contract


def readings_of(contract: Contract, obs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The batched observation of N environments -> what their policy reads [N, R], in the contract's order."""
    return np.concatenate([obs[term.name] for term in contract.terms if term.source != "feedback"], 1)


def check_simulated(contract: Contract) -> None:
    """Raise ``BundleError`` for a policy whose task no simulated robot knows."""
    if not contract.simulated:
        raise BundleError(
            f"{contract.task} can't be simulated from a bundle: its environments are those of a family of tasks, or it "
            "reads rewards, which no robot gives. How it did there is in the bundle's README.md; `sim2real run BUNDLE "
            "--robot replay` repeats its golden rollout"
        )


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
