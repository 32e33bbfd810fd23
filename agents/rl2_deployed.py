"""RL² as a robot runs it: one step after the other, the most likely action, the memory in and out by name.

What a step reads is what `trials.Encoder` makes in training: the observation, and of the step before the action, the
reward and whether it ended its episode. Action and memory are the runner's business. Reward and end are readings, 0 at
the first step of a trial. Where the observation before is read, too (``transition``), it is part of the memory.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from sim2real.agents.decisions import decision_of
from sim2real.agents.networks import HistoryMemory, MemoryState, NoMemory
from sim2real.agents.rl2_networks import RL2Policy
from sim2real.errors import UserError
from sim2real.meta_rl_types import Interface
from sim2real.operations import Operation, linear, operation
from sim2real.types import Element, Term

OUTCOME = Term("outcome", "task", (Element("previous_reward", "1"), Element("previous_done", "1")))
"""What the step before brought: its reward, and 1 if it ended its episode or came after the end."""


class TrialPolicy(nn.Module):
    """A trained `RL2Policy` behind the interface of its family. Implements ``exportable.ExportablePolicy``.

    The horizon of its ``spec`` is that of a trial: the memory is kept that long.

    Raises:
        UserError: the middle of an action's limits is not 0. A runner begins there, training began with zeros.
    """

    def __init__(self, policy: RL2Policy, interface: Interface) -> None:
        super().__init__()
        if any(interface.task.action_offset):
            raise UserError(
                f"the limits of {interface.task.name}'s actions are not symmetric around 0 (their middle is "
                f"{list(interface.task.action_offset)}): a runner can't begin with the action 0, as training did"
            )
        self.policy, self.decide = policy, decision_of(policy.task)
        self.spec = dataclasses.replace(interface.task, horizon=policy.task.episodes * policy.task.horizon)
        self._reads = interface.terms
        size = policy.task.observation
        self.recent = HistoryMemory(size, 2) if policy.encode.transition else NoMemory()

    def input_terms(self) -> tuple[Term, ...]:
        """Observation, what the step before brought, and its action."""
        return (*self._reads, OUTCOME, self.spec.input_terms[-1])

    def export_state_names(self) -> tuple[str, ...]:
        """``h`` of the GRU; with ``transition`` also ``seen``: the latest two observations."""
        return ("h", "seen")[: len(self.zero_state_tensors(1))]

    def zero_state_tensors(self, n: int) -> MemoryState:
        """Memory at the start of n trials, each [1, n, size]."""
        return (*self.policy.initial_state(n), *self.recent.initial_state(n))

    def step(self, *inputs: Any) -> tuple[Tensor, MemoryState]:
        """Tensors of `input_terms`, each [n, elements], and memory -> action [n, A] in [-1, 1] and memory."""
        *observed, outcome, previous, (h, *seen) = inputs
        observation = torch.cat(observed, -1)
        both, seen = self.recent.step(observation, tuple(seen))
        before = both[:, : self.policy.task.observation]
        read = torch.cat([observation, self.decide.read(previous), outcome, before], -1)
        outputs, memory = self.policy.advance(read, (h,))
        return self.decide(outputs), (*memory, *seen)

    def network(self) -> list[Operation]:
        """`step` as a list of operations, for the NumPy backend."""
        names = ["observed", "acted", OUTCOME.name]
        before = self._before_operations()
        return [
            operation("concat", [term.name for term in self._reads], ["raw"]),
            *self._normalize_operations("raw", "observed"),
            *self.decide.read_operations("decide", "previous_action", "acted"),
            *before,
            operation("concat", names + ["before"] * bool(before), ["read"]),
            *self.policy.memory.operations("policy.memory", "read", "z"),
            linear(self.policy.last, "policy.last", "z", "outputs"),
            *self.decide.operations("decide", "outputs", "action"),
        ]

    def _before_operations(self) -> list[Operation]:
        if isinstance(self.recent, NoMemory):
            return []
        return [
            operation("history", ["raw", "seen_in"], ["both", "seen_out"]),
            operation("part", ["both"], ["raw_before"], start=0, stop=self.policy.task.observation),
            *self._normalize_operations("raw_before", "before"),
        ]

    def _normalize_operations(self, source: str, result: str) -> list[Operation]:
        normalize = self.policy.normalize
        if normalize is None:
            return [operation("concat", [source], [result])]
        return normalize.operations("policy.normalize", source, result)
