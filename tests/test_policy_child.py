from __future__ import annotations

import pytest

from sim2real.envs.policy_networks import PolicyChildConfig
from sim2real.policy_child import score_policy

TINY = PolicyChildConfig(evaluate_after=(1, 2), episodes=2, num_envs=2, updates_per_collect=1, latency_budget=0.001)


def test_a_network_is_trained_scored_and_timed() -> None:
    pytest.importorskip("onnxruntime")
    labels = {"memory": "gru", "embedding": "16", "memory_units": "16", "hidden_units": "16", "hidden_layers": "1"}
    found = score_policy(labels, TINY, seed=3)
    assert found["latency_us"] > 1
    assert found["reward"] == pytest.approx(found["success"] * 0.001 / found["latency_us"])
    assert 0 <= found["success"] <= 1 and found["final_success"] in (0.0, 0.5, 1.0)
    again = score_policy(labels, TINY, seed=3)
    assert (again["success"], again["parameters"]) == (found["success"], found["parameters"])
