from __future__ import annotations

import numpy as np
import pytest
import torch

from sim2real.envs.recurrent_cells import TreeCell, cell_space, inner_nodes

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


def test_the_papers_example_step_by_step() -> None:
    cell = TreeCell(PAPER, base=2, inputs=3, hidden=4)
    generator = torch.Generator().manual_seed(0)
    x, h, c = (torch.randn(5, n, generator=generator) for n in (3, 4, 4))
    w1, w3 = cell.from_input.weight.split(4)
    w2, w4 = cell.from_hidden.weight.split(4)
    a0 = torch.tanh(x @ w1.T + h @ w2.T)
    a1 = torch.relu((x @ w3.T) * (h @ w4.T))
    a0_new = torch.relu(a0 + c)
    a2 = torch.sigmoid(a0_new * a1)
    new_h, new_c = cell(cell.from_input(x), h, c)
    torch.testing.assert_close(new_h, a2)
    torch.testing.assert_close(new_c, (x @ w3.T) * (h @ w4.T))


def test_the_paper_counts_six_times_ten_to_the_sixteen_cells_of_base_8() -> None:
    assert cell_space(8).size == 8**16 * 15**2
    assert float(f"{cell_space(8).size:.0e}") == 6e16


def test_inner_nodes_pair_neighbours_level_by_level() -> None:
    assert inner_nodes(2) == [(0, 1)]
    assert inner_nodes(4) == [(0, 1), (2, 3), (4, 5)]
    assert inner_nodes(3) == [(0, 1), (2, 3)]
    assert inner_nodes(1) == []


def test_c_may_go_in_at_the_root_and_come_from_it() -> None:
    cell = TreeCell({**PAPER, "cell_from": "2", "inject_at": "2"}, base=2, inputs=2, hidden=2)
    wx, h, c = torch.zeros(1, 4), torch.zeros(1, 2), torch.tensor([[1.5, -2.0]])
    new_h, new_c = cell(wx, h, c)
    # All leaves are 0: the root is sigmoid(0) = 1/2 before c is added and cut off at 0.
    torch.testing.assert_close(new_h, torch.tensor([[2.0, 0.0]]))
    torch.testing.assert_close(new_c, torch.zeros(1, 2))


@pytest.mark.parametrize("base", [1, 2, 3, 4])
def test_every_cell_of_a_space_runs(base: int) -> None:
    spec, generator = cell_space(base), np.random.default_rng(0)
    for _ in range(20):
        cell = TreeCell(spec.decode(spec.draw(generator)), base, inputs=3, hidden=2)
        new_h, new_c = cell(cell.from_input(torch.ones(4, 3)), torch.ones(4, 2), torch.ones(4, 2))
        assert new_h.shape == new_c.shape == (4, 2)
