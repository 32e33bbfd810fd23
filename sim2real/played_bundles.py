"""Bundles in families of tasks: what they read of a trial, and what they achieve, through the runner and the safety
filter as on a robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim2real.agents.decisions import decision_of
from sim2real.agents.rl2_deployed import OUTCOME
from sim2real.agents.trials import Encoder, play
from sim2real.bundle_evaluation import Watch
from sim2real.meta_rl_types import FamilySpec, TaskFamily
from sim2real.types import FloatArray


def trial_readings(inputs: Tensor, task: FamilySpec) -> FloatArray:
    """Observation and outcome of what `trials.Encoder` makes: [..., I] -> [..., D + 2]."""
    outcome = task.observation + task.action
    parts = inputs[..., : task.observation], inputs[..., outcome : outcome + len(OUTCOME.elements)]
    readings: FloatArray = torch.cat(parts, -1).numpy()
    return readings


def play_bundle(
    watch: Watch, family: TaskFamily, tasks: Tensor, luck: torch.Generator, *, episodes: int
) -> Mapping[str, Mapping[str, Tensor]]:
    """Outcomes of a bundle's trials of so many episodes, one in each of ``tasks [B, ...]``: see `Trials.outcomes`."""
    player, env = _Player(watch, family.task), family.batch(tasks, 1, luck)
    encode, decide = Encoder(family.task, transition=False), decision_of(family.task)
    return play(player, env, encode, episodes, decide.taken).outcomes(episodes)


@dataclass(frozen=True)
class _Player:
    """A bundle as `trials.Remembers`; its outputs are actions in [-1, 1]."""

    watch: Watch
    task: FamilySpec

    def initial_state(self, n: int) -> Any:
        return self.watch.initial_state(n)

    def step(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        action, state = self.watch.act(self._by_term(trial_readings(inputs, self.task)), state, deterministic=True)
        return torch.from_numpy(action), state

    def _by_term(self, readings: FloatArray) -> dict[str, FloatArray]:
        """Columns by the name of their term; the outcome, which comes last, need not be among them."""
        terms = [term for term in self.watch.bundle.contract.terms if term.source != "feedback"]
        ends = np.cumsum([len(term.elements) for term in terms])
        return {term.name: part for term, part in zip(terms, np.split(readings, ends, 1), strict=False)}
