from __future__ import annotations

import pytest
import torch

import meta_gradient
from sim2real.agents.adaptation import AdaptationConfig, AdaptivePolicy, PolicyConfig, ReturnConfig
from sim2real.envs.navigation import Navigation


def test_cosines_and_norms_by_hand() -> None:
    x, y = torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0])
    one, two = ({str(form): vector for form in meta_gradient.FORMS} for vector in (x, y))
    assert meta_gradient.agreement([one, two])["dice"] == {"cosine": 0.96, "norm": 5.0}
    three = meta_gradient.agreement([one, two, one])["dice"]
    assert three["cosine"] == pytest.approx((0.96 + 1 + 0.96) / 3, abs=1e-3)


def test_forms_differ_from_each_other_and_from_batch_to_batch() -> None:
    family, generator = Navigation(horizon=4), torch.Generator().manual_seed(0)
    policy = AdaptivePolicy(family.task, PolicyConfig(hidden=(5,)), ReturnConfig(), AdaptationConfig(rates=(0.5,)))
    one, two = (meta_gradient.gradients(policy, family, tasks=3, rollouts=2, generator=generator) for _ in range(2))
    assert all(g.shape == one["dice"].shape for g in one.values())
    assert not torch.allclose(one["log_likelihood"], one["dice"])
    assert not torch.allclose(one["dice"], two["dice"])
