"""MAML the way learn2learn does it: modules are cloned, one task after the other, and clones updated in place.

Written from its published interface (``MAML.clone``, ``learner.adapt``) for comparison, because learn2learn does not
build on current Python. What is compared is the method: autograd on ordinary modules, a Python loop over tasks.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from sim2real.agents.few_shot_networks import TaskConvNet, TaskMLP, TaskNetwork
from sim2real.few_shot_types import TaskBatch


class SpatialMean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def as_modules(network: TaskNetwork) -> nn.Sequential:
    """The same network with the same weights, made of ordinary modules."""
    given = dict(network.named_parameters())
    layers: list[nn.Module] = []
    if isinstance(network, TaskMLP):
        for k in range(network.layers):
            layers += [nn.ReLU()] if k else []
            layers.append(_linear(given[f"weight_{k}"], given[f"bias_{k}"]))
        return nn.Sequential(*layers)
    assert isinstance(network, TaskConvNet)
    for k in range(network.blocks):
        weight = given[f"weight_{k}"]
        convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, stride=2, padding=1, bias=False)
        convolution.weight = nn.Parameter(weight.detach().clone())
        layers += [convolution, nn.BatchNorm2d(len(weight), eps=1e-3, track_running_stats=False), nn.ReLU()]
    return nn.Sequential(*layers, SpatialMean(), _linear(given["weight_out"], given["bias_out"]))


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
    return layer


def clone(module: nn.Module) -> nn.Module:
    """A copy whose parameters are differentiable functions of the original's."""
    copy = module.__new__(type(module))
    copy.__dict__ = {**module.__dict__}
    copy._parameters = {n: None if p is None else cast(Any, p.clone()) for n, p in module._parameters.items()}
    copy._buffers = {n: None if b is None else b.clone() for n, b in module._buffers.items()}
    copy._modules = {n: None if m is None else clone(m) for n, m in module._modules.items()}
    return copy


def _named(module: nn.Module) -> list[tuple[dict[str, Any], str]]:
    """Where each parameter that is adapted hangs: all but those of batch normalisation, as in `TaskConvNet`."""
    found = (
        [] if isinstance(module, nn.BatchNorm2d) else [(cast(Any, module._parameters), n) for n in module._parameters]
    )
    return [place for place in found if place[0][place[1]] is not None] + [
        place for child in module.children() for place in _named(child)
    ]


def adapt(module: nn.Module, loss: Tensor, rate: float) -> None:
    """One gradient step on a clone, kept differentiable."""
    places = _named(module)
    slopes = torch.autograd.grad(loss, [owner[name] for owner, name in places], create_graph=True)
    for (owner, name), slope in zip(places, slopes, strict=True):
        owner[name] = owner[name] - rate * slope


def meta_loss(module: nn.Module, tasks: TaskBatch, rate: float, kind: str) -> Tensor:
    """Mean query loss after one step on each task's support set."""
    loss = nn.functional.mse_loss if kind == "regression" else nn.functional.cross_entropy
    total = torch.zeros(())
    for k in range(len(tasks)):
        learner = clone(module)
        adapt(learner, loss(learner(tasks.support.inputs[k]), tasks.support.targets[k]), rate)
        total = total + loss(learner(tasks.query.inputs[k]), tasks.query.targets[k])
    return total / len(tasks)
