from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from sim2real.envs.omniglot import OmniglotSource, Part, members, vinyals
from sim2real.envs.omniglot_files import SIZE
from sim2real.errors import UserError
from tests.envs.characters import LETTERS, toy


def source(**options: Any) -> OmniglotSource:
    settings: dict[str, Any] = {"split": "lake", "ways": 5, "shots": 2, "queries": 3, "seed": 1} | options
    return OmniglotSource(toy(), "train", **settings)


def different(values: Tensor) -> int:
    return len(set(values.flatten().tolist()))


def test_a_task_has_each_class_equally_often_and_no_drawing_twice() -> None:
    batch = source().sample(4)
    assert batch.support.inputs.shape == (4, 10, 1, SIZE, SIZE) and batch.query.inputs.shape == (4, 15, 1, SIZE, SIZE)
    assert batch.support.targets[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert batch.query.targets[0].tolist() == [label for label in range(5) for _ in range(3)]
    inputs = (torch.cat([batch.support.inputs, batch.query.inputs], 1) * 255).round()
    labels = torch.cat([batch.support.targets, batch.query.targets], 1)
    for task, label in zip(inputs, labels, strict=True):
        for k in range(5):
            pictures = task[label == k][:, 0]
            assert different(pictures[:, 5, 5]) == 1  # one character
            assert different(pictures[:, 14, 14]) == 5  # five different drawings
        assert different(task[:, 0, 5, 5]) <= 5


def test_turned_characters_are_further_classes() -> None:
    turned, upright = source(), source(rotations=False)
    assert len(turned.images) == 4 * len(upright.images)
    corners = turned.images[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]] == 255
    assert corners.sum(0).tolist() == [len(upright.images)] * 4  # every quarter equally often


def test_classes_of_one_alphabet() -> None:
    batch = source(within_alphabet=True, ways=6).sample(20)
    characters = (batch.support.inputs[:, :, 0, 5, 5] * 255).round().long()
    assert all(different(row // LETTERS) == 1 for row in characters)
    assert different(characters // LETTERS) > 1
    assert all(different(row) == 6 for row in characters)


def test_parts_of_lakes_split_share_no_alphabet() -> None:
    names = toy().names
    parts = [members(names, part, "lake") for part in get_args(Part)]
    assert [len(part) for part in parts] == [4 * LETTERS, LETTERS, 2 * LETTERS]
    alphabets = [{names[i].split("/")[1] for i in part} for part in parts]
    assert not (alphabets[0] & alphabets[1] or alphabets[0] & alphabets[2] or alphabets[1] & alphabets[2])


def test_the_published_split_has_the_published_sizes() -> None:
    parts = [set(vinyals(part)) for part in get_args(Part)]
    assert [len(part) for part in parts] == [1028, 172, 423]
    assert len(parts[0] | parts[1] | parts[2]) == 1623


def test_the_sequence_of_tasks_is_a_function_of_the_seed() -> None:
    first, second = source(), source(seed=2)
    first.sample(3)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(2).query.inputs, second.sample(2).query.inputs)
    assert not torch.equal(first.sample(2).query.inputs, source().sample(2).query.inputs)


@pytest.mark.parametrize(("option", "message"), [({"queries": 19}, "20 drawings"), ({"ways": 97}, "at most 96")])
def test_what_there_is_not_enough_of_is_said(option: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        source(**option)


def test_distorted_drawings_are_of_the_same_characters() -> None:
    plain, distorted = (source(distortion=strength).sample(2) for strength in (0.0, 1.0))
    assert torch.equal(plain.support.targets, distorted.support.targets)
    assert not torch.equal(plain.support.inputs, distorted.support.inputs)
    torch.testing.assert_close(  # the middle of a toy drawing is one shade
        plain.support.inputs[..., 14, 14], distorted.support.inputs[..., 14, 14], atol=1e-5, rtol=0
    )
