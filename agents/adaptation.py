"""The inner loop of meta-reinforcement learning: advantages, the inner policy-gradient losses, and adapting to a task.

Finn et al. 2017, equation 4. Every step follows trajectories drawn with the parameters that it starts from: without
that, further steps repeat the first one's data and mislead.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sim2real.agents.advantages import discounted_returns, generalized_advantages, linear_baseline, standardize
from sim2real.agents.functional import for_tasks, sgd_step
from sim2real.agents.mlp_policy import Activation, MLPPolicy
from sim2real.agents.ppo import task_means
from sim2real.agents.rollouts import gather
from sim2real.errors import at_least
from sim2real.meta_rl_types import FamilySpec, Outcomes, Parameters, TaskFamily, Trajectories

ROWS = 8_192
"""Steps of experience that adapt at once. More spill from the cache: one batch of 80,000 takes 1.4 times as long."""
InnerLoss = Literal["log_likelihood", "likelihood_ratio", "dice"]


@dataclass(frozen=True)
class PolicyConfig:
    """The policy's network."""

    hidden: tuple[int, ...] = (100, 100)
    """Units of the hidden layers."""
    activation: Activation = "relu"
    """Between layers."""
    init_std: float = 1.0
    """Deviation of a Gaussian policy before training (in the action's unit)."""

    def __post_init__(self) -> None:
        if self.init_std <= 0:
            raise ValueError(f"init_std has to be above 0, got {self.init_std}")


@dataclass(frozen=True)
class ReturnConfig:
    """How advantages are estimated. The baseline is linear, fitted for every task and batch anew."""

    discount: float = 0.99
    """Gamma."""
    trace: float = 1.0
    """Lambda of generalised advantage estimation."""


@dataclass(frozen=True)
class AdaptationConfig:
    """How a task is met when it counts."""

    rates: tuple[float, ...] = (0.1, 0.05, 0.05)
    """Step size of each gradient step; returns are measured before, between and after them."""
    rollouts: int = 20
    """Episodes for each gradient step, and for each measurement."""
    headline: int = 1
    """Gradient steps after which the return says how good the policy is."""

    def __post_init__(self) -> None:
        at_least(self, 1, "rollouts")
        if not 0 <= self.headline <= len(self.rates):
            raise ValueError(f"headline has to be 0 to {len(self.rates)}, the number of rates; got {self.headline}")


def advantages(trajectories: Trajectories, config: ReturnConfig) -> Tensor:
    """Standardised within each task: [B, R, T]."""
    returns = discounted_returns(trajectories.reward, discount=config.discount)
    value = linear_baseline(trajectories.observation, returns, trajectories.mask)
    raw = generalized_advantages(trajectories.reward, value, discount=config.discount, trace=config.trace)
    return standardize(raw, trajectories.mask, dims=(1, 2))


def inner_loss(log_prob: Tensor, trajectories: Trajectories, advantage: Tensor, form: InnerLoss) -> Tensor:
    """The negated policy-gradient objective of each task, [B], as a function of ``log_prob [B, R, T]``.

    All forms have the same gradient where ``log_prob`` is that of the trajectories, and so adapt alike. They differ
    in the second derivatives, and so in the meta-gradient:

    * ``log_likelihood``: ``log pi * A`` (the released code). Leaves out how the first policy's parameters decide what
      is sampled.
    * ``likelihood_ratio``: ``pi / pi_old * A`` for every step alone; corrects for the step's own action (Rothfuss et
      al. 2019, ProMP's low-variance curvature).
    * ``dice``: ``A_t`` times the change of the product of ratios up to t; corrects for all actions before, too
      (Foerster et al. 2018; with advantages as in Farquhar et al. 2019).
    """
    if form == "log_likelihood":
        return -task_means(log_prob * advantage, trajectories.mask)
    log_ratio = (log_prob - trajectories.log_prob) * trajectories.mask
    if form == "likelihood_ratio":
        return -task_means(log_ratio.exp() * advantage, trajectories.mask)
    so_far = log_ratio.cumsum(-1)
    return -task_means((so_far.exp() - (so_far - log_ratio).exp()) * advantage, trajectories.mask)


