"""The image or vector encoder that the metric and black-box learners share.

Four blocks of 3x3 convolution, batch norm, ReLU and 2x2 max pooling (Vinyals et al. 2016, section 4.1; Snell et al.
2017, section 3.1), which takes a 28x28 image to 64 numbers; or one hidden layer for inputs that are vectors. Statistics
of batch norm are running ones outside training, so a prediction depends on its query alone and not on the others.

What is measured on one core (360 images of 28x28, forward and backward): 741 ms as it is usually written; 446 ms with
channels last and ReLU after the pooling, which is the same function as both are monotone; 226 ms with bfloat16
activations on top. Strided convolutions without pooling (Finn et al. 2017) take 116 ms and 50 ms. That core had AMX;
one without AVX-512 emulates bfloat16 and is nine times slower with it than without, so no preset asks for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class EmbeddingConfig:
    """Settings of the encoder."""

    filters: int = 64
    """Filters of a convolution, or units of the hidden layer for vectors."""
    blocks: int = 4
    """Convolutions; each halves the image."""
    halve_by: Literal["pooling", "stride"] = "pooling"
    """Max pooling, as in the metric learners' papers; or convolutions of stride 2, four times less work."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Activations while training; evaluation and export compute in float32. bfloat16 pays on GPUs and on CPUs with
    AVX-512 BF16 or AMX, and is far slower on others."""

    def __post_init__(self) -> None:
        if self.filters < 1 or self.blocks < 1:
            raise ValueError(f"filters and blocks have to be at least 1, got {self.filters} and {self.blocks}")


class Embedding(nn.Module):
    """``[..., *shape] -> [..., size]`` for images ``(channels, height, width)`` and for vectors ``(inputs,)``.

    Raises:
        ValueError: the shape is neither, or so small that the blocks leave no pixel.
    """

    def __init__(self, config: EmbeddingConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.config, self.shape = config, shape
        self.images = len(shape) == 3
        if self.images:
            self.layers, self.size = _convolutions(config, shape)
            self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        elif len(shape) == 1:
            self.layers = nn.Sequential(nn.Linear(shape[0], config.filters), nn.ReLU())
            self.size = config.filters
        else:
            raise ValueError(f"inputs of shape {shape}; (channels, height, width) or (inputs,) are allowed")

    def forward(self, x: Tensor) -> Tensor:
        lead = x.shape[: x.dim() - len(self.shape)]
        flat = x.reshape(-1, *self.shape)
        if self.images:
            flat = flat.contiguous(memory_format=torch.channels_last)
        low = self.training and self.config.precision == "bfloat16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=low):
            return self.layers(flat).float().reshape(*lead, self.size)  # type: ignore[no-any-return]


def _convolutions(config: EmbeddingConfig, shape: tuple[int, ...]) -> tuple[nn.Sequential, int]:
    channels, *pixels = shape
    layers: list[nn.Module] = []
    for _ in range(config.blocks):
        strided = config.halve_by == "stride"
        # The norm has a bias of its own.
        layers += [
            nn.Conv2d(channels, config.filters, 3, padding=1, stride=2 if strided else 1, bias=False),
            nn.BatchNorm2d(config.filters),
            *([] if strided else [nn.MaxPool2d(2)]),
            nn.ReLU(inplace=True),
        ]
        channels = config.filters
        pixels = [(n + 1) // 2 if strided else n // 2 for n in pixels]
    if min(pixels) < 1:
        raise ValueError(f"{config.blocks} blocks leave nothing of an image of {shape[1]} x {shape[2]}; take fewer")
    return nn.Sequential(*layers, nn.Flatten()), channels * math.prod(pixels)
