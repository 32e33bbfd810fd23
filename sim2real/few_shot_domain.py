"""Few-shot tasks: learn to learn from a handful of examples, scored on tasks never seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from sim2real.config import ExperimentConfig, at_least, build
from sim2real.domains import Domain, TrainingScores
from sim2real.envs.fewshot import SinusoidSource
from sim2real.envs.omniglot import OmniglotSource, Part, Split
from sim2real.envs.omniglot_files import load_characters
from sim2real.few_shot_figures import sinusoid_figure
from sim2real.few_shot_scores import score_tasks
from sim2real.few_shot_types import MetaLearner, TaskSource
from sim2real.scores import Scores
from sim2real.seeding import component_seed


@dataclass(frozen=True)
class FewShotConfig:
    """Which tasks, and how many examples of each."""

    tasks: Literal["sinusoid", "omniglot"] = "sinusoid"
    """Family of tasks."""
    ways: int = 5
    """Classes of a task; regression has none."""
    shots: int = 10
    """Support examples in training (of each class)."""
    queries: int = 10
    """Query examples in training (of each class)."""
    eval_shots: tuple[int, ...] = ()
    """Support examples at test; the first number is what scores count for, more are scored beside it. Empty: as in
    training."""
    eval_queries: int = 100
    """Query examples at test (of each class)."""
    reveal: bool = False
    """Inputs also hold what defines the task: for an oracle. Sinusoids only."""
    split: Split = "vinyals"
    """Which characters are for training: the published split, or the authors' alphabets. Omniglot only, as all
    below."""
    rotations: bool = True
    """Characters turned by quarters are further classes."""
    within_alphabet: bool = False
    """The classes of a task are of one alphabet."""
    data: str | None = None
    """Folder with Omniglot's archives; null: ``SIM2REAL_DATA``, else the cache folder."""
    download: bool = False
    """Fetch the archives into the cache folder if they are not there."""

    def __post_init__(self) -> None:
        at_least(self, 1, "shots", "queries", "eval_queries")
        at_least(self, 2, "ways")
        if any(shots < 1 for shots in self.eval_shots):
            raise ValueError(f"eval_shots have to be at least 1, got {list(self.eval_shots)}")

    @property
    def test_shots(self) -> tuple[int, ...]:
        return self.eval_shots or (self.shots,)


def make_source(env: FewShotConfig, part: Part, *, shots: int, queries: int, seed: int) -> TaskSource:
    """Tasks of the family. Those drawn from a formula differ between parts in their seed alone."""
    seed = component_seed(seed, part)
    if env.tasks == "sinusoid":
        return SinusoidSource(shots, queries, seed=seed, reveal=env.reveal)
    return OmniglotSource(
        load_characters(env.data, download=env.download),
        part,
        split=env.split,
        ways=env.ways,
        shots=shots,
        queries=queries,
        seed=seed,
        rotations=env.rotations,
        within_alphabet=env.within_alphabet,
    )


def _describe(env: FewShotConfig) -> str:
    if env.tasks == "omniglot":
        return f"Omniglot, {env.ways} ways, {env.shots} shots"
    return f"{env.tasks} tasks from {env.shots} examples"


def _source(config: ExperimentConfig) -> TaskSource:
    env: FewShotConfig = config.env
    return make_source(env, "train", shots=env.shots, queries=env.queries, seed=config.seed)


def _training_scores(config: ExperimentConfig) -> TrainingScores:
    """Scores on validation tasks, the same ones every time: the last setting, and ``score``, higher is better."""
    env: FewShotConfig = config.env

    def scores(policy: MetaLearner) -> Mapping[str, float]:
        shots = env.test_shots[0]
        source = make_source(env, "validation", shots=shots, queries=env.eval_queries, seed=config.seed)
        values = score_tasks(policy, source, config.trainer.eval_episodes, device=_device(policy))
        metric, numbers = next(iter(values[list(values)[-1]].items()))
        return Scores({"last": {"score": numbers if metric == "accuracy" else -numbers, metric: numbers}}).scalars(
            "last"
        )

    return scores


def measure(policy: Any, meta: Mapping[str, Any], *, episodes: int, seed: int) -> Scores:
    """Error or accuracy on ``episodes`` test tasks in every setting of the learner, for each of ``eval_shots``."""
    env = build(FewShotConfig, meta["env"], "env")
    values: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for k, shots in enumerate(env.test_shots):
        source = make_source(env, "test", shots=shots, queries=env.eval_queries, seed=seed)
        for setting, metrics in score_tasks(policy, source, episodes, device=_device(policy)).items():
            named = {name if k == 0 else f"{name}_{shots}_shot": numbers for name, numbers in metrics.items()}
            values.setdefault(setting, {}).update(named)
    return Scores(values)


def figures(policy: Any, meta: Mapping[str, Any], seed: int) -> list[str]:
    """Adapted sinusoids, where that is what was learned."""
    env = build(FewShotConfig, meta["env"], "env")
    if env.tasks != "sinusoid" or env.reveal:
        return []
    source = make_source(env, "test", shots=env.test_shots[0], queries=1, seed=seed)
    return [sinusoid_figure(policy, source.sample(3))]


def _device(policy: Any) -> torch.device:
    return next((parameter.device for parameter in policy.parameters()), torch.device("cpu"))


DOMAIN = Domain(
    env=FewShotConfig,
    score="score",
    unit="tasks",
    describe=_describe,
    source=_source,
    training_scores=_training_scores,
    episodes=600,
    measure=measure,
    figures=figures,
)
