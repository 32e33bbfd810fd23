"""What architecture search exchanges: a space of architectures, an architecture, and who scores them.

An architecture is one whole number a token. A plain token's number says which of its choices is taken; an anchor's
number is a set of earlier anchors, bit j for the j-th of its choices: the skip connections of Zoph & Le 2017, section
3.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from sim2real.errors import unknown
from sim2real.types import FloatArray, State

Architecture = tuple[int, ...]
"""[T] one number a token."""
Labels = Mapping[str, str | tuple[str, ...]]
"""Token -> what was chosen for it; an anchor has a tuple of the anchors it is connected to."""


@dataclass(frozen=True)
class Token:
    """One decision of an architecture."""

    name: str
    choices: tuple[str, ...]
    """What is chosen from; of an anchor: the names of the anchors before it."""
    anchor: bool = False
    """Whether any set of the choices may be taken instead of exactly one."""

    @property
    def size(self) -> int:
        """How many values the token has."""
        return 2 ** len(self.choices) if self.anchor else len(self.choices)


@dataclass(frozen=True)
class SearchSpec:
    """A space of architectures: T tokens, decided in their order."""

    name: str
    tokens: tuple[Token, ...]

    def __post_init__(self) -> None:
        anchors: list[str] = []
        for token in self.tokens:
            if token.anchor and list(token.choices) != anchors:
                raise ValueError(f"anchor {token.name}: its choices have to be the anchors before it, {anchors}")
            if not token.anchor and not token.choices:
                raise ValueError(f"token {token.name} has nothing to choose from")
            anchors += [token.name] if token.anchor else []

    @property
    def size(self) -> int:
        """How many architectures there are."""
        return math.prod(token.size for token in self.tokens)

    def decode(self, architecture: Architecture) -> dict[str, str | tuple[str, ...]]:
        """What was chosen, by token. Raises ``ValueError`` for numbers that are not of this space."""
        self.check(architecture)
        return {token.name: _label(token, value) for token, value in zip(self.tokens, architecture, strict=True)}

    def encode(self, labels: Labels) -> Architecture:
        """Inverse of `decode`. Raises ``ValueError`` for a choice that the space does not have."""
        return tuple(_value(token, labels[token.name]) for token in self.tokens)

    def check(self, architecture: Architecture) -> None:
        """Raise ``ValueError`` unless every number is one of its token's."""
        sizes = [token.size for token in self.tokens]
        if len(architecture) != len(sizes):
            raise ValueError(f"{self.name}: an architecture has {len(sizes)} numbers, got {len(architecture)}")
        for token, value in zip(self.tokens, architecture, strict=True):
            if not 0 <= value < token.size:
                raise ValueError(f"{self.name}: {token.name} is a number below {token.size}, got {value}")

    def narrowed(self, only: Mapping[str, Sequence[str]]) -> SearchSpec:
        """The part of the space in which the tokens named in ``only`` have these choices alone.

        Raises ``ValueError`` for a token or a choice that is not there, and for anchors.
        """
        names = [token.name for token in self.tokens if not token.anchor]
        for name in only:
            if name not in names:
                raise ValueError(unknown(f"token of {self.name}", name, names))
        tokens = tuple(_narrowed(token, only[token.name]) if token.name in only else token for token in self.tokens)
        return replace(self, tokens=tokens)

    def draw(self, generator: np.random.Generator) -> Architecture:
        """An architecture with every value of every token equally likely."""
        return tuple(int(generator.integers(token.size)) for token in self.tokens)


@dataclass(frozen=True)
class Scored:
    """What m architectures were worth."""

    rewards: FloatArray
    """[m] the higher the better, in [0, 1]."""
    trained: int
    """Children that were trained for it; the others' scores were known."""


class ArchitectureSource(Protocol):
    """Builds, trains and scores child networks; the same architecture has the same score every time."""

    task: SearchSpec

    def score(self, architectures: Sequence[Architecture]) -> Scored:
        """Rewards of m architectures, in their order."""
        ...


class SharedWeights(Protocol):
    """One set of weights that every architecture of a space takes its own from (Pham et al. 2018)."""

    def learn(self, architectures: Sequence[Architecture]) -> float:
        """One gradient step on the mean loss of these architectures; that loss."""
        ...

    def score(self, architectures: Sequence[Architecture]) -> FloatArray:
        """Rewards in [0, 1] of m architectures with the weights as they are, all on the same validation data: [m]."""
        ...

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`."""
        ...


class SharingSource(ArchitectureSource, Protocol):
    """A source whose architectures can share their weights."""

    def shared_weights(self, seed: int) -> SharedWeights:
        """Untrained ones. Raises ``UserError`` for spaces whose weights cannot be shared."""
        ...


class FoundArchitecture(Protocol):
    """What a search has learned."""

    def architecture(self) -> Architecture:
        """The best architecture so far."""
        ...


def _label(token: Token, value: int) -> str | tuple[str, ...]:
    if not token.anchor:
        return token.choices[value]
    return tuple(choice for j, choice in enumerate(token.choices) if value >> j & 1)


def _value(token: Token, label: str | tuple[str, ...]) -> int:
    chosen = (label,) if isinstance(label, str) else label
    for choice in chosen:
        if choice not in token.choices:
            raise ValueError(unknown(f"choice of {token.name}", choice, token.choices))
    positions = [token.choices.index(choice) for choice in chosen]
    return sum(1 << j for j in set(positions)) if token.anchor else positions[0]


def _narrowed(token: Token, choices: Sequence[str]) -> Token:
    for choice in choices:
        if choice not in token.choices:
            raise ValueError(unknown(f"choice of {token.name}", choice, token.choices))
    return replace(token, choices=tuple(choices))
