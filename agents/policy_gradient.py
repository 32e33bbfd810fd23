"""Policy gradients over a family of tasks: one policy that is to do well in all of them, as it is.

Williams 1992 (REINFORCE, with a baseline), Schulman et al. 2015 and 2017 (TRPO, PPO) by `OuterConfig.method`. A policy
that can't see the task learns what is best on average, and is what MAML is compared with: its test takes the same
gradient steps ("pretrained" in Finn et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from sim2real.agents.adaptation import AdaptationConfig, PolicyConfig, ReturnConfig, advantages
from sim2real.agents.adaptive_learner import AdaptiveLearner
from sim2real.agents.functional import for_tasks
from sim2real.agents.outer import OuterConfig
from sim2real.agents.rollouts import gather
from sim2real.meta_rl_types import Parameters, TaskFamily, Trajectories
from sim2real.types import Metrics


@dataclass(frozen=True)
class PolicyGradientConfig:
    """Options of `PolicyGradient`."""

    network: PolicyConfig = field(default_factory=PolicyConfig)
    returns: ReturnConfig = field(default_factory=ReturnConfig)
    outer: OuterConfig = field(default_factory=OuterConfig)
    test: AdaptationConfig = field(default_factory=AdaptationConfig)
    tasks: int = 20
    """Tasks of a batch, B, drawn anew for each."""
    rollouts: int = 20
    """Episodes in each task, R."""

    def __post_init__(self) -> None:
        if self.tasks < 1 or self.rollouts < 1:
            raise ValueError(f"tasks and rollouts have to be at least 1, got {self.tasks} and {self.rollouts}")


class PolicyGradient(AdaptiveLearner):
    """Algorithm: act in a batch of tasks with one policy, improve it for all of them."""

    def __init__(self, config: PolicyGradientConfig, family: TaskFamily, *, seed: int, device: str) -> None:
        super().__init__(config, family, seed=seed)
        self.config = config
        self._batch: Trajectories | None = None

    def collect(self) -> tuple[int, Metrics]:
        """One episode of every rollout in a new batch of tasks."""
        tasks = self.family.sample(self.config.tasks, self._draw)
        env = self.family.batch(tasks, self.config.rollouts, self._draw)
        net = self._policy.net
        self._batch = gather(env, net, net.head, self.family.task.horizon, self._draw)
        return self._batch.steps, {"collect/return": self._batch.returns.mean()}

    def update(self) -> Metrics:
        """One improvement from the batch, which is used up."""
        assert self._batch is not None, "collect first"
        batch, self._batch = self._batch, None
        policy = self._policy

        def outputs(parameters: Parameters) -> Tensor:
            return policy.net.per_task(for_tasks(parameters, len(batch.reward)), batch.observation)

        return self._outer.improve(outputs, batch, advantages(batch, self.config.returns))
