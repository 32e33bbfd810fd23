"""What the learners of an `AdaptivePolicy` share: how it is made, what improves it, and their checkpoint."""

from __future__ import annotations

from typing import Protocol

from sim2real.agents.adaptation import AdaptationConfig, AdaptivePolicy, PolicyConfig, ReturnConfig
from sim2real.agents.outer import Outer, OuterConfig
from sim2real.meta_rl_types import FamilySpec, TaskFamily
from sim2real.seeding import seeded_weights, torch_generator
from sim2real.types import State


class AdaptiveConfig(Protocol):
    """The options that they have in common."""

    @property
    def network(self) -> PolicyConfig: ...

    @property
    def returns(self) -> ReturnConfig: ...

    @property
    def outer(self) -> OuterConfig: ...

    @property
    def test(self) -> AdaptationConfig: ...


def build_policy(config: AdaptiveConfig, task: FamilySpec) -> AdaptivePolicy:
    """The untrained policy."""
    return AdaptivePolicy(task, config.network, config.returns, config.test)


class AdaptiveLearner:
    """An initial policy, the outer improvement of its parameters, and one generator for tasks and actions.

    Experience is used up by the update that follows it, so a checkpoint between two iterations needs nothing of it.
    """

    def __init__(self, config: AdaptiveConfig, family: TaskFamily, *, seed: int) -> None:
        self.family = family
        with seeded_weights(seed):
            self._policy = build_policy(config, family.task)
        self._outer = Outer(config.outer, self._policy.net.head, dict(self._policy.net.named_parameters()))
        self._draw = torch_generator(seed, "tasks and actions")

    @property
    def policy(self) -> AdaptivePolicy:
        """The policy learned so far, which adapts to a task by gradient steps."""
        return self._policy

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs."""
        return {
            "policy": self._policy.state_dict(),
            "adam": self._outer.adam.state_dict(),
            "draw": self._draw.get_state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`."""
        self._policy.load_state_dict(state["policy"])
        self._outer.adam.load_state_dict(state["adam"])
        self._draw.set_state(state["draw"].cpu())
