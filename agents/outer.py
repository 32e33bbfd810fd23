"""One improvement of stochastic policies from what they did: REINFORCE, PPO or TRPO on the same few inputs.

What is improved is a dictionary of parameters. How outputs follow from it is the caller's: a network applied to the
observations, or one that adapts to each task first. So plain policy gradients and meta-gradients share these lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from sim2real.agents import ppo
from sim2real.agents.heads import Head
from sim2real.agents.trpo import Loss, TrustRegionConfig, flatten, gradient, trust_region_step, unflatten
from sim2real.meta_rl_types import Parameters, Trajectories
from sim2real.types import Metrics

Outputs = Callable[[Parameters], Tensor]
"""Parameters -> what describes the distributions over actions, [B, R, T, H]."""
LossOfOutputs = Callable[[Tensor], Tensor]
Slope = Callable[[LossOfOutputs, Parameters], tuple[Tensor, Tensor]]
"""Value of a loss of the outputs at some parameters, and its gradient there as a vector."""


@dataclass(frozen=True)
class OuterConfig:
    """How a batch of experience becomes an improvement."""

    method: Literal["trpo", "ppo", "reinforce"] = "trpo"
    """trpo: one trust region step. ppo: some steps of Adam on the clipped surrogate. reinforce: one step of Adam."""
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    """For trpo."""
    learning_rate: float = 1e-3
    """Of Adam, for ppo and reinforce."""
    clip: float = 0.2
    """For ppo: ratios outside ``1 +- clip`` earn nothing."""
    epochs: int = 5
    """For ppo: steps on one batch, the whole of it in each."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.clip <= 0 or self.epochs < 1:
            raise ValueError("learning_rate and clip have to be above 0, and epochs at least 1")


class Outer:
    """Improves ``parameters`` in place; keeps the state of Adam where that is used."""

    def __init__(self, config: OuterConfig, head: Head, parameters: dict[str, nn.Parameter]) -> None:
        self.config, self.head, self.parameters = config, head, parameters
        self.adam = torch.optim.Adam(parameters.values(), lr=config.learning_rate)

    def improve(
        self,
        outputs: Outputs,
        trajectories: Trajectories,
        advantage: Tensor,
        *,
        slope: Slope | None = None,
        sketch: tuple[Outputs, Tensor] | None = None,
    ) -> Metrics:
        """One improvement.

        Args:
            outputs: what follows from parameters for ``trajectories``; they were drawn at the present ones.
            slope: how losses are differentiated; null: by one backward pass.
            sketch: outputs for a part of the trajectories, and their mask: what the KL divergence's curvature is
                estimated from. Null: all of them.
        """
        slope = slope or (lambda loss, at: gradient(lambda p: loss(outputs(p)), at))
        if self.config.method == "trpo":
            return self._trust_region(outputs, trajectories, advantage, slope, sketch)
        return self._adam(trajectories, advantage, slope)

    def _present(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.parameters.items()}

    def _trust_region(
        self,
        outputs: Outputs,
        t: Trajectories,
        advantage: Tensor,
        slope: Slope,
        sketch: tuple[Outputs, Tensor] | None,
    ) -> Metrics:
        present = self._present()
        with torch.no_grad():
            old = outputs(present)

        def surrogate(new: Tensor) -> Tensor:
            return ppo.surrogate(self.head.log_prob(new, t.action), t.log_prob, advantage, t.mask)

        def objective(p: Parameters) -> tuple[Tensor, Tensor]:
            new = outputs(p)
            return surrogate(new), ppo.over_tasks(self.head.kl(old, new), t.mask)

        step = trust_region_step(
            present,
            objective,
            self.config.trust_region,
            slope=lambda p: slope(surrogate, p),
            curvature=self._divergence(*sketch) if sketch else None,
        )
        with torch.no_grad():
            for name, p in self.parameters.items():
                p.copy_(step.params[name])
        return {"loss/kl": step.kl, "loss/improvement": step.improvement, "loss/accepted": float(step.accepted)}

    def _divergence(self, outputs: Outputs, mask: Tensor) -> Loss:
        """Mean KL divergence from the present policies to those of other parameters."""
        with torch.no_grad():
            old = outputs(self._present())
        return lambda p: ppo.over_tasks(self.head.kl(old, outputs(p)), mask)

    def _adam(self, t: Trajectories, advantage: Tensor, slope: Slope) -> Metrics:
        c = self.config

        def loss(new: Tensor) -> Tensor:
            log_prob = self.head.log_prob(new, t.action)
            if c.method == "reinforce":
                return -ppo.over_tasks(log_prob * advantage, t.mask)
            return ppo.clipped_surrogate(log_prob, t.log_prob, advantage, t.mask, clip=c.clip)

        value = torch.zeros(())
        for _ in range(c.epochs if c.method == "ppo" else 1):
            value, g = slope(loss, self._present())
            for name, part in unflatten(g, self.parameters).items():
                self.parameters[name].grad = part.clone()
            self.adam.step()
        return {"loss/policy": value, "loss/parameters": flatten(self.parameters).detach().norm()}
