"""Kinds of problems. A learner names its domain; the domain turns the keys below ``env`` into what is learned from, and
says how the outcome is scored. So one trainer, one `train` and one `evaluate` serve them all.

A new domain is one module ``sim2real/NAME_domain.py`` with a `Domain` called ``DOMAIN``, and a line in `NAMES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim2real.config import ExperimentConfig
from sim2real.scores import Scores

TrainingScores = Callable[[Any], Mapping[str, float]]
"""Scores the policy learned so far, on the same test every time."""


def _nothing(source: Any, folder: Path) -> None:
    pass


def _no_figures(policy: Any, meta: Mapping[str, Any], seed: int) -> list[str]:
    return []


@dataclass(frozen=True)
class ExportRequest:
    """What a domain is asked to export. It reads what it needs."""

    policy: Any
    meta: Mapping[str, Any]
    """The content of ``policy.json``."""
    trained: Mapping[str, Any]
    """Versions and commit of the training."""
    out: Path
    episodes: int
    """Episodes or test tasks that what was exported is evaluated on; 0: none."""


@dataclass(frozen=True)
class Domain:
    """What the commands need to know of a kind of problem."""

    env: type
    """Frozen dataclass: the keys below ``env``."""
    score: str
    """The number of an evaluation that picks the best policy; higher is better."""
    unit: str
    """What a sample is: env steps, tasks, architectures."""
    describe: Callable[[Any], str]
    """``env`` -> what is learned, in a few words."""
    source: Callable[[ExperimentConfig], Any]
    """What the learner gathers from; ``source.task`` says what a policy for it is made for."""
    training_scores: Callable[[ExperimentConfig], TrainingScores]
    """In environments or tasks of its own, so that training goes on as if nothing had been scored."""
    keep: Callable[[Any, Path], None] = _nothing
    """``keep(source, folder)``: lets the source keep results in the run's folder, and take in those that are there."""
    episodes: int = 200
    """Default of ``--episodes``: episodes for each set of dynamics, or unseen test tasks."""
    measure: Callable[..., Scores] | None = None
    """``measure(policy, meta, episodes=..., seed=...)``: what `evaluate` and `report` show; ``meta`` is the content of
    ``policy.json``. None for robot tasks: ``sim2real.evaluate`` scores them under sets of dynamics."""
    export: Callable[[ExportRequest], Path] | None = None
    """The policy as files that run without torch, and their folder. None for robot tasks, whose policies are exported
    by their task (``sim2real.bundle_commands``), and where it can't be had."""
    figures: Callable[[Any, Mapping[str, Any], int], list[str]] = _no_figures
    """``figures(policy, meta, seed)``: further sections of the report, as ``report.section`` makes them."""


NAMES = ("goals", "meta_rl", "few_shot", "search")


def domain(name: str) -> Domain:
    """The domain of that name; its environments and learners are imported now, not before."""
    found: Domain = importlib.import_module(f"sim2real.{name}_domain").DOMAIN
    return found
