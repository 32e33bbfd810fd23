"""Child networks: the spaces by name, one child from description to numbers, and many of them in parallel.

Every result is on disk before the next one is asked for, so that a search that was killed goes on without loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sim2real.config import ConfigError, to_dict
from sim2real.envs.character_model import CellConfig, score_cells
from sim2real.envs.convnets import convnet_space
from sim2real.envs.image_classifier import Dataset, ImageConfig, score_convnet
from sim2real.envs.policy_networks import POLICY_SPACE, PolicyChildConfig, effective
from sim2real.envs.recurrent_cells import cell_space
from sim2real.envs.shared_cells import SharedCells
from sim2real.errors import at_least
from sim2real.pool import Workers
from sim2real.result_cache import Numbers, ResultCache
from sim2real.search_types import Architecture, Labels, Scored, SearchSpec

SIDE_BY_SIDE = 8
"""Most cells that are trained in one go."""
FILE = "children.jsonl"
"""Results in a run's folder."""


@dataclass(frozen=True)
class SearchConfig:
    """What is searched, and how a child is scored."""

    space: Literal["cells", "images", "omniglot", "policy"] = "cells"
    """``cells``: recurrent cells, as character models; ``images`` and ``omniglot``: convolutional classifiers of
    Fashion-MNIST and of Omniglot's characters; ``policy``: the robot policy's network."""
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Tokens that have fewer choices than the space gives them -> those choices."""
    workers: int = 2
    """Processes that train children; scores do not depend on it."""
    data: str | None = None
    """Folder of the data files; null: the one in the environment variable SIM2REAL_DATA."""
    cells: CellConfig = field(default_factory=CellConfig)
    """How cells are scored."""
    images: ImageConfig = field(default_factory=ImageConfig)
    """How convolutional classifiers are scored."""
    policy: PolicyChildConfig = field(default_factory=PolicyChildConfig)
    """How networks of the policy are scored."""

    def __post_init__(self) -> None:
        at_least(self, 1, "workers")


@dataclass(frozen=True)
class Child:
    """One child network to build, train and score."""

    config: SearchConfig
    labels: Labels
    seed: int
    test: bool = False
    """Score on data kept for final tests, where the space has such."""

    def key(self) -> dict[str, Any]:
        """What decides the result, JSON-ready."""
        labels = effective(self.labels) if self.config.space == "policy" else self.labels
        shown = {name: label if isinstance(label, str) else list(label) for name, label in labels.items()}
        section = "images" if self.config.space == "omniglot" else self.config.space
        settings = to_dict(getattr(self.config, section))
        return {"space": self.config.space, "choice": shown, "settings": settings, "seed": self.seed, "test": self.test}


def train_children(children: Sequence[Child]) -> list[Numbers]:
    """Build, train and score children of one space; of each: ``reward`` in [0, 1] and what it comes from."""
    config, test = children[0].config, children[0].test
    labels, seeds = [child.labels for child in children], [child.seed for child in children]
    match config.space:
        case "cells":
            return score_cells(labels, config.cells, config.data, seeds, test=test)
        case "images" | "omniglot":
            dataset: Dataset = "omniglot" if config.space == "omniglot" else "fashion_mnist"
            return [
                score_convnet(label, config.images, config.data, seed, dataset=dataset, test=test)
                for label, seed in zip(labels, seeds, strict=True)
            ]
        case "policy":
            from sim2real.policy_child import score_policy  # MuJoCo, onnxruntime

            return [score_policy(label, config.policy, seed) for label, seed in zip(labels, seeds, strict=True)]


def space_of(config: SearchConfig) -> SearchSpec:
    """The space that a configuration names. Raises ``ConfigError`` for choices that it does not have."""
    images = config.images
    try:
        match config.space:
            case "cells":
                spec = cell_space(config.cells.base)
            case "images" | "omniglot":
                spec = convnet_space(images.layers, images.filters, images.strides)
            case "policy":
                spec = POLICY_SPACE
        return spec.narrowed(config.only)
    except ValueError as error:
        raise ConfigError(f"env.only: {error}") from error


class Children:
    """An `ArchitectureSource`: children of one seed, in parallel, none of them twice."""

    def __init__(self, config: SearchConfig, *, seed: int, test: bool = False) -> None:
        self.config, self.task, self.seed, self.test = config, space_of(config), seed, test
        self.cache = ResultCache()
        self._workers = Workers(config.workers, shielded=True)

    def keep_in(self, folder: Path) -> None:
        """Keep results in ``folder``, and take in those that are there."""
        self.cache.open(folder / FILE)

    def score(self, architectures: Sequence[Architecture]) -> Scored:
        """Rewards of m architectures; those that are not known yet are trained."""
        numbers, trained = self.results([self._child(architecture) for architecture in architectures])
        return Scored(np.array([result["reward"] for result in numbers]), trained)

    def shared_weights(self, seed: int) -> SharedCells:
        """Untrained weights for all cells of the space. Raises ``ConfigError`` for other spaces: their children's
        weights differ in shape."""
        if self.config.space != "cells":
            raise ConfigError(f"env.space: weights are shared in cells alone, got {self.config.space}; take nas")
        return SharedCells(self.task, self.config.cells, self.config.data, seed=seed)

    def results(self, children: Sequence[Child]) -> tuple[list[Numbers], int]:
        """All numbers of children, in their order, and how many had to be trained."""
        keys = [child.key() for child in children]
        new: list[Child] = []
        for child, key in zip(children, keys, strict=True):
            if self.cache.get(key) is None and key not in [other.key() for other in new]:
                new.append(child)
        groups = self._groups(new)
        for index, results in self._workers.completed(train_children, groups):
            for child, result in zip(groups[index], results, strict=True):
                self.cache.put(child.key(), result)
        return [found for key in keys if (found := self.cache.get(key)) is not None], len(new)

    def _groups(self, children: Sequence[Child]) -> list[Sequence[Child]]:
        """Children of one process: cells train side by side, the others one by one."""
        most = SIDE_BY_SIDE if self.config.space == "cells" else 1
        size = max(1, min(most, math.ceil(len(children) / self.config.workers)))
        return [children[i : i + size] for i in range(0, len(children), size)]

    def close(self) -> None:
        """End the processes."""
        self._workers.close()

    def _child(self, architecture: Architecture) -> Child:
        return Child(self.config, self.task.decode(architecture), self.seed, self.test)
