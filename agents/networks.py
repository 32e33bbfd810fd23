"""Networks of the recurrent agent: normaliser, memories, and heads that share a context between goals.

The memory reads (s_t, a_{t-1}) only; goal, query action and privileged inputs enter beside it (Peng et al. 2017,
figure 4). So the memory does not depend on the goal, and one unroll serves any number of goals: a `Head` takes a
context that is computed once and queries of which there may be many.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn

from sim2real.operations import Operation, linear, mlp, operation

MemoryKind = Literal["lstm", "gru", "history", "none"]
MemoryState = tuple[Tensor, ...]


class Normalizer(nn.Module):
    """Standardises with running statistics and clips (Andrychowicz et al. 2017, appendix A). Saved with the policy."""

    mean: Tensor
    std: Tensor
    count: Tensor
    _sum: Tensor
    _sum_sq: Tensor

    def __init__(self, size: int, *, clip: float = 5.0, min_std: float = 1e-2) -> None:
        super().__init__()
        self.clip, self.min_std = clip, min_std
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        # Double precision: the sums run over tens of millions of samples.
        self.register_buffer("_sum", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("_sum_sq", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D] in [-clip, clip]."""
        return ((x - self.mean) / self.std).clamp(-self.clip, self.clip)

    def operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        """This module for the NumPy backend; its tensors start with ``prefix``."""
        tensors = {key: f"{prefix}.{key}" for key in ("mean", "std")}
        return [operation("normalise", [source], [result], **tensors, clip=self.clip)]

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Count the samples of ``x [..., D]`` in."""
        x = x.reshape(-1, x.shape[-1]).double()
        self._sum += x.sum(0)
        self._sum_sq += x.square().sum(0)
        self.count += len(x)
        mean = self._sum / self.count
        variance = (self._sum_sq / self.count - mean.square()).clamp(min=self.min_std**2)
        self.mean.copy_(mean)
        self.std.copy_(variance.sqrt())


class RecurrentMemory(nn.Module):
    """Embedding (one ReLU layer), then LSTM or GRU; orthogonal recurrent weights, zero bias."""

    def __init__(self, inputs: int, embedding: int, hidden: int, kind: Literal["lstm", "gru"]) -> None:
        super().__init__()
        self.kind, self.output_size = kind, hidden
        self.embed = nn.Linear(inputs, embedding)
        self.rnn: nn.LSTM | nn.GRU = (nn.LSTM if kind == "lstm" else nn.GRU)(embedding, hidden, batch_first=True)
        for name, parameter in self.rnn.named_parameters():
            if "weight" in name:
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)

    def initial_state(self, n: int) -> MemoryState:
        """Zeros, ``(h, c)`` or ``(h,)``, each [1, n, H]."""
        zeros = self.embed.weight.new_zeros((1, n, self.output_size))
        return (zeros, zeros) if self.kind == "lstm" else (zeros,)

    def unroll(self, x: Tensor) -> Tensor:
        """Outputs at every step from the zero state: [B, T, I] -> [B, T, H]."""
        return self.rnn(torch.relu(self.embed(x)))[0]  # type: ignore[no-any-return]

    def step(self, x: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """One step: [n, I] -> [n, H] and the next state."""
        hidden = state if self.kind == "lstm" else state[0]
        y, new = self.rnn(torch.relu(self.embed(x))[:, None], hidden)
        return y[:, 0], new if self.kind == "lstm" else (new,)

    def operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        """`step` for the NumPy backend; its tensors start with ``prefix``."""
        names = ["h", "c"][: len(self.initial_state(1))]
        weights = {key: f"{prefix}.rnn.{key}_l0" for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        inputs, outputs = [f"{name}_in" for name in names], [f"{name}_out" for name in names]
        return [
            linear(self.embed, f"{prefix}.embed", source, "embedded"),
            operation("relu", ["embedded"], ["features"]),
            operation(self.kind, ["features", *inputs], [result, *outputs], **weights),
        ]


class HistoryMemory(nn.Module):
    """The ``length`` latest inputs (s_t, a_{t-1}) side by side, zeros before the start: Peng's "FF + Hist"."""

    _zero: Tensor

    def __init__(self, inputs: int, length: int) -> None:
        super().__init__()
        self.inputs, self.length, self.output_size = inputs, length, inputs * length
        self.register_buffer("_zero", torch.zeros(()), persistent=False)  # knows the device

    def initial_state(self, n: int) -> MemoryState:
        return (self._zero.new_zeros((1, n, self.output_size)),)

    def unroll(self, x: Tensor) -> Tensor:
        """[B, T, I] -> [B, T, length * I], oldest input first."""
        batch, steps, _ = x.shape
        padded = torch.cat([x.new_zeros((batch, self.length - 1, self.inputs)), x], 1)
        return padded.unfold(1, self.length, 1).transpose(2, 3).reshape(batch, steps, self.output_size)

    def step(self, x: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        y = torch.cat([state[0][0, :, self.inputs :], x], 1)
        return y, (y[None],)

    def operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        return [operation("history", [source, "h_in"], [result, "h_out"])]


class NoMemory(nn.Module):
    """Feed-forward: an empty output."""

    output_size = 0

    def initial_state(self, n: int) -> MemoryState:
        return ()

    def unroll(self, x: Tensor) -> Tensor:
        return x[..., :0]

    def step(self, x: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        return x[:, :0], ()

    def operations(self, prefix: str, source: str, result: str) -> list[Operation]:
        return []


Memory = RecurrentMemory | HistoryMemory | NoMemory


def make_memory(kind: MemoryKind, inputs: int, *, embedding: int, hidden: int, history: int) -> Memory:
    """The memory that ``kind`` names, reading ``inputs`` numbers a step."""
    if kind == "none":
        return NoMemory()
    if kind == "history":
        return HistoryMemory(inputs, history)
    return RecurrentMemory(inputs, embedding, hidden, kind)


class Head(nn.Module):
    """MLP over (context, query) whose first layer is split, so that n queries share one pass over the context.

    ``W [context; query] = W_c context + W_q query``: the same function as a layer on the concatenation; the context's
    part, which is the wide one, is computed once and broadcast. With ``layer_norm``, every hidden layer is normalised
    before its ReLU.
    """

    def __init__(
        self, context: int, query: int, hidden: tuple[int, ...], outputs: int, *, layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.context = nn.Linear(context, hidden[0])
        self.query = nn.Linear(query, hidden[0], bias=False)

        def activation(width: int) -> list[nn.Module]:
            return [nn.LayerNorm(width), nn.ReLU()] if layer_norm else [nn.ReLU()]

        layers: list[nn.Module] = activation(hidden[0])
        for narrow, wide in itertools.pairwise(hidden):
            layers += [nn.Linear(narrow, wide), *activation(wide)]
        self.tail = nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))

    def forward(self, context: Tensor, query: Tensor) -> Tensor:
        """Context [..., C] and queries [..., n, Q] -> [..., n, outputs]."""
        return self.tail(self.context(context)[..., None, :] + self.query(query))  # type: ignore[no-any-return]

    def operations(self, prefix: str, context: str, query: str, result: str) -> list[Operation]:
        """`forward` with one query for the NumPy backend; its tensors start with ``prefix``."""
        return [
            linear(self.context, f"{prefix}.context", context, "from_context"),
            linear(self.query, f"{prefix}.query", query, "from_query"),
            operation("add", ["from_context", "from_query"], ["both"]),
            *mlp(self.tail, f"{prefix}.tail", "both", result),
        ]
