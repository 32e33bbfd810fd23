"""Few-shot tasks: learn to learn from a handful of examples, scored on tasks never seen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from sim2real.config import ExperimentConfig, build
from sim2real.domains import Domain, ExportRequest, TrainingScores
from sim2real.envs.dynamics_tasks import DynamicsSource, Rollouts
from sim2real.envs.fewshot import SinusoidSource
from sim2real.envs.omniglot import OmniglotSource, Part, Split
from sim2real.envs.omniglot_files import load_characters
from sim2real.errors import UserError, at_least
from sim2real.exportable import ExportError
from sim2real.few_shot_export import export_learner
from sim2real.few_shot_figures import sinusoid_figure
from sim2real.few_shot_scores import score_tasks
from sim2real.few_shot_types import MetaLearner, TaskSource
from sim2real.progress import counting
from sim2real.scores import Scores
from sim2real.seeding import component_seed
from sim2real.types import State

REFERENCE_SEED = 0
"""Of the rollouts that give dynamics regression its units: the same in every run, or errors could not be compared."""


@dataclass(frozen=True)
class FewShotConfig:
    """Which tasks, and how many examples of each."""

    tasks: Literal["sinusoid", "omniglot", "dynamics"] = "sinusoid"
    """Family of tasks. dynamics: predict how a robot moves under dynamics drawn for the task."""
    ways: int = 5
    """Classes of a task in training; regression has none."""
    shots: int = 10
    """Support examples in training (of each class)."""
    queries: int = 10
    """Query examples in training (of each class)."""
    eval_ways: tuple[int, ...] = ()
    """Classes of a task at test, as ``eval_shots``: more than in training only for learners that take any number."""
    eval_shots: tuple[int, ...] = ()
    """Support examples at test; the first number is what scores count for, more are scored beside it. Empty: as in
    training."""
    eval_queries: int = 15
    """Query examples at test (of each class)."""
    reveal: bool = False
    """Inputs also hold what defines the task: for an oracle. Sinusoids only."""
    robot: str = "FetchReach"
    """Robot task whose dynamics are learned. Dynamics only, as the two below."""
    dynamics: str = "train"
    """Set that the dynamics are drawn from, at test too."""
    pool: int = 1000
    """Episodes that training tasks are made of."""
    split: Split = "vinyals"
    """Which characters are for training: the published split, or the authors' alphabets. Omniglot only, as all
    below."""
    rotations: bool = True
    """Characters turned by quarters are further classes."""
    within_alphabet: bool = False
    """The classes of a task are of one alphabet."""
    distortion: float = 0.0
    """Training drawings are turned, stretched, sheared and shifted at random, 1 for up to 10 degrees, 20 %, 20 % and 2
    pixels; 0 for as they were drawn. Test drawings never are."""
    data: str | None = None
    """Folder with Omniglot's archives; null: ``SIM2REAL_DATA``, else the cache folder."""
    download: bool = False
    """Fetch the archives into the cache folder if they are not there."""

    def __post_init__(self) -> None:
        at_least(self, 1, "shots", "queries", "eval_queries", "pool")
        at_least(self, 2, "ways")
        at_least(self, 0, "distortion")
        if any(shots < 1 for shots in self.eval_shots):
            raise ValueError(f"eval_shots have to be at least 1, got {list(self.eval_shots)}")
        if any(ways < 2 for ways in self.eval_ways):
            raise ValueError(f"eval_ways have to be at least 2, got {list(self.eval_ways)}")

    @property
    def tests(self) -> dict[str, tuple[int, int]]:
        """Ways and shots at test, by what is added to a metric's name: nothing for the first, which scores count for;
        ``_20_way``, ``_5_shot``, ``_20_way_5_shot`` for the others."""
        every_ways, every_shots = self.eval_ways or (self.ways,), self.eval_shots or (self.shots,)
        found = {}
        for ways, shots in itertools.product(every_ways, every_shots):
            way = f"_{ways}_way" if ways != every_ways[0] else ""
            shot = f"_{shots}_shot" if shots != every_shots[0] else ""
            found[way + shot] = (ways, shots)
        return found


