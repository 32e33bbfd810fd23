from __future__ import annotations

import numpy as np
import pytest
import torch

from sim2real.envs.recurrent_cells import TreeCells, cell_space, inner_nodes
from sim2real.search_types import Labels

PAPER = {
    "node_0_combine": "add",
    "node_0_activation": "tanh",
    "node_1_combine": "elem_mult",
    "node_1_activation": "relu",
    "node_2_combine": "elem_mult",
    "node_2_activation": "sigmoid",
    "inject_combine": "add",
    "inject_activation": "relu",
    "cell_from": "1",
    "inject_at": "0",
}
"""The worked example of Zoph & Le 2017, figure 5."""


def cells(*labels: Labels, base: int, inputs: int, hidden: int) -> TreeCells:
    """Cells with random weights, the same ones whatever stands beside them."""
    found = TreeCells(labels, base, inputs, hidden)
    with torch.no_grad():
        for weight in found.parameters():
            for k in range(len(labels)):
                weight[k].normal_(generator=torch.Generator().manual_seed(k))
    return found


def test_the_papers_example_step_by_step() -> None:
    cell = cells(PAPER, base=2, inputs=3, hidden=4)
    generator = torch.Generator().manual_seed(0)
    x, h, c = (torch.randn(1, 5, n, generator=generator) for n in (3, 4, 4))
    w1, w3 = cell.from_input[..., :4], cell.from_input[..., 4:]
    w2, w4 = cell.from_hidden[..., :4], cell.from_hidden[..., 4:]
    a0 = torch.tanh(x @ w1 + h @ w2)
    a1 = torch.relu((x @ w3) * (h @ w4))
    a0_new = torch.relu(a0 + c)
    a2 = torch.sigmoid(a0_new * a1)
    new_h, new_c = cell(x @ cell.from_input, h, c)
    torch.testing.assert_close(new_h, a2)
    torch.testing.assert_close(new_c, (x @ w3) * (h @ w4))


def test_the_paper_counts_six_times_ten_to_the_sixteen_cells_of_base_8() -> None:
    assert cell_space(8).size == 8**16 * 15**2
    assert float(f"{cell_space(8).size:.0e}") == 6e16


def test_inner_nodes_pair_neighbours_level_by_level() -> None:
    assert inner_nodes(2) == [(0, 1)]
    assert inner_nodes(4) == [(0, 1), (2, 3), (4, 5)]
    assert inner_nodes(3) == [(0, 1), (2, 3)]
    assert inner_nodes(1) == []


def test_c_may_go_in_at_the_root_and_come_from_it() -> None:
    cell = cells({**PAPER, "cell_from": "2", "inject_at": "2"}, base=2, inputs=2, hidden=2)
    wx, h, c = torch.zeros(1, 1, 4), torch.zeros(1, 1, 2), torch.tensor([[[1.5, -2.0]]])
    new_h, new_c = cell(wx, h, c)
    # All leaves are 0: the root is sigmoid(0) = 1/2 before c is added and cut off at 0.
    torch.testing.assert_close(new_h, torch.tensor([[[2.0, 0.0]]]))
    torch.testing.assert_close(new_c, torch.zeros(1, 1, 2))


@pytest.mark.parametrize("base", [1, 2, 3, 4])
def test_a_cell_computes_the_same_whatever_stands_beside_it(base: int) -> None:
    spec, generator = cell_space(base), np.random.default_rng(0)
    labels = [spec.decode(spec.draw(generator)) for _ in range(12)]
    many = cells(*labels, base=base, inputs=3, hidden=2)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(7))
    h = torch.linspace(-1, 1, 8).view(4, 2)
    together = many((x @ many.from_input), h.expand(12, 4, 2), 2 * h.expand(12, 4, 2))
    for k, label in enumerate(labels):
        alone = TreeCells([label], base, 3, 2)
        alone.load_state_dict({name: weight[k : k + 1] for name, weight in many.state_dict().items()})
        result = alone(x @ alone.from_input, h[None], 2 * h[None])
        for a, b in zip(result, together, strict=True):
            torch.testing.assert_close(a[0], b[k])
