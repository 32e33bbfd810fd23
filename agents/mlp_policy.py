"""Feed-forward stochastic policy for families of tasks, and the same policy with weights of its own for every task."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sim2real.agents.heads import head_of
from sim2real.meta_rl_types import FamilySpec, Parameters
from sim2real.operations import Operation, linear, operation

Activation = Literal["relu", "tanh"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}


class MLPPolicy(nn.Module):
    """Observation -> what describes the distribution over actions (see `heads`). Xavier weights, zero biases.

    A Gaussian's logarithms of deviations do not depend on the observation.
    """

    def __init__(self, task: FamilySpec, hidden: tuple[int, ...], activation: Activation, init_std: float) -> None:
        super().__init__()
        self.head = head_of(task)
        self.activation: Activation = activation
        sizes = (task.observation, *hidden, task.action)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        gaussian = task.action_kind == "gaussian"
        self.log_std = nn.Parameter(torch.full((task.action,), init_std).log()) if gaussian else None

    def forward(self, observation: Tensor) -> Tensor:
        """[..., D] -> [..., H]."""
        x = self.likeliest(observation)
        return x if self.log_std is None else torch.cat([x, self.log_std.expand_as(x)], -1)

    def likeliest(self, observation: Tensor) -> Tensor:
        """Means, or logits of the choices: [..., D] -> [..., A]."""
        x, activation = observation, ACTIVATIONS[self.activation]
        for layer in self.layers[:-1]:
            x = activation(layer(x))
        outputs: Tensor = self.layers[-1](x)
        return outputs

    def operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        """`likeliest` for the NumPy backend; its tensors start with ``prefix``."""
        entries, name = [], source
        for k, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            if k > 0:
                entries.append(operation(self.activation, [name], [f"active_{k}"]))
                name = f"active_{k}"
            after = result if k == len(self.layers) - 1 else f"hidden_{k}"
            entries.append(linear(layer, f"{prefix}.layers.{k}", name, after))
            name = after
        return entries

    def parameter_dict(self) -> dict[str, Tensor]:
        """The weights by name, without a graph."""
        return {name: p.detach() for name, p in self.named_parameters()}

    def per_task(self, parameters: Parameters, observation: Tensor) -> Tensor:
        """B policies at once: every parameter with a leading axis B, [B, ..., D] -> [B, ..., H]."""
        return torch.func.vmap(self._with)(dict(parameters), observation)

    def _with(self, parameters: dict[str, Tensor], observation: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self, parameters, (observation,))
        return outputs
