"""A feed-forward policy of a family as a robot runs it: the most likely action, from the observation alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sim2real.agents.decisions import decision_of
from sim2real.agents.mlp_policy import MLPPolicy
from sim2real.meta_rl_types import FamilySpec, Interface
from sim2real.operations import Operation, operation
from sim2real.types import Term


class TaskPolicy(nn.Module):
    """An `MLPPolicy` behind the interface of its family. Implements ``exportable.ExportablePolicy``."""

    def __init__(self, net: MLPPolicy, task: FamilySpec, interface: Interface) -> None:
        super().__init__()
        self.net, self.decide = net, decision_of(task)
        self.spec = interface.task
        self._reads = interface.terms

    def input_terms(self) -> tuple[Term, ...]:
        """The observation."""
        return self._reads

    def export_state_names(self) -> tuple[str, ...]:
        """It remembers nothing."""
        return ()

    def zero_state_tensors(self, n: int) -> tuple[Tensor, ...]:
        """See `export_state_names`."""
        return ()

    def step(self, *inputs: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Tensors of `input_terms`, each [n, elements], and ``()`` -> action [n, A] in [-1, 1] and ``()``."""
        *observed, _ = inputs
        return self.decide(self.net.likeliest(torch.cat(observed, -1))), ()

    def network(self) -> list[Operation]:
        """`step` as a list of operations, for the NumPy backend."""
        return [
            operation("concat", [term.name for term in self._reads], ["observed"]),
            *self.net.operations("net", "observed", "outputs"),
            *self.decide.operations("decide", "outputs", "action"),
        ]
