"""A convolutional network's worth: its accuracy on images not trained on, after a short training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim2real.envs.convnets import ConvNet
from sim2real.envs.image_data import Images, fashion_mnist, omniglot
from sim2real.errors import at_least
from sim2real.search_types import Labels

Dataset = Literal["fashion_mnist", "omniglot"]


@dataclass(frozen=True)
class ImageConfig:
    """How a convolutional network is scored."""

    layers: int = 4
    """Convolutions."""
    filters: tuple[int, ...] = (8, 16, 24, 32)
    """Numbers of filters to choose from (in the paper 24, 36, 48, 64)."""
    strides: tuple[int, ...] = (1, 2)
    """Strides to choose from."""
    shrink: int = 2
    """Images are made smaller by this factor."""
    images: int = 6_000
    """Training images."""
    validation_images: int = 3_000
    """Images that a network is scored on."""
    epochs: int = 3
    """Passes over the training images."""
    best_of_last: int = 1
    """The score is the best one of so many last epochs (5 of 50 in the paper)."""
    batch: int = 64
    """Images of a gradient step."""
    learning_rate: float = 0.1
    """Step of SGD with Nesterov momentum 0.9 and weight decay 1e-4; it falls to zero on half a cosine."""

    def __post_init__(self) -> None:
        at_least(self, 1, "layers", "shrink", "images", "validation_images", "epochs", "best_of_last", "batch")


def score_convnet(
    labels: Labels, config: ImageConfig, data: str | None, seed: int, *, dataset: Dataset, test: bool = False
) -> dict[str, float]:
    """Train the network on ``dataset``; ``reward`` is its accuracy. ``test``: on the test images."""
    load = {"fashion_mnist": fashion_mnist, "omniglot": omniglot}[dataset]
    training, validation, final = load(data, config.shrink)
    classes = int(training.classes.max()) + 1
    training, validation = training.first(config.images), validation.first(config.validation_images)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ConvNet(labels, channels=1, classes=classes)
        scored = final if test else validation
        accuracies = train(network, config, training, scored)
    return {
        "reward": max(accuracies[-config.best_of_last :]),
        "accuracy": accuracies[-1],
        "parameters": float(sum(p.numel() for p in network.parameters())),
    }


def train(network: nn.Module, config: ImageConfig, training: Images, scored: Images) -> list[float]:
    """Accuracy on ``scored`` after each of the last epochs that count."""
    optimizer = torch.optim.SGD(
        network.parameters(), config.learning_rate, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    count = len(training.classes)
    steps = math.ceil(count / config.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs * steps)
    accuracies = []
    for epoch in range(config.epochs):
        network.train()
        for index in torch.split(torch.randperm(count), config.batch):
            loss = functional.cross_entropy(network(training.pixels[index]), training.classes[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        if epoch >= config.epochs - config.best_of_last:
            accuracies.append(accuracy(network, scored))
    return accuracies


@torch.no_grad()
def accuracy(network: nn.Module, images: Images) -> float:
    """Share of ``images`` that are classified right."""
    network.eval()
    right = [
        (network(pixels).argmax(1) == classes).float()
        for pixels, classes in zip(torch.split(images.pixels, 500), torch.split(images.classes, 500), strict=True)
    ]
    found: Tensor = torch.cat(right).mean()
    return float(found)
