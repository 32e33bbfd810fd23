"""Learners by name. A new one is one file and one line here; command line and contract tests read this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from sim2real.agents import evolution, random_search
from sim2real.agents.nas import NAS, NASConfig, NASPolicy
from sim2real.agents.rdpg import RDPG
from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.agents.rdpg_networks import RDPGPolicy
from sim2real.search_types import SearchSpec
from sim2real.types import Algorithm, TaskSpec


@dataclass(frozen=True)
class AgentEntry:
    """What the command line needs to know of a learner."""

    config: type
    """Frozen dataclass of its options: the keys below ``agent``."""
    build: Callable[..., Algorithm]
    """``build(config, source, seed=..., device=...)``; ``source`` is what the domain makes of ``env``."""
    build_policy: Callable[[Any, Any], nn.Module]
    """``build_policy(config, spec)``: the untrained policy, into which saved weights are loaded."""
    domain: str = "goals"
    """Kind of problem it learns, see ``sim2real.domains``."""
    spec: type = TaskSpec
    """Dataclass that says what a policy is made for: the type of ``source.task``."""


AGENTS: dict[str, AgentEntry] = {
    "rdpg": AgentEntry(RDPGConfig, RDPG, RDPGPolicy),
    "nas": AgentEntry(NASConfig, NAS, NASPolicy, "search", SearchSpec),
    "random_search": AgentEntry(
        random_search.RandomSearchConfig,
        random_search.RandomSearch,
        random_search.build_policy,
        "search",
        SearchSpec,
    ),
    "evolution": AgentEntry(
        evolution.EvolutionConfig, evolution.Evolution, evolution.build_policy, "search", SearchSpec
    ),
}
