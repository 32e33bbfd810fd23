"""The recurrent cells of Zoph & Le 2017, section 3.4: a tree of steps that combine x, h and c to the next h and c.

A tree of base n has n leaves and n - 1 inner nodes. Each node combines its two inputs and applies an activation; a
leaf's are W x and U h, weights of its own. *Cell inject* combines the output of one node, *inject_at*, with c in the
same way. The last node is the next h; the next c is what the node *cell_from* had before its activation. Both indices
run over all nodes: base 8 has the paper's 6 x 10^16 cells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

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


class TreeCell(nn.Module):
    """One recurrent cell; the leaves' weights of all leaves side by side, without biases, as in the paper."""

    def __init__(self, labels: Labels, base: int, inputs: int, hidden: int) -> None:
        super().__init__()
        self.base, self.hidden = base, hidden
        self.inner = inner_nodes(base)
        steps = [f"node_{i}" for i in range(2 * base - 1)] + ["inject"]
        self.combine = {step: COMBINATIONS[str(labels[f"{step}_combine"])] for step in steps}
        self.activate = {step: ACTIVATIONS[str(labels[f"{step}_activation"])] for step in steps}
        self.cell_from, self.inject_at = (int(str(labels[name])) for name in ("cell_from", "inject_at"))
        self.from_input = nn.Linear(inputs, base * hidden, bias=False)
        self.from_hidden = nn.Linear(hidden, base * hidden, bias=False)

    def forward(self, wx: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``from_input(x) [n, base * H]``, h and c [n, H] -> the next h and c.

        The caller computes ``from_input`` for a whole sequence at once.
        """
        uh = self.from_hidden(h)
        before: list[Tensor] = []
        after: list[Tensor] = []
        pairs = [*zip(wx.split(self.hidden, -1), uh.split(self.hidden, -1), strict=True)]
        for node in range(2 * self.base - 1):
            a, b = pairs[node] if node < self.base else (after[i] for i in self.inner[node - self.base])
            before.append(self.combine[f"node_{node}"](a, b))
            out = self.activate[f"node_{node}"](before[-1])
            if node == self.inject_at:
                out = self.activate["inject"](self.combine["inject"](out, c))
            after.append(out)
        return after[-1], before[self.cell_from]
