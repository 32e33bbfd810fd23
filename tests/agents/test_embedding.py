"""The encoder: shapes, what batch norm may see, and that its fast form is the usual one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from sim2real.agents.embedding import Embedding, EmbeddingConfig


def test_an_omniglot_image_becomes_64_numbers() -> None:
    embed = Embedding(EmbeddingConfig(), (1, 28, 28))
    assert embed.size == 64 and embed(torch.rand(2, 3, 1, 28, 28)).shape == (2, 3, 64)
    # The papers' network without the convolutions' biases, which the norm takes back out.
    assert sum(p.numel() for p in embed.parameters()) == 9 * 64 + 3 * 9 * 64 * 64 + 4 * 2 * 64


def test_pooling_before_the_relu_is_the_same_function() -> None:
    embed = Embedding(EmbeddingConfig(filters=4, blocks=2), (1, 8, 8))
    layers = list(embed.layers)
    usual = nn.Sequential(*layers[:2], nn.ReLU(), nn.MaxPool2d(2), *layers[4:6], nn.ReLU(), nn.MaxPool2d(2))
    x = torch.rand(5, 1, 8, 8)
    assert_close(embed(x), usual(x).flatten(1))


@settings(max_examples=20, deadline=None)
@given(
    pixels=st.tuples(st.integers(16, 33), st.integers(16, 33)),
    filters=st.integers(1, 5),
    stride=st.booleans(),
    lead=st.lists(st.integers(1, 3), max_size=2),
)
def test_its_size_is_what_it_returns(pixels: tuple[int, int], filters: int, stride: bool, lead: list[int]) -> None:
    config = EmbeddingConfig(filters=filters, halve_by="stride" if stride else "pooling")
    embed = Embedding(config, (2, *pixels)).eval()
    assert embed(torch.rand(*lead, 2, *pixels)).shape == (*lead, embed.size)


def test_low_precision_is_for_training_alone() -> None:
    torch.manual_seed(0)
    embed = Embedding(EmbeddingConfig(precision="bfloat16"), (1, 28, 28))
    exact = Embedding(EmbeddingConfig(), (1, 28, 28))
    exact.load_state_dict(embed.state_dict())
    x = torch.rand(8, 1, 28, 28)
    low = embed(x)
    assert low.dtype == torch.float32 and not torch.equal(low, exact(x))
    assert_close(low, exact(x), atol=0.1, rtol=0.1)
    exact.load_state_dict(embed.state_dict())
    assert torch.equal(embed.eval()(x), exact.eval()(x))


def test_shapes_it_can_not_read_are_named() -> None:
    with pytest.raises(ValueError, match=r"inputs of shape \(3, 4\); \(channels, height, width\) or \(inputs,\)"):
        Embedding(EmbeddingConfig(), (3, 4))
    with pytest.raises(ValueError, match="4 blocks leave nothing of an image of 8 x 28; take fewer"):
        Embedding(EmbeddingConfig(), (1, 8, 28))
    with pytest.raises(ValueError, match="filters and blocks have to be at least 1, got 64 and 0"):
        EmbeddingConfig(blocks=0)
