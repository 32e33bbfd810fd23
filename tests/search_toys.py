"""A search space whose scores are a formula: the searches are tested on it without a child network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim2real.search_types import Architecture, Scored, SearchSpec, Token

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
