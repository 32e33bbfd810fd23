"""Scores every architecture of a small part of a search space, once, so that searches can be compared on real scores.

    SIM2REAL_DATA=DIR python benchmarks/architecture_tables.py cells
    python benchmarks/architecture_tables.py images
    python benchmarks/architecture_tables.py policy

Each child is trained as a search trains it, only shorter. Stopped and called again, it goes on; the tables are
``results/architecture_tables/*.jsonl``. `architecture_search.py` lets the searches draw from them.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from sim2real.envs.character_model import CellConfig
from sim2real.envs.image_classifier import ImageConfig
from sim2real.search_children import Child, Children, SearchConfig
from sim2real.search_types import Architecture, SearchSpec

FOLDER = Path(__file__).resolve().parent.parent / "results" / "architecture_tables"
SEED = 0
"""Of every child: initial weights, data order, episodes."""
PARTS = {
    # Trees of base 2 whose first leaf adds, with c added to it: 128 cells.
    "cells": SearchConfig(
        space="cells",
        only={
            "node_0_combine": ("add",),
            "node_0_activation": ("identity", "tanh"),
            "inject_combine": ("add",),
            "inject_activation": ("identity",),
            "cell_from": ("0",),
            "inject_at": ("0",),
        },
        cells=CellConfig(hidden=32, updates=60, steps=24, learning_rate=2e-2),
        workers=1,
    ),
    # Three layers of small networks for small pictures, all ways to skip: 128 networks.
    "images": SearchConfig(
        space="images",
        only={f"height_{i}": ("1", "3") for i in range(3)}
        | {f"width_{i}": ("3",) for i in range(3)}
        | {"height_0": ("1",), "filters_0": ("4",)},
        images=ImageConfig(
            layers=3,
            filters=(4, 16),
            strides=(1,),
            shrink=4,
            images=1_500,
            validation_images=2_000,
            epochs=2,
            batch=50,
        ),
        workers=1,
    ),
    # 144 architectures; tokens that the memory does not use leave 45 networks.
    "policy": SearchConfig(
        space="policy",
        only={
            "history": ("2", "8"),
            "embedding": ("16", "64"),
            "memory_units": ("16", "64", "256"),
            "hidden_units": ("16", "64", "256"),
            "hidden_layers": ("2",),
        },
        workers=1,
    ),
}


def everything(spec: SearchSpec) -> list[Architecture]:
    """All architectures of a space."""
    return list(itertools.product(*(range(token.size) for token in spec.tokens)))


def table(name: str) -> Children:
    """A part of a space with the scores that are known."""
    source = Children(PARTS[name], seed=SEED)
    source.cache.open(FOLDER / f"{name}.jsonl")
    return source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    source = table(arguments.part)
    architectures = everything(source.task)
    children = [Child(source.config, source.task.decode(a), SEED) for a in architectures]
    _, trained = source.results(children)
    print(f"{arguments.part}: {len(architectures)} architectures, {len(source.cache)} networks, {trained} trained now")


if __name__ == "__main__":
    main()
