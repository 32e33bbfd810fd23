"""Learning to act in a task that was never seen, from a family of such tasks: what `train` puts together for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sim2real.config import ConfigError, ExperimentConfig, build
from sim2real.domains import Domain, ExportRequest, TrainingScores
from sim2real.envs.families import FAMILIES, family_type
from sim2real.errors import unknown
from sim2real.meta_rl_types import MetaPolicy, Outcomes, TaskFamily
from sim2real.scores import Scores
from sim2real.seeding import component_seed, torch_generator


@dataclass(frozen=True)
class FamilyConfig:
    """Which tasks are learned from."""

    family: str = "navigation"
    """Name of a family of tasks, see ``sim2real list``."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Its own options, such as ``horizon``: the fields of its dataclass in ``sim2real.envs``."""

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ConfigError(unknown("family of tasks", self.family, FAMILIES))
        build(family_type(self.family), self.options, "env.options")


def make_family(config: FamilyConfig) -> TaskFamily:
    """The family that a configuration names."""
    family: TaskFamily = build(family_type(config.family), config.options, "env.options")
    return family


def family_of(meta: Mapping[str, Any]) -> TaskFamily:
    """The family that a policy was trained on, from the content of its ``policy.json``."""
    return make_family(build(FamilyConfig, meta["env"], "env"))


def _describe(env: FamilyConfig) -> str:
    return f"tasks of the family {env.family}"


def _source(config: ExperimentConfig) -> TaskFamily:
    return make_family(config.env)


def draw_tasks(family: TaskFamily, tasks: int, seed: int) -> tuple[Tensor, torch.Generator]:
    """``tasks`` tasks that training did not see, and what the luck in them is drawn from."""
    return family.sample(tasks, torch_generator(seed, "test tasks")), torch_generator(seed, "test rollouts")


def _scores(policy: MetaPolicy, family: TaskFamily, tasks: int, seed: int, episodes: int | None = None) -> Scores:
    drawn, luck = draw_tasks(family, tasks, seed)
    with torch.no_grad():
        return scores_of(policy.meet(family, drawn, luck, episodes=episodes))


def scores_of(outcomes: Outcomes) -> Scores:
    """Tensors as arrays."""
    return Scores(
        {
            setting: {metric: values.double().cpu().numpy() for metric, values in metrics.items()}
            for setting, metrics in outcomes.items()
        }
    )


def _training_scores(config: ExperimentConfig) -> TrainingScores:
    """The headline setting as ``return``, the others as ``return_SETTING``, on the same tasks every time."""
    family = make_family(config.env)
    seed, tasks = component_seed(config.seed, "evaluation"), config.trainer.eval_episodes

    def scores(policy: MetaPolicy) -> Mapping[str, float]:
        outcome = _scores(policy, family, tasks, seed)
        others = {f"{m}_{s}": e.value for s, metrics in outcome.summary().items() for m, e in metrics.items()}
        return {**outcome.scalars(policy.headline), **others}

    return scores


def measure(
    policy: Any, meta: Mapping[str, Any], *, episodes: int, seed: int, adapt_episodes: int | None = None
) -> Scores:
    """What a `MetaPolicy` makes of ``episodes`` unseen tasks.

    Args:
        policy: a `MetaPolicy`.
        meta: the content of ``policy.json``.
        episodes: number of tasks.
        seed: which tasks, and what is random in them.
        adapt_episodes: episodes of a task that the policy adapts with; null: as it was trained.
    """
    return _scores(policy, family_of(meta), episodes, seed, adapt_episodes)


def export(request: ExportRequest) -> Path:
    """The policy as a bundle; see ``meta_rl_export``, which is imported only now: training needs none of it."""
    from sim2real.meta_rl_export import export_trained

    return export_trained(request)


DOMAIN = Domain(
    env=FamilyConfig,
    score="return",
    unit="env steps",
    describe=_describe,
    source=_source,
    training_scores=_training_scores,
    episodes=40,
    measure=measure,
    export=export,
)
