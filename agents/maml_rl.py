"""Model-agnostic meta-learning for reinforcement learning (Finn et al. 2017, algorithm 3).

Parameters from which a few policy-gradient steps on a task's own episodes lead to a good policy for that task. The
released code (cbfinn/maml_rl) is followed where it says more than the paper: a linear baseline for every task and
batch, standardised advantages, TRPO outside with the KL divergence between post-update policies.

Deviations, each an option: the inner loss may be corrected for the sampling distribution (`inner_loss`), PPO instead
of TRPO (`outer`), first order only, or products of a Hessian with a vector instead of one deep graph (`order`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from sim2real.agents.adaptation import (
    AdaptationConfig,
    InnerLoss,
    PolicyConfig,
    ReturnConfig,
    advantages,
)
from sim2real.agents.adaptive_learner import AdaptiveLearner
from sim2real.agents.functional import for_tasks, hessian_vector_meta_gradient, sgd_step
from sim2real.agents.outer import LossOfOutputs, OuterConfig, Outputs
from sim2real.agents.trpo import flatten
from sim2real.meta_rl_types import Parameters, TaskFamily, Trajectories
from sim2real.types import Metrics

Loss = Callable[[Parameters], Tensor]
"""Per-task parameters (leading axis B) -> [B]."""
Query = Callable[[Parameters], Tensor]
"""Per-task parameters -> a mean over tasks."""
Order = Literal["second", "first", "hessian_vector"]


@dataclass(frozen=True)
class MAMLRLConfig:
    """Options of `MAMLRL`."""

    network: PolicyConfig = field(default_factory=PolicyConfig)
    returns: ReturnConfig = field(default_factory=ReturnConfig)
    outer: OuterConfig = field(default_factory=OuterConfig)
    test: AdaptationConfig = field(default_factory=AdaptationConfig)
    tasks: int = 20
    """Tasks of a meta-batch, B."""
    rollouts: int = 20
    """Episodes in each task before each gradient step, and after the last."""
    steps: int = 1
    """Gradient steps of the inner loop, each on episodes of its own, k."""
    rate: float = 0.1
    """Their size, alpha."""
    inner_loss: InnerLoss = "log_likelihood"
    """Form of the inner loss; decides the second derivatives only, see `adaptation.inner_loss`."""
    order: Order = "second"
    """second: the meta-gradient by one backward pass through the inner loop. hessian_vector: the same numbers, one
    inner step at a time. first: as if the inner gradient were constant (FOMAML)."""
    curvature_rollouts: int | None = 5
    """For trpo: episodes of each task that the KL divergence's curvature is estimated from; null: all. It takes most
    of an update's time, and only the direction depends on it: with 5 of 20 a step gains 98 % of what it would."""

    def __post_init__(self) -> None:
        sketch = self.rollouts if self.curvature_rollouts is None else self.curvature_rollouts
        if min(self.tasks, self.rollouts, self.steps, sketch) < 1:
            raise ValueError("tasks, rollouts, steps and curvature_rollouts have to be at least 1")
        if self.rate <= 0:
            raise ValueError(f"rate has to be above 0, got {self.rate}")


def adapted(
    losses: Sequence[Loss], parameters: Parameters, tasks: int, rate: float, *, first_order: bool = False
) -> list[dict[str, Tensor]]:
    """Per-task parameters after 0, 1, ... steps, each along its own loss; differentiable in ``parameters``."""
    path = [for_tasks(parameters, tasks)]
    rates = dict.fromkeys(parameters, rate)
    for loss in losses:
        path.append(sgd_step(loss, path[-1], rates, first_order=first_order))
    return path


