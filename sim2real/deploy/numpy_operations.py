"""What a policy's network may consist of, in NumPy; vectors are float32 of one dimension.

Each entry of `OPERATIONS` turns the parameters of one operation into a function of its inputs. It is written after the
equations, not after the exporter or torch, so that it proves something when all three agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Function = Callable[..., tuple[Array, ...]]


@dataclass(frozen=True)
class Parameters:
    """Parameters of one operation: numbers, and names of tensors."""

    values: Mapping[str, Any]
    tensors: Mapping[str, NDArray[np.generic]]

    def tensor(self, key: str) -> Array:
        """The tensor that ``key`` names. Raises ``TypeError`` unless it is float32."""
        array = self.tensors[self.values[key]]
        if array.dtype != np.float32:
            raise TypeError(f"tensor {self.values[key]!r} is {array.dtype}, expected float32")
        return array.astype(np.float32, copy=False)

    def precise(self, key: str) -> NDArray[np.floating]:
        """The tensor that ``key`` names, in single or double precision. Raises ``TypeError`` for other types."""
        array = self.tensors[self.values[key]]
        return array.astype(np.float64) if array.dtype == np.float64 else self.tensor(key)

    def number(self, key: str) -> np.float32:
        return np.float32(self.values[key])


def normalise(p: Parameters) -> Function:
    """``clip((x - mean) / std, -clip, clip)``, in double precision where the statistics are."""
    mean, std, clip = p.precise("mean"), p.precise("std"), p.number("clip")
    return lambda x: (np.minimum(np.maximum((x - mean) / std, -clip), clip).astype(np.float32, copy=False),)


def linear(p: Parameters) -> Function:
    """``W x + b``; without a ``bias`` ``W x``."""
    weight = p.tensor("weight")
    if "bias" not in p.values:
        return lambda x: (weight @ x,)
    bias = p.tensor("bias")
    return lambda x: (weight @ x + bias,)


def clip(p: Parameters) -> Function:
    low, high = p.number("low"), p.number("high")
    return lambda x: (np.minimum(np.maximum(x, low), high),)


def affine(p: Parameters) -> Function:
    """``x * scale + offset``, element by element."""
    scale, offset = p.tensor("scale"), p.tensor("offset")
    return lambda x: (x * scale + offset,)


def choose(p: Parameters) -> Function:
    """1 where ``x`` is largest (the first place, if there are several), 0 elsewhere."""
    return lambda x: ((np.arange(len(x)) == np.argmax(x)).astype(np.float32),)


def part(p: Parameters) -> Function:
    """Elements ``start`` to ``stop``."""
    start, stop = int(p.values["start"]), int(p.values["stop"])
    return lambda x: (x[start:stop],)


def lstm(p: Parameters) -> Function:
    """Hochreiter and Schmidhuber's cell with forget gate, gates in torch's order i, f, g, o: x, h, c -> y, h', c'."""
    weight = np.concatenate([p.tensor("weight_ih"), p.tensor("weight_hh")], 1)
    bias = p.tensor("bias_ih") + p.tensor("bias_hh")
    n = len(bias) // 4
    # sigmoid(x) = (1 + tanh(x / 2)) / 2: one tanh for all four gates, and nothing that overflows.
    half = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), n)
    weight, bias = weight * half[:, None], bias * half

    def step(x: Array, h: Array, c: Array) -> tuple[Array, ...]:
        gates = np.tanh(weight @ np.concatenate([x, h.reshape(-1)]) + bias)
        i, f, o = (0.5 + 0.5 * gates[k * n : (k + 1) * n] for k in (0, 1, 3))
        cell = f * c.reshape(-1) + i * gates[2 * n : 3 * n]
        y = o * np.tanh(cell)
        return y, y.reshape(h.shape), cell.reshape(c.shape)

    return step


def gru(p: Parameters) -> Function:
    """Cho et al.'s cell with the reset gate behind the product, as cuDNN and torch have it: x, h -> y, h'."""
    from_x, bias_x = p.tensor("weight_ih"), p.tensor("bias_ih")
    from_h, bias_h = p.tensor("weight_hh"), p.tensor("bias_hh")
    n = len(bias_x) // 3

    def step(x: Array, h: Array) -> tuple[Array, ...]:
        old = h.reshape(-1)
        a, b = from_x @ x + bias_x, from_h @ old + bias_h
        r, z = np.split(0.5 + 0.5 * np.tanh(0.5 * (a[: 2 * n] + b[: 2 * n])), 2)
        y = (1 - z) * np.tanh(a[2 * n :] + r * b[2 * n :]) + z * old
        return y, y.reshape(h.shape)

    return step


def history(p: Parameters) -> Function:
    """The latest inputs side by side, the oldest first and dropped: x, h -> y, h'."""

    def step(x: Array, h: Array) -> tuple[Array, ...]:
        y = np.concatenate([h.reshape(-1)[len(x) :], x])
        return y, y.reshape(h.shape)

    return step


OPERATIONS: dict[str, Callable[[Parameters], Function]] = {
    "normalise": normalise,
    "linear": linear,
    "lstm": lstm,
    "gru": gru,
    "history": history,
    "clip": clip,
    "affine": affine,
    "choose": choose,
    "part": part,
    "concat": lambda p: lambda *parts: (np.concatenate(parts),),
    "add": lambda p: lambda x, y: (x + y,),
    "relu": lambda p: lambda x: (np.maximum(x, np.float32(0)),),
    "tanh": lambda p: lambda x: (np.tanh(x),),
}
