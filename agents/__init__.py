"""Learners by name. A new one is one file and one line here; command line and contract tests read this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from sim2real.agents.adaptive_learner import build_policy
from sim2real.agents.enas import ENAS, ENASConfig
from sim2real.agents.episodic import episodic
from sim2real.agents.evolution import Evolution, EvolutionConfig
from sim2real.agents.found import build_found
from sim2real.agents.lstm_learner import LSTMLearner, LSTMLearnerConfig
from sim2real.agents.maml import MAML, MAMLPolicy
from sim2real.agents.maml_config import MAMLConfig
from sim2real.agents.maml_rl import MAMLRL, MAMLRLConfig
from sim2real.agents.matching import MatchingConfig, MatchingNet
from sim2real.agents.meta_lstm import MetaLSTM, MetaLSTMConfig
from sim2real.agents.nas import NAS, NASConfig, NASPolicy
from sim2real.agents.nearest_neighbour import NearestNeighbour, NearestNeighbourConfig
from sim2real.agents.neural_process import NeuralProcess, NeuralProcessConfig
from sim2real.agents.policy_gradient import PolicyGradient, PolicyGradientConfig
from sim2real.agents.protonet import ProtoNet, ProtoNetConfig
from sim2real.agents.random_search import RandomSearch, RandomSearchConfig
from sim2real.agents.rdpg import RDPG
from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.agents.rdpg_networks import RDPGPolicy
from sim2real.agents.rl2 import RL2
from sim2real.agents.rl2_config import RL2Config
from sim2real.agents.rl2_networks import RL2Policy
from sim2real.few_shot_types import FewShotSpec
from sim2real.meta_rl_types import FamilySpec
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
    cuda: bool = True
    """Whether it computes on a GPU if asked to; its tasks may live on the CPU alone."""


def _episodic(config: type, learner: Callable[[Any, FewShotSpec], nn.Module]) -> AgentEntry:
    """A few-shot learner that is a module with a loss."""
    return AgentEntry(config, episodic(learner), learner, "few_shot", FewShotSpec)


AGENTS: dict[str, AgentEntry] = {
    "rdpg": AgentEntry(RDPGConfig, RDPG, RDPGPolicy),
    "maml": AgentEntry(MAMLConfig, MAML, MAMLPolicy, "few_shot", FewShotSpec),
    "protonet": _episodic(ProtoNetConfig, ProtoNet),
    "matching": _episodic(MatchingConfig, MatchingNet),
    "lstm_learner": _episodic(LSTMLearnerConfig, LSTMLearner),
    "neural_process": _episodic(NeuralProcessConfig, NeuralProcess),
    "meta_lstm": _episodic(MetaLSTMConfig, MetaLSTM),
    "nearest_neighbour": _episodic(NearestNeighbourConfig, NearestNeighbour),
    "policy_gradient": AgentEntry(
        PolicyGradientConfig, PolicyGradient, build_policy, "meta_rl", FamilySpec, cuda=False
    ),
    "maml_rl": AgentEntry(MAMLRLConfig, MAMLRL, build_policy, "meta_rl", FamilySpec, cuda=False),
    "rl2": AgentEntry(RL2Config, RL2, RL2Policy, "meta_rl", FamilySpec),
    "nas": AgentEntry(NASConfig, NAS, NASPolicy, "search", SearchSpec),
    "enas": AgentEntry(ENASConfig, ENAS, NASPolicy, "search", SearchSpec),
    "random_search": AgentEntry(RandomSearchConfig, RandomSearch, build_found, "search", SearchSpec),
    "evolution": AgentEntry(EvolutionConfig, Evolution, build_found, "search", SearchSpec),
}
