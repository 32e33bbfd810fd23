"""Similarities and class means, by hand."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from sim2real.agents.similarity import Scale, Similarity, class_means, similarity

QUERY = torch.tensor([[3.0, 4.0]])
KEYS = torch.tensor([[3.0, 0.0], [0.0, 2.0]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("squared_euclidean", [-16.0, -13.0]), ("cosine", [0.6, 0.8]), ("dot", [9.0, 8.0])],
)
def test_the_three_similarities_by_hand(kind: Similarity, expected: list[float]) -> None:
    assert_close(similarity(QUERY, KEYS, kind), torch.tensor([expected]))


def test_class_means_take_labels_in_any_order() -> None:
    embedded = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [0.0, 5.0]]])
    means = class_means(embedded, torch.tensor([[0, 1, 0, 1]]), 2)
    assert_close(means, torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]))


def test_a_scale_multiplies_and_only_a_learned_one_is_a_parameter() -> None:
    assert_close(Scale(10.0, learn=True)(torch.tensor([2.0])), torch.tensor([20.0]))
    assert [len(list(Scale(1.0, learn=learn).parameters())) for learn in (True, False)] == [1, 0]
