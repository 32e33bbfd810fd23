"""The pixel baseline by hand."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from sim2real.agents.nearest_neighbour import NearestNeighbour, NearestNeighbourConfig
from sim2real.few_shot_types import Examples, FewShotSpec


def test_the_nearest_example_decides_and_not_the_mean_of_a_class() -> None:
    spec = FewShotSpec("by hand", "classification", (1, 1, 2), 2, 2, 1)
    learner = NearestNeighbour(NearestNeighbourConfig(), spec)
    inputs = torch.tensor([[0.0, 0.0], [10.0, 0.0], [4.0, 0.0], [4.0, 1.0]]).reshape(1, 4, 1, 1, 2)
    support = Examples(inputs, torch.tensor([[0, 0, 1, 1]]))
    logits = learner.adapt(support).predict(torch.tensor([[[[[9.0, 0.0]]], [[[3.0, 0.0]]]]]))["adapted"]
    assert_close(logits, 0.01 * torch.tensor([[[-1.0, -25.0], [-9.0, -1.0]]]))


def test_regression_is_refused() -> None:
    with pytest.raises(ValueError, match="nearest neighbours classify; sines is a regression"):
        NearestNeighbour(NearestNeighbourConfig(), FewShotSpec("sines", "regression", (1,), 1, 5, 5))
