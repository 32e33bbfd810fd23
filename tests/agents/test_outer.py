from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sim2real.agents.heads import Categorical
from sim2real.agents.outer import Outer, OuterConfig
from sim2real.agents.trpo import TrustRegionConfig
from sim2real.meta_rl_types import Parameters, Trajectories

HEAD = Categorical(3)


def batch() -> tuple[Trajectories, Tensor]:
    """Four single steps under even odds; actions 0, 1, 2, 2 with advantages 1, 0, -1, -1."""
    action = torch.tensor([0, 1, 2, 2]).view(1, 4, 1)
    ones = torch.ones(1, 4, 1)
    log_prob = torch.full((1, 4, 1), 1 / 3).log()
    t = Trajectories(torch.zeros(1, 4, 1, 1), action, ones, ones, log_prob)
    return t, torch.tensor([1.0, 0.0, -1.0, -1.0]).view(1, 4, 1)


def even(parameters: Parameters) -> Tensor:
    return parameters["logits"].expand(1, 4, 1, 3)


def improved(**options: Any) -> tuple[Tensor, dict[str, Any]]:
    parameters = {"logits": nn.Parameter(torch.zeros(3))}
    metrics = Outer(OuterConfig(**options), HEAD, parameters).improve(even, *batch())
    return parameters["logits"].detach(), metrics


@pytest.mark.parametrize("method", ["trpo", "ppo", "reinforce"])
def test_every_method_goes_towards_what_paid(method: str) -> None:
    logits, metrics = improved(method=method)
    assert float(logits[0]) > 0 > float(logits[2])
    assert all(torch.isfinite(torch.as_tensor(float(v))) for v in metrics.values())


@pytest.mark.parametrize("method", ["ppo", "reinforce"])
def test_the_first_step_follows_the_policy_gradient(method: str) -> None:
    t, advantage = batch()
    logits = torch.zeros(3, requires_grad=True)
    (-(HEAD.log_prob(logits.expand(1, 4, 1, 3), t.action) * advantage).mean()).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    stepped, _ = improved(method=method, epochs=1, learning_rate=0.01)
    # Adam's first step has the size of its rate along every element.
    torch.testing.assert_close(stepped, -0.01 * logits.grad.sign(), atol=1e-5, rtol=0)


def test_ppo_takes_as_many_steps_as_it_is_told() -> None:
    one, three = (improved(method="ppo", epochs=n, learning_rate=0.01)[0] for n in (1, 3))
    assert float(three[0]) > 2 * float(one[0])


def test_a_trust_region_step_uses_the_limit_and_says_so() -> None:
    _, metrics = improved(trust_region=TrustRegionConfig(max_kl=0.02))
    assert metrics["loss/accepted"] == 1.0 and 0.005 < metrics["loss/kl"] <= 0.02 and metrics["loss/improvement"] > 0


def test_slope_and_sketch_are_used_where_they_are_given() -> None:
    asked: list[str] = []
    parameters = {"logits": nn.Parameter(torch.zeros(3))}

    def slope(loss: Any, at: Parameters) -> tuple[Tensor, Tensor]:
        asked.append("slope")
        return torch.zeros(()), torch.tensor([0.0, -1.0, 1.0])  # says: choice 1 is the one

    def sketch(p: Parameters) -> Tensor:
        asked.append("sketch")
        return even(p)[:, :2]

    t, advantage = batch()
    outer = Outer(OuterConfig(method="reinforce"), HEAD, parameters)
    outer.improve(even, t, advantage, slope=slope)
    assert asked == ["slope"] and float(parameters["logits"][1]) > 0 > float(parameters["logits"][2])
    outer = Outer(OuterConfig(), HEAD, parameters)
    outer.improve(even, t, advantage, sketch=(sketch, t.mask[:, :2]))
    assert "sketch" in asked


@pytest.mark.parametrize("options", [{"learning_rate": 0.0}, {"clip": 0.0}, {"epochs": 0}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        OuterConfig(**options)
