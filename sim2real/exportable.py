"""What `sim2real.export` asks of a policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from sim2real.errors import UserError
from sim2real.operations import Operation
from sim2real.types import Policy, TaskSpec, Term


class ExportError(UserError):
    """A policy that cannot be exported, or whose export computes something else."""


class ExportablePolicy(Policy, Protocol):
    """A policy that is also an ``nn.Module``, on the CPU, and can be traced one step at a time."""

    spec: TaskSpec

    def input_terms(self) -> tuple[Term, ...]:
        """What `step` takes before the memory, in order; by name a part of `sim2real.types.Obs`. Feedback is last."""
        ...

    def export_state_names(self) -> tuple[str, ...]:
        """Names of the memory's tensors: ``("h", "c")``, ``("h",)`` or ``()``."""
        ...

    def zero_state_tensors(self, n: int) -> tuple[Tensor, ...]:
        """Memory of n environments at the start, each [L, n, H]."""
        ...

    def network(self) -> list[Operation] | None:
        """`step` for the NumPy backend; None where its operations can't say it."""
        ...

    @property
    def step(self) -> Callable[..., tuple[Tensor, tuple[Tensor, ...]]]:
        """``step(*inputs, memory) -> (action [n, A] in [-1, 1], next memory)``, one input [n, elements] for each term.

        A method: a property here only because its arguments differ from policy to policy.
        """
        ...