def meta_gradient(
    losses: Sequence[Loss], query: Query, parameters: Parameters, tasks: int, rate: float, order: Order
) -> tuple[Tensor, dict[str, Tensor]]:
    """The query after the inner steps and its gradient in the initial parameters.

    ``prod_j (I - rate * Hess losses[j](theta_j)) grad query(theta_k)``, summed over tasks; first order: without the
    product.
    """
    if order != "hessian_vector":
        leaves = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        value = query(adapted(losses, leaves, tasks, rate, first_order=order == "first")[-1])
        return value.detach(), dict(zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True))
    with torch.no_grad():
        path = adapted(losses, {name: p.detach() for name, p in parameters.items()}, tasks, rate)
    rates = dict.fromkeys(parameters, rate)
    value, adjoint, _ = hessian_vector_meta_gradient(query, query, path[-1], rates, 0)
    for loss, before in zip(reversed(losses), reversed(path[:-1]), strict=True):
        # A linear query pulls the adjoint back through one step.
        pulled = adjoint
        _, adjoint, _ = hessian_vector_meta_gradient(loss, lambda p, v=pulled: _inner(p, v), before, rates, 1)  # type: ignore[misc]
    return value, {name: g.sum(0) for name, g in adjoint.items()}


def _inner(a: Parameters, b: Parameters) -> Tensor:
    return torch.stack([(a[name] * b[name]).sum() for name in b]).sum()


class MAMLRL(AdaptiveLearner):
    """Algorithm: act, adapt and act again in a meta-batch of tasks; improve the parameters adapted from."""

    def __init__(self, config: MAMLRLConfig, family: TaskFamily, *, seed: int, device: str) -> None:
        super().__init__(config, family, seed=seed)
        self.config = config
        self._rounds: list[Trajectories] = []

    def collect(self) -> tuple[int, Metrics]:
        """Episodes before the first inner step, between the steps, and after the last, in a new meta-batch."""
        c, policy = self.config, self._policy
        tasks = self.family.sample(c.tasks, self._draw)
        parameters = for_tasks(policy.net.parameter_dict(), c.tasks)
        self._rounds = [policy.rollout(self.family, tasks, c.rollouts, parameters, self._draw)]
        for _ in range(c.steps):
            parameters = policy.adapt(self._rounds[-1], parameters, c.rate)
            self._rounds.append(policy.rollout(self.family, tasks, c.rollouts, parameters, self._draw))
        returns = {f"collect/return_step_{k}": t.returns.mean() for k, t in enumerate(self._rounds)}
        return sum(t.steps for t in self._rounds), returns

    def update(self) -> Metrics:
        """One improvement of the initial parameters from the meta-batch, which is used up."""
        assert self._rounds, "collect first"
        c, net = self.config, self._policy.net
        *before, last = self._rounds
        self._rounds = []
        scored = [(t, advantages(t, c.returns)) for t in before]
        losses = [self._policy.loss(t, advantage, c.inner_loss) for t, advantage in scored]

        def slope(loss: LossOfOutputs, at: Parameters) -> tuple[Tensor, Tensor]:
            def query(end: Parameters) -> Tensor:
                return loss(net.per_task(end, last.observation))

            value, g = meta_gradient(losses, query, at, c.tasks, c.rate, c.order)
            return value, flatten(g)

        n = c.rollouts if c.curvature_rollouts is None else c.curvature_rollouts
        part = last.first(n)
        parts = [self._policy.loss(t.first(n), advantage[:, :n], c.inner_loss) for t, advantage in scored]
        sketch, outputs = self._outputs(parts, part), self._outputs(losses, last)
        return self._outer.improve(outputs, last, advantages(last, c.returns), slope=slope, sketch=(sketch, part.mask))

    def _outputs(self, losses: Sequence[Loss], last: Trajectories) -> Outputs:
        """What the adapted policies put out on ``last``, as a function of the initial parameters."""
        c, net = self.config, self._policy.net

        def of(parameters: Parameters) -> Tensor:
            end = adapted(losses, parameters, c.tasks, c.rate, first_order=c.order == "first")[-1]
            return net.per_task(end, last.observation)

        return of
