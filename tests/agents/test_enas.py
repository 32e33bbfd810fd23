from __future__ import annotations

import torch

from sim2real.agents.enas import ENAS, ENASConfig
from tests.search_toys import TWO, Table

FAST = ENASConfig(learning_rate=0.02, shared_updates=3, shared_batch=2)


def test_shared_weights_are_trained_before_each_round() -> None:
    agent = ENAS(FAST, Table(TWO), seed=0, device="cpu")
    cost, metrics = agent.collect()
    assert (cost, agent.weights.state_dict()) == (8, {"lessons": 3})
    assert metrics["loss/shared"] == 1 / 3 and metrics["collect/trained"] == 0
    agent.collect()
    assert agent.weights.state_dict() == {"lessons": 6}


def test_the_best_so_far_is_scored_again_with_the_weights_as_they_are() -> None:
    agent = ENAS(FAST, Table(TWO), seed=0, device="cpu")
    agent.policy.found.numbers.copy_(torch.tensor([1, 2]))  # worth 1; nothing can be better
    agent.policy.found.reward.fill_(0.9)  # of weights that are no more
    agent.collect()
    assert agent.policy.architecture() == (1, 2)
    assert float(agent.policy.found.reward) == 0.75  # after three lessons


def test_it_learns_the_best_architecture_of_a_table() -> None:
    agent = ENAS(FAST, Table(TWO), seed=1, device="cpu")
    for _ in range(60):
        agent.collect()
        agent.update()
    assert agent.policy.architecture() == (1, 2)
    log_prob, _ = agent.policy.controller.log_prob(torch.tensor([[1, 2]]))
    assert float(log_prob.detach().sum().exp()) > 0.8
