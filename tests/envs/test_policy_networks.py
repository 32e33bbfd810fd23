from __future__ import annotations

import pytest

from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.envs.policy_networks import POLICY_SPACE, PolicyChildConfig, agent_options, effective, latency_factor

CHOICE = {
    "memory": "lstm",
    "history": "8",
    "embedding": "32",
    "memory_units": "64",
    "hidden_units": "128",
    "hidden_layers": "3",
}


def test_a_choice_becomes_the_agents_options() -> None:
    config = RDPGConfig(**agent_options(CHOICE, PolicyChildConfig()))
    assert (config.memory, config.embedding, config.memory_units, config.history) == ("lstm", 32, 64, 8)
    assert config.hidden == (128, 128, 128)


@pytest.mark.parametrize(
    ("memory", "used"),
    [("lstm", {"embedding", "memory_units"}), ("gru", {"embedding", "memory_units"}), ("history", {"history"})],
)
def test_what_a_memory_does_not_use_does_not_tell_networks_apart(memory: str, used: set[str]) -> None:
    assert set(effective({**CHOICE, "memory": memory})) == {"memory", "hidden_units", "hidden_layers"} | used
    assert set(effective({**CHOICE, "memory": "none"})) == {"memory", "hidden_units", "hidden_layers"}


def test_the_budget_costs_nothing_and_twice_the_budget_half() -> None:
    assert [latency_factor(us, 30.0) for us in (10.0, 30.0, 60.0)] == [1.0, 1.0, 0.5]


def test_the_space_is_as_large_as_its_choices() -> None:
    assert POLICY_SPACE.size == 4 * 3 * 4 * 5 * 5 * 3


@pytest.mark.parametrize("rounds", [(), (0, 4), (4, 4), (8, 4)])
def test_rounds_that_do_not_rise_are_refused(rounds: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="evaluate_after"):
        PolicyChildConfig(evaluate_after=rounds)
