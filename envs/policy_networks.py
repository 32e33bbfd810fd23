"""The robot policy's own network as a search space: kind of memory, embedding and sizes of the recurrent agent's actor.

Children are trained where environment and learner are put together, in ``sim2real.search_children``; here is what there
is to choose and what a choice means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim2real.search_types import Labels, SearchSpec, Token

POLICY_SPACE = SearchSpec(
    "networks of the robot policy",
    (
        Token("memory", ("none", "history", "gru", "lstm")),
        Token("history", ("2", "4", "8")),
        Token("embedding", ("16", "32", "64", "128")),
        Token("memory_units", ("16", "32", "64", "128", "256")),
        Token("hidden_units", ("16", "32", "64", "128", "256")),
        Token("hidden_layers", ("1", "2", "3")),
    ),
)


@dataclass(frozen=True)
class PolicyChildConfig:
    """How a policy's network is scored: a short training, success along it, and the latency of the exported model."""

    task: str = "FetchReach"
    """Robot task."""
    dynamics: str = "train"
    """Set of dynamics it is trained and scored under."""
    num_envs: int = 4
    """Environments stepped together."""
    evaluate_after: tuple[int, ...] = (12, 16)
    """Rounds of training after which it is scored, the last one being its end; success is the mean of them, so that
    faster learning counts too."""
    episodes: int = 24
    """Episodes of each of these."""
    updates_per_collect: int = 40
    """Updates after each round."""
    latency_budget: float = 30.0
    """Median time of a step of the exported model in onnxruntime that costs nothing (in microseconds, one thread)."""

    def __post_init__(self) -> None:
        rounds = self.evaluate_after
        if not rounds or rounds[0] < 1 or list(rounds) != sorted(set(rounds)):
            raise ValueError(f"evaluate_after has to be rising whole numbers from 1, got {list(rounds)}")
        if self.latency_budget <= 0:
            raise ValueError(f"latency_budget has to be above 0, got {self.latency_budget}")


def effective(labels: Labels) -> Labels:
    """Without the tokens that the chosen memory does not use: what differs in them alone is the same network."""
    unused = {"gru": {"history"}, "lstm": {"history"}, "history": {"embedding", "memory_units"}}
    dropped = unused.get(str(labels["memory"]), {"history", "embedding", "memory_units"})
    return {name: label for name, label in labels.items() if name not in dropped}


def agent_options(labels: Labels, config: PolicyChildConfig) -> dict[str, Any]:
    """The recurrent agent's options for a network: small batches often, and a critic without memory."""
    sizes = {name: int(str(labels[name])) for name in ("history", "embedding", "memory_units") if name in labels}
    return {
        **sizes,
        "memory": labels["memory"],
        "hidden": (int(str(labels["hidden_units"])),) * int(str(labels["hidden_layers"])),
        "critic_memory": "none",
        "twin_critics": False,
        "batch_episodes": 64,
        "steps_per_episode": 4,
        "num_goals": 2,
        "target_interval": 10,
        "priority": "uniform",
        "updates_per_collect": config.updates_per_collect,
    }


def latency_factor(latency: float, budget: float) -> float:
    """1 within the budget, else budget / latency (as Tan et al. 2019, MnasNet, equation 2, with exponent -1)."""
    return min(1.0, budget / latency)
