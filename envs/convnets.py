"""Convolutional classifiers as a search space (Zoph & Le 2017, sections 3.3 and 4.1): a layer is filter height, filter
width, number of filters, stride, and an anchor that says which layers before it it reads.

How a list of tokens becomes a network: a layer that reads nothing reads the image; what is read is concatenated in
depth; maps that are smaller than others are padded with zeros; all layers that nobody reads go to the classifier.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim2real.search_types import Labels, SearchSpec, Token

FILTER_SIZES = ("1", "3", "5", "7")


def convnet_space(layers: int, filters: Sequence[int], strides: Sequence[int]) -> SearchSpec:
    """Networks of ``layers`` convolutions."""
    tokens: list[Token] = []
    for i in range(layers):
        tokens += [
            Token(f"height_{i}", FILTER_SIZES),
            Token(f"width_{i}", FILTER_SIZES),
            Token(f"filters_{i}", tuple(map(str, filters))),
            Token(f"stride_{i}", tuple(map(str, strides))),
            Token(f"layer_{i}", tuple(f"layer_{j}" for j in range(i)), anchor=True),
        ]
    return SearchSpec(f"convolutional classifiers of {layers} layers", tuple(tokens))


def connections(labels: Labels) -> list[list[int]]:
    """Which layers each layer reads; an empty list: the image."""
    layers = sum(name.startswith("layer_") for name in labels)
    return [[int(name.removeprefix("layer_")) for name in labels[f"layer_{i}"]] for i in range(layers)]


def unread(reads: Sequence[Sequence[int]]) -> list[int]:
    """Layers that no layer reads."""
    return [i for i in range(len(reads)) if not any(i in read for read in reads)]


class ConvNet(nn.Module):
    """The classifier that ``labels`` describe: convolution, batch norm, ReLU a layer; then the mean over the map."""

    def __init__(self, labels: Labels, channels: int, classes: int) -> None:
        super().__init__()
        self.reads = connections(labels)
        self.outputs = unread(self.reads)
        depth = [int(str(labels[f"filters_{i}"])) for i in range(len(self.reads))]
        layers = []
        for i, read in enumerate(self.reads):
            size = (int(str(labels[f"height_{i}"])), int(str(labels[f"width_{i}"])))
            inputs = sum(depth[j] for j in read) or channels
            padding = (size[0] // 2, size[1] // 2)
            stride = int(str(labels[f"stride_{i}"]))
            convolution = nn.Conv2d(inputs, depth[i], size, stride=stride, padding=padding, bias=False)
            layers.append(nn.Sequential(convolution, nn.BatchNorm2d(depth[i]), nn.ReLU()))
        self.layers = nn.ModuleList(layers)
        self.classifier = nn.Linear(sum(depth[i] for i in self.outputs), classes)

    def forward(self, images: Tensor) -> Tensor:
        """[n, C, H, W] -> logits [n, classes]."""
        maps: list[Tensor] = []
        for layer, read in zip(self.layers, self.reads, strict=True):
            maps.append(layer(concatenated([maps[j] for j in read] or [images])))
        features = concatenated([maps[i] for i in self.outputs])
        return self.classifier(features.mean((2, 3)))  # type: ignore[no-any-return]


def concatenated(maps: Sequence[Tensor]) -> Tensor:
    """[n, C_i, H_i, W_i] -> [n, sum C_i, max H_i, max W_i], zeros at the lower and right edge of smaller ones."""
    height, width = (max(m.shape[d] for m in maps) for d in (2, 3))
    return torch.cat([functional.pad(m, (0, width - m.shape[3], 0, height - m.shape[2])) for m in maps], 1)