def make_source(env: FewShotConfig, part: Part, *, ways: int, shots: int, queries: int, seed: int) -> TaskSource:
    """Tasks of the family. Those drawn from a formula differ between parts in their seed alone."""
    seed = component_seed(seed, part)
    if env.tasks == "sinusoid":
        return SinusoidSource(shots, queries, seed=seed, reveal=env.reveal)
    if env.tasks == "dynamics":
        rollouts, reference = (Rollouts(env.robot, env.dynamics, seed=s) for s in (seed, REFERENCE_SEED))
        pool = env.pool if part == "train" else None
        return DynamicsSource(rollouts, reference, shots, queries, seed=seed, pool=pool)
    return OmniglotSource(
        load_characters(env.data, download=env.download),
        part,
        split=env.split,
        ways=ways,
        shots=shots,
        queries=queries,
        seed=seed,
        rotations=env.rotations,
        within_alphabet=env.within_alphabet,
        distortion=env.distortion if part == "train" else 0.0,
    )


def _describe(env: FewShotConfig) -> str:
    if env.tasks == "omniglot":
        return f"Omniglot, {env.ways} ways, {env.shots} shots"
    family = f"{env.robot} dynamics" if env.tasks == "dynamics" else env.tasks
    return f"{family} from {env.shots} examples"


def _source(config: ExperimentConfig) -> TaskSource:
    env: FewShotConfig = config.env
    return make_source(env, "train", ways=env.ways, shots=env.shots, queries=env.queries, seed=config.seed)


def _training_scores(config: ExperimentConfig) -> TrainingScores:
    """Scores on validation tasks, the same ones every time: the last setting, and ``score``, higher is better."""
    env: FewShotConfig = config.env

    made: list[tuple[TaskSource, State]] = []

    def scores(policy: MetaLearner) -> Mapping[str, float]:
        """Of the policy, from the source as it was when it was made."""
        if not made:  # made on first use: a short trial may never need it
            source = _test_source(policy, env, "validation", "", seed=config.seed)
            made.append((source, source.state_dict()))
        source, start = made[0]
        source.load_state_dict(start)
        values = score_tasks(policy, source, config.trainer.eval_episodes, device=_device(policy))
        metric, numbers = next(iter(values[list(values)[-1]].items()))
        return Scores({"last": {"score": numbers if metric == "accuracy" else -numbers, metric: numbers}}).scalars(
            "last"
        )

    return scores


def measure(policy: Any, meta: Mapping[str, Any], *, episodes: int, seed: int) -> Scores:
    """Error or accuracy on ``episodes`` test tasks in every setting of the learner, for each of ``env.tests``."""
    env = build(FewShotConfig, meta["env"], "env")
    values: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for test in env.tests:
        source = _test_source(policy, env, "test", test, seed=seed)
        with counting(episodes, "tasks") as progress:
            found = score_tasks(policy, source, episodes, device=_device(policy), progress=progress)
        for setting, metrics in found.items():
            values.setdefault(setting, {}).update({f"{name}{test}": numbers for name, numbers in metrics.items()})
    return Scores(values)


def figures(policy: Any, meta: Mapping[str, Any], seed: int) -> list[str]:
    """Adapted sinusoids, where that is what was learned."""
    env = build(FewShotConfig, meta["env"], "env")
    if env.tasks != "sinusoid" or env.reveal:
        return []
    ways, shots = env.tests[""]
    source = make_source(env, "test", ways=ways, shots=shots, queries=1, seed=seed)
    return [sinusoid_figure(policy, source.sample(3))]


def export(request: ExportRequest) -> Path:
    """Write a learner that adapts by a forward pass as ONNX files, for tasks as the score counts them."""
    policy, meta = request.policy, request.meta
    env = build(FewShotConfig, meta["env"], "env")
    if not hasattr(policy, "condition"):
        raise ExportError(f"{meta['algorithm']} adapts by gradient steps; what is exported is one forward pass")
    return export_learner(policy, _test_source(policy, env, "test", "", seed=0), request.out, origin=meta)


def _test_source(policy: Any, env: FewShotConfig, part: Part, test: str, *, seed: int) -> TaskSource:
    """Tasks of one of ``env.tests``. Raises ``UserError`` for more classes than the learner can tell apart."""
    ways, shots = env.tests[test]
    if env.tasks == "omniglot" and ways > env.ways and not getattr(policy, "any_ways", False):
        raise UserError(
            f"eval_ways asks for {ways} classes, and this learner is made for the {env.ways} it is trained on: "
            f"give at most {env.ways}, or take protonet or matching"
        )
    return make_source(env, part, ways=ways, shots=shots, queries=env.eval_queries, seed=seed)


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
    export=export,
    figures=figures,
)
