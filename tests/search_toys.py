"""A search space whose scores are a formula: the searches are tested on it without a child network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim2real.search_types import Architecture, Scored, SearchSpec, Token
from sim2real.types import FloatArray, State

TWO = SearchSpec("two", (Token("first", ("a", "b")), Token("second", ("x", "y", "z"))))
SKIPS = SearchSpec(
    "skips",
    (
        Token("width_0", ("narrow", "wide")),
        Token("skip_0", (), anchor=True),
        Token("width_1", ("narrow", "wide")),
        Token("skip_1", ("skip_0",), anchor=True),
        Token("width_2", ("narrow", "wide")),
        Token("skip_2", ("skip_0", "skip_1"), anchor=True),
    ),
)


class Table:
    """Rewards by how many tokens have their last value: 1 where all do."""

    def __init__(self, spec: SearchSpec) -> None:
        self.task = spec
        self.asked: list[Architecture] = []

    def score(self, architectures: Sequence[Architecture]) -> Scored:
        self.asked += architectures
        best = [token.size - 1 for token in self.task.tokens]
        rewards = [np.mean([a == b for a, b in zip(arch, best, strict=True)]) for arch in architectures]
        return Scored(np.asarray(rewards), len(architectures))

    def shared_weights(self, seed: int) -> Teachable:
        return Teachable(self)


class Teachable:
    """Shared weights of a `Table`: an architecture is worth its reward, less what has not been taught yet."""

    def __init__(self, table: Table) -> None:
        self.table, self.lessons = table, 0

    def learn(self, architectures: Sequence[Architecture]) -> float:
        self.lessons += 1
        return 1 / self.lessons

    def score(self, architectures: Sequence[Architecture]) -> FloatArray:
        return self.table.score(architectures).rewards * (1 - 1 / (1 + self.lessons))

    def state_dict(self) -> State:
        return {"lessons": self.lessons}

    def load_state_dict(self, state: State) -> None:
        self.lessons = int(state["lessons"])
