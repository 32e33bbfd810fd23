"""How alike two embedded examples are: the three measures of the metric learners."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

Similarity = Literal["squared_euclidean", "cosine", "dot"]


def similarity(query: Tensor, keys: Tensor, kind: Similarity) -> Tensor:
    """Every query against every key: [..., Q, D], [..., S, D] -> [..., Q, S]; larger is more alike.

    ``squared_euclidean`` is -||q - k||^2 (Snell et al. 2017), ``cosine`` Vinyals et al. 2016, ``dot`` q^T k.
    """
    if kind == "cosine":
        query, keys = normalize(query, dim=-1), normalize(keys, dim=-1)
    products = query @ keys.transpose(-1, -2)
    if kind != "squared_euclidean":
        return products
    return 2 * products - query.square().sum(-1)[..., None] - keys.square().sum(-1)[..., None, :]


def class_means(embedded: Tensor, labels: Tensor, ways: int) -> Tensor:
    """Mean embedding of each class: [..., S, D] with labels [..., S] in [0, ways) -> [..., ways, D]."""
    member = one_hot(labels, ways).to(embedded.dtype)
    return (member.transpose(-1, -2) @ embedded) / member.sum(-2)[..., None]


class Scale(nn.Module):
    """Multiplies similarities by a positive factor, learned as its logarithm or fixed."""

    log: Tensor

    def __init__(self, factor: float, *, learn: bool) -> None:
        super().__init__()
        log = torch.tensor(factor).log()
        if learn:
            self.log = nn.Parameter(log)
        else:
            self.register_buffer("log", log)

    def forward(self, x: Tensor) -> Tensor:
        return self.log.exp() * x