class AdaptivePolicy(nn.Module):
    """An initial policy and the gradient steps that fit it to a task. Implements ``meta_rl_types.MetaPolicy``."""

    def __init__(self, task: FamilySpec, network: PolicyConfig, returns: ReturnConfig, test: AdaptationConfig) -> None:
        super().__init__()
        self.task, self.returns, self.test = task, returns, test
        self.net = MLPPolicy(task, network.hidden, network.activation, network.init_std)

    @property
    def headline(self) -> str:
        return f"step_{self.test.headline}"

    def rollout(
        self, family: TaskFamily, tasks: Tensor, rollouts: int, parameters: Parameters, generator: torch.Generator
    ) -> Trajectories:
        """Episodes in every task with that task's ``parameters`` (leading axis B)."""
        env = family.batch(tasks, rollouts, generator)
        return gather(env, lambda o: self.net.per_task(parameters, o), self.net.head, family.task.horizon, generator)

    def loss(
        self, trajectories: Trajectories, advantage: Tensor, form: InnerLoss = "log_likelihood"
    ) -> Callable[[Parameters], Tensor]:
        """The inner loss on these trajectories as a function of per-task parameters; its value is [B]."""

        def of(parameters: Parameters) -> Tensor:
            outputs = self.net.per_task(parameters, trajectories.observation)
            log_prob = self.net.head.log_prob(outputs, trajectories.action)
            return inner_loss(log_prob, trajectories, advantage, form)

        return of

    def adapt(self, trajectories: Trajectories, parameters: dict[str, Tensor], rate: float) -> dict[str, Tensor]:
        """One gradient step for every task, without a graph."""
        return self.step(trajectories, advantages(trajectories, self.returns), parameters, rate)

    @torch.no_grad()
    def step(
        self, trajectories: Trajectories, advantage: Tensor, parameters: dict[str, Tensor], rate: float
    ) -> dict[str, Tensor]:
        """`adapt` with advantages given: as many tasks at once as the processor's cache holds."""
        tasks = max(1, ROWS // advantage[0].numel())
        names = list(parameters)
        starts = zip(*(torch.split(parameters[name], tasks) for name in names), strict=True)
        pieces = [
            sgd_step(self.loss(t, a), dict(zip(names, start, strict=True)), dict.fromkeys(names, rate))
            for t, a, start in zip(trajectories.split(tasks), torch.split(advantage, tasks), starts, strict=True)
        ]
        return {name: torch.cat([piece[name] for piece in pieces]) for name in names}

    def meet(
        self, family: TaskFamily, tasks: Tensor, generator: torch.Generator, *, episodes: int | None = None
    ) -> Outcomes:
        """Settings ``step_0``, ``step_1``, ...: mean return of the episodes after so many gradient steps."""
        return self.fit(family, tasks, generator, episodes=episodes)[0]

    def fit(
        self, family: TaskFamily, tasks: Tensor, generator: torch.Generator, *, episodes: int | None = None
    ) -> tuple[Outcomes, dict[str, Tensor]]:
        """`meet`, and the parameters that it ends with (leading axis B)."""
        parameters = for_tasks(self.net.parameter_dict(), len(tasks))
        outcomes = {}
        for k, rate in enumerate((*self.test.rates, None)):
            trajectories = self.rollout(family, tasks, episodes or self.test.rollouts, parameters, generator)
            outcomes[f"step_{k}"] = trajectories.outcome()
            if rate is not None:
                parameters = self.adapt(trajectories, parameters, rate)
        return outcomes, parameters

    def adapted(self, parameters: Parameters, task: int) -> MLPPolicy:
        """The network with one task's ``parameters`` (leading axis B)."""
        net = copy.deepcopy(self.net)
        net.load_state_dict({name: values[task] for name, values in parameters.items()})
        return net
