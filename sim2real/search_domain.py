"""Architecture search: what `train`, `evaluate` and `report` put together for it. A sample is an architecture.

Searching, children share one seed and are scored on validation data. The best one found is scored again from fresh
seeds: that it was the best of many with one seed is partly luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sim2real.architecture_graph import drawing
from sim2real.config import ExperimentConfig, build
from sim2real.domains import Domain, TrainingScores
from sim2real.report import section
from sim2real.result_cache import Numbers
from sim2real.scores import Scores
from sim2real.search_children import Child, Children, SearchConfig
from sim2real.search_types import Architecture, FoundArchitecture, SearchSpec
from sim2real.seeding import component_seed, numpy_generator
from sim2real.types import FloatArray

_SEEDS = 2**31
"""Children's seeds are below, so that any library takes them."""


def _describe(env: SearchConfig) -> str:
    held = f" with {len(env.only)} tokens narrowed" if env.only else ""
    return f"{env.space}{held}, {env.workers} at a time"


def _source(config: ExperimentConfig) -> Children:
    return Children(config.env, seed=_child_seed(config.seed, "training"))


def _keep(source: Children, folder: Path) -> None:
    source.keep_in(folder)


def _training_scores(config: ExperimentConfig) -> TrainingScores:
    """Scores the best architecture on validation data, always from the same fresh seeds."""
    source = Children(config.env, seed=0)
    seeds = [_child_seed(config.seed, f"evaluation {k}") for k in range(config.trainer.eval_episodes)]

    def scores(policy: FoundArchitecture) -> Mapping[str, float]:
        children = _of_seeds(source, policy.architecture(), seeds, test=False)
        results, _ = source.results(children)
        source.close()  # the search has processes of its own
        return Scores({"best": _columns(results)}).scalars("best")

    return scores


def _measure(policy: FoundArchitecture, meta: Mapping[str, Any], *, episodes: int, seed: int) -> Scores:
    """The best architecture from ``episodes`` fresh seeds, and as many architectures drawn at random, each from one of
    these; on test data where the space has such."""
    source = Children(build(SearchConfig, meta["env"], "env"), seed=0)
    spec = build(SearchSpec, meta["task"], "task")
    seeds = [_child_seed(seed, f"test {k}") for k in range(episodes)]
    best = _of_seeds(source, policy.architecture(), seeds, test=True)
    generator = numpy_generator(seed, "random architectures")
    drawn = [Child(source.config, spec.decode(spec.draw(generator)), s, test=True) for s in seeds]
    results, _ = source.results(best + drawn)
    source.close()
    return Scores({"best_found": _columns(results[:episodes]), "random": _columns(results[episodes:])})


def _figures(policy: FoundArchitecture, meta: Mapping[str, Any], seed: int) -> list[str]:
    spec = build(SearchSpec, meta["task"], "task")
    labels = spec.decode(policy.architecture())
    note = f"The best of {meta['samples']:,} architectures; the space has {spec.size:,}."
    picture = f"<figure>{drawing(meta['env']['space'], labels)}<figcaption>{note}</figcaption></figure>"
    return [section("Best architecture", picture)]


def _of_seeds(source: Children, architecture: Architecture, seeds: Sequence[int], *, test: bool) -> list[Child]:
    return [Child(source.config, source.task.decode(architecture), seed, test) for seed in seeds]


def _columns(results: Sequence[Numbers]) -> dict[str, FloatArray]:
    return {name: np.array([numbers[name] for numbers in results]) for name in results[0]}


def _child_seed(seed: int, name: str) -> int:
    return component_seed(seed, name) % _SEEDS


DOMAIN = Domain(
    env=SearchConfig,
    score="reward",
    unit="architectures",
    describe=_describe,
    source=_source,
    keep=_keep,
    training_scores=_training_scores,
    episodes=8,
    measure=_measure,
    figures=_figures,
)
