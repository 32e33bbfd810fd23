"""Actions of a bundle and back: in torch by hand, and in NumPy as in torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim2real.agents.decisions import Bounded, Choice, Decision, decision_of
from sim2real.deploy.numpy_operations import OPERATIONS, Parameters
from sim2real.meta_rl_types import FamilySpec
from sim2real.operations import Operation


def in_numpy(decide: Decision, operations: list[Operation], x: Tensor) -> Any:
    (entry,) = operations
    tensors = {f"decide.{name}": value.numpy() for name, value in decide.state_dict().items()}
    return OPERATIONS[entry["op"]](Parameters(entry, tensors))(x.numpy())[0]


def test_the_most_likely_choice_is_a_one_among_zeros() -> None:
    decide, logits = Choice(), torch.tensor([[0.1, 0.3, -2.0], [5.0, 4.0, 4.5]])
    sent = decide(logits)
    assert sent.tolist() == [[0, 1, 0], [1, 0, 0]] and sent.dtype == torch.float32
    assert decide.taken(sent).tolist() == [1, 0]
    assert torch.equal(decide.read(sent), sent)


def test_means_are_cut_to_the_limits_and_scaled() -> None:
    decide = Bounded((-2.0, 0.0), (2.0, 1.0))
    sent = decide(torch.tensor([[1.0, 0.75], [-9.0, 9.0]]))
    assert sent.tolist() == [[0.5, 0.5], [-1, 1]]
    assert decide.read(sent).tolist() == decide.taken(sent).tolist() == [[1, 0.75], [-2, 1]]


def test_numpy_computes_the_same() -> None:
    for decide in (Choice(), Bounded((-2.0, 0.0, -1.0), (2.0, 1.0, 1.0))):
        x = torch.tensor([0.3, 0.9, -0.2])
        np.testing.assert_array_equal(in_numpy(decide, decide.operations("decide", "x", "y"), x), decide(x[None])[0])
        np.testing.assert_array_equal(in_numpy(decide, decide.read_operations("decide", "x", "y"), x), decide.read(x))


def test_the_familys_actions_decide() -> None:
    assert isinstance(decision_of(FamilySpec("a", 1, "discrete", 3, 5)), Choice)
    bounded = decision_of(FamilySpec("a", 1, "gaussian", 1, 5, action_low=(-3.0,), action_high=(3.0,)))
    assert isinstance(bounded, Bounded) and bounded.scale.tolist() == [3]
