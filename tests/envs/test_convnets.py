from __future__ import annotations

import numpy as np
import torch

from sim2real.envs.convnets import ConvNet, concatenated, connections, convnet_space, unread
from sim2real.search_types import Labels

SPACE = convnet_space(3, (2, 4), (1, 2))


def labels(*reads: tuple[str, ...], strides: tuple[int, ...] = (1, 1, 1)) -> Labels:
    found: dict[str, str | tuple[str, ...]] = {}
    for i, (read, stride) in enumerate(zip(reads, strides, strict=True)):
        found |= {f"height_{i}": "3", f"width_{i}": "5", f"filters_{i}": str(2 * (i + 1)), f"stride_{i}": str(stride)}
        found[f"layer_{i}"] = read
    return found


def test_how_many_networks_there_are() -> None:
    assert SPACE.size == (4 * 4 * 2 * 2) ** 3 * 1 * 2 * 4


def test_a_layer_that_reads_nothing_reads_the_image_and_what_nobody_reads_goes_out() -> None:
    choice = labels((), ("layer_0",), ())
    assert connections(choice) == [[], [0], []] and unread(connections(choice)) == [1, 2]
    network = ConvNet(choice, channels=1, classes=10)
    inputs = [layer[0].in_channels for layer in network.layers]  # type: ignore[index]
    assert inputs == [1, 2, 1] and network.classifier.in_features == 4 + 6


def test_inputs_are_concatenated_in_depth() -> None:
    network = ConvNet(labels((), ("layer_0",), ("layer_0", "layer_1")), channels=3, classes=10)
    assert network.layers[2][0].in_channels == 2 + 4  # type: ignore[index]
    assert network.classifier.in_features == 6


def test_smaller_maps_are_padded_with_zeros() -> None:
    joined = concatenated([torch.ones(1, 1, 2, 2), torch.full((1, 1, 3, 4), 2.0)])
    assert joined.shape == (1, 2, 3, 4)
    assert joined[0, 0].tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_different_strides_fit_together() -> None:
    network = ConvNet(labels((), ("layer_0",), ("layer_0", "layer_1"), strides=(1, 2, 1)), channels=1, classes=7)
    assert network(torch.zeros(2, 1, 9, 9)).shape == (2, 7)


def test_every_network_of_the_space_runs() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        network = ConvNet(SPACE.decode(SPACE.draw(generator)), channels=1, classes=3)
        assert network(torch.zeros(2, 1, 14, 14)).shape == (2, 3)
