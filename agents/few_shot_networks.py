"""Networks whose parameters are handed in, so that every task can have its own.

`TaskNetwork.compute` is a function of parameters. `TaskMLP` takes a leading axis of tasks in parameters and inputs
alike (a matrix product becomes a batched one); `TaskConvNet` computes one task and is vectorised by
``torch.func.vmap``. Which of the two is a network's `form` was measured: ``results/few_shot_speed.json``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sim2real.agents.functional import Form
from sim2real.few_shot_types import FewShotSpec

Statistics = Literal["transductive", "support"]
EPSILON = 1e-3
"""What keeps the normalisation's variance away from zero."""


class TaskNetwork(nn.Module):
    """What gradient-based few-shot learners need of a network."""

    form: ClassVar[Form]
    """The fastest of the forms `compute` can be used in, see `functional.task_losses`."""
    together: ClassVar[int | None] = None
    """Tasks of a meta-batch that are computed at once on a CPU: as many as its cache holds; None: all."""
    head: tuple[str, ...]
    """Parameters of the last layer."""
    fixed: tuple[str, ...] = ()
    """Parameters that no inner step changes; the outer loop learns them."""

    def compute(self, parameters: Mapping[str, Tensor], inputs: Tensor, reference: Tensor | None = None) -> Tensor:
        """Outputs [n, O] of ``inputs [n, ...]``.

        Args:
            reference: inputs whose statistics normalise, where the network does so per batch; None: ``inputs``.
        """
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        return self.compute(dict(self.named_parameters()), inputs)


class TaskMLP(TaskNetwork):
    """ReLU layers, no normalisation: the regression network of Finn et al. 2017, section 5.1.

    Weights start from N(0, 0.01^2) truncated at two standard deviations, biases at 0 (their code); ``std`` None: from
    He et al. 2015, for the wider networks of other tasks.
    """

    form = "batched"

    def __init__(self, inputs: int, hidden: tuple[int, ...], outputs: int, *, std: float | None = 0.01) -> None:
        super().__init__()
        sizes = (inputs, *hidden, outputs)
        self.layers = len(sizes) - 1
        for k, (narrow, wide) in enumerate(itertools.pairwise(sizes)):
            scale = math.sqrt(2 / narrow) if std is None else std
            weight = nn.init.trunc_normal_(torch.empty(wide, narrow), std=scale, a=-2 * scale, b=2 * scale)
            self.register_parameter(f"weight_{k}", nn.Parameter(weight))
            self.register_parameter(f"bias_{k}", nn.Parameter(torch.zeros(wide)))
        self.head = (f"weight_{self.layers - 1}", f"bias_{self.layers - 1}")

    def compute(self, parameters: Mapping[str, Tensor], inputs: Tensor, reference: Tensor | None = None) -> Tensor:
        """Outputs [..., n, O] of ``inputs [..., n, I]``; leading axes are those of the parameters."""
        x = inputs
        for k in range(self.layers):
            x = torch.relu(x) if k else x
            x = _linear(x, parameters[f"weight_{k}"], parameters[f"bias_{k}"])
        return x


class TaskConvNet(TaskNetwork):
    """Four 3x3 convolutions of stride 2 with batch normalisation and ReLU, spatial mean, linear layer: the Omniglot
    network of Finn et al. 2017, section 5.2, which has no pooling.

    Normalisation uses the statistics of a batch, never running ones, and has a shift but no scale; the inner loop
    leaves the shift alone (as their code does). ``transductive``: the batch is the one that is classified, as in their
    figures, so that an answer depends on the other queries. ``support``: always the support set's statistics.
    """

    form = "vmap"
    together = 8
    head = ("weight_out", "bias_out")

    def __init__(self, channels: int, filters: int, outputs: int, *, blocks: int = 4, statistics: Statistics) -> None:
        super().__init__()
        self.blocks, self.transductive = blocks, statistics == "transductive"
        for k in range(blocks):
            weight = torch.empty(filters, channels if k == 0 else filters, 3, 3)
            self.register_parameter(f"weight_{k}", nn.Parameter(nn.init.kaiming_normal_(weight)))
            self.register_parameter(f"shift_{k}", nn.Parameter(torch.zeros(filters)))
        self.weight_out = nn.Parameter(nn.init.trunc_normal_(torch.empty(outputs, filters), std=0.1))
        self.bias_out = nn.Parameter(torch.zeros(outputs))
        self.fixed = tuple(f"shift_{k}" for k in range(blocks))

    def compute(self, parameters: Mapping[str, Tensor], inputs: Tensor, reference: Tensor | None = None) -> Tensor:
        """Logits [n, W] of images [n, C, H, W]."""
        support = 0 if reference is None or self.transductive else len(reference)
        x = torch.cat([reference, inputs]) if support and reference is not None else inputs
        for k in range(self.blocks):
            x = nn.functional.conv2d(x, parameters[f"weight_{k}"], stride=2, padding=1)
            x = _normalise(x, x[:support]) if support else _normalise_own(x)
            x = torch.relu(x + parameters[f"shift_{k}"][:, None, None])
        features = x[support:].mean((2, 3))
        return _linear(features, parameters["weight_out"], parameters["bias_out"])


def make_network(
    task: FewShotSpec, *, hidden: tuple[int, ...], weight_std: float | None, filters: int, statistics: Statistics
) -> TaskNetwork:
    """The network for the shape of a task's inputs: convolutions for images, an MLP for vectors."""
    if len(task.input_shape) == 3:
        return TaskConvNet(task.input_shape[0], filters, task.output_size, statistics=statistics)
    return TaskMLP(task.input_shape[0], hidden, task.output_size, std=weight_std)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[..., n, I] -> [..., n, O], with weights [..., O, I] of each task or of one."""
    if x.dim() == 3:  # one kernel for product and sum: these networks are so small that calls are what costs
        return torch.baddbmm(bias[:, None], x, weight.mT)
    return x @ weight.mT + bias[..., None, :]


def _normalise(x: Tensor, reference: Tensor) -> Tensor:
    """[n, C, H, W] in units of the mean and deviation of each channel of ``reference``."""
    mean = reference.mean((0, 2, 3), keepdim=True)
    variance = (reference - mean).square().mean((0, 2, 3), keepdim=True)
    return (x - mean) * torch.rsqrt(variance + EPSILON)


def _normalise_own(x: Tensor) -> Tensor:
    """`_normalise` by itself, in torch's one kernel, which takes less time.

    Not ``nn.functional.batch_norm``, which refuses a single number a channel; a lone query's last layer has one.
    """
    return torch.batch_norm(x, None, None, None, None, True, 0.0, EPSILON, False)
