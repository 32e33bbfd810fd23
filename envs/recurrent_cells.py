"""The recurrent cells of Zoph & Le 2017, section 3.4: a tree of steps that combine x, h and c to the next h and c.

A tree of base n has n leaves and n - 1 inner nodes. Each node combines its two inputs and applies an activation; a
leaf's are W x and U h, weights of its own. *Cell inject* combines the output of one node, *inject_at*, with c in the
same way. The last node is the next h; the next c is what the node *cell_from* had before its activation. Both indices
run over all nodes: base 8 has the paper's 6 x 10^16 cells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from sim2real.search_types import Labels, SearchSpec, Token

COMBINATIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"add": torch.add, "elem_mult": torch.mul}
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}


def cell_space(base: int) -> SearchSpec:
    """All cells whose tree has ``base`` leaves."""
    nodes = [str(i) for i in range(2 * base - 1)]
    steps = [f"node_{i}" for i in nodes] + ["inject"]
    tokens = [
        Token(f"{step}_{part}", tuple(choices))
        for step in steps
        for part, choices in (("combine", COMBINATIONS), ("activation", ACTIVATIONS))
    ]
    indices = tuple(Token(name, tuple(nodes)) for name in ("cell_from", "inject_at"))
    return SearchSpec(f"recurrent cells of base {base}", (*tokens, *indices))


def inner_nodes(base: int) -> list[tuple[int, int]]:
    """The two inputs of each inner node, nodes ``base``, ``base + 1``, ...: neighbours are paired from the left, level
    by level."""
    waiting, pairs = deque(range(base)), []
    for node in range(base, 2 * base - 1):
        pairs.append((waiting.popleft(), waiting.popleft()))
        waiting.append(node)
    return pairs


class TreeCells(nn.Module):
    """K cells side by side: as many small steps as for one. Weights [K, inputs, leaves x H], without biases, as in the
    paper. A cell's numbers do not depend on its neighbours."""

    def __init__(self, cells: Sequence[Labels], base: int, inputs: int, hidden: int) -> None:
        super().__init__()
        self.base, self.hidden, self.inner = base, hidden, inner_nodes(base)
        self.choices = {name: [str(labels[name]) for labels in cells] for name in cells[0]}
        self.masks = {
            (name, value): torch.tensor([v == value for v in values])[:, None, None]
            for name, values in self.choices.items()
            for value in set(values)
        }
        self.from_input = nn.Parameter(torch.empty(len(cells), inputs, base * hidden))
        self.from_hidden = nn.Parameter(torch.empty(len(cells), hidden, base * hidden))

    def forward(self, wx: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``x @ from_input`` [K, n, leaves x H], h and c [K, n, H] -> the next h and c.

        The caller computes the first for a whole sequence at once.
        """
        uh = h @ self.from_hidden
        pairs = [*zip(wx.chunk(self.base, -1), uh.chunk(self.base, -1), strict=True)]
        after: list[Tensor] = []
        next_c = c
        for node in range(2 * self.base - 1):
            a, b = pairs[node] if node < self.base else (after[i] for i in self.inner[node - self.base])
            before = self._combined(f"node_{node}", a, b)
            next_c = self._where("cell_from", node, before, next_c)
            out = self._activated(f"node_{node}", before)
            if str(node) in self.choices["inject_at"]:
                with_c = self._activated("inject", self._combined("inject", out, c))
                out = self._where("inject_at", node, with_c, out)
            after.append(out)
        return after[-1], next_c

    def _combined(self, step: str, a: Tensor, b: Tensor) -> Tensor:
        token = f"{step}_combine"
        return self._chosen(token, {k: f(a, b) for k, f in COMBINATIONS.items() if k in self.choices[token]})

    def _activated(self, step: str, x: Tensor) -> Tensor:
        token = f"{step}_activation"
        return self._chosen(token, {k: f(x) for k, f in ACTIVATIONS.items() if k in self.choices[token]})

    def _chosen(self, token: str, results: Mapping[str, Tensor]) -> Tensor:
        """Of each cell the result that it chose."""
        (_, chosen), *others = results.items()
        for value, result in others:
            chosen = torch.where(self.masks[token, value], result, chosen)
        return chosen

    def _where(self, token: str, node: int, yes: Tensor, no: Tensor) -> Tensor:
        """``yes`` for the cells whose ``token`` is this node."""
        count = self.choices[token].count(str(node))
        if count == len(self.choices[token]):
            return yes
        return torch.where(self.masks[token, str(node)], yes, no) if count else no
