from __future__ import annotations

import pytest
import torch

from sim2real.agents.networks import Head, MemoryKind, Normalizer, make_memory

KINDS: tuple[MemoryKind, ...] = ("lstm", "gru", "history", "none")


def test_normalizer_by_hand() -> None:
    normalizer = Normalizer(2, clip=1.5)
    normalizer.update(torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
    normalizer.update(torch.tensor([[[4.0, 1.0]]]))
    # mean (0 + 2 + 4) / 3 = 2, variance 20 / 3 - 4 = 8 / 3; a constant feature keeps the floor 0.01
    torch.testing.assert_close(normalizer.mean, torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(normalizer.std, torch.tensor([(8 / 3) ** 0.5, 0.01]))
    out = normalizer(torch.tensor([[2.0 + (8 / 3) ** 0.5, 1.005], [50.0, 0.0]]))
    torch.testing.assert_close(out, torch.tensor([[1.0, 0.5], [1.5, -1.5]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_stepping_equals_unrolling(kind: MemoryKind) -> None:
    torch.manual_seed(0)
    memory = make_memory(kind, 3, embedding=4, hidden=5, history=3)
    x = torch.randn(2, 7, 3)
    state = memory.initial_state(2)
    outputs = []
    for t in range(7):
        y, state = memory.step(x[:, t], state)
        outputs.append(y)
    torch.testing.assert_close(torch.stack(outputs, 1), memory.unroll(x))
    assert outputs[0].shape == (2, memory.output_size)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_causal(kind: MemoryKind) -> None:
    memory = make_memory(kind, 3, embedding=4, hidden=5, history=3)
    x = torch.randn(1, 6, 3)
    changed = x.clone()
    changed[:, 4:] += 1.0
    torch.testing.assert_close(memory.unroll(x)[:, :4], memory.unroll(changed)[:, :4])


def test_history_keeps_the_latest_inputs_oldest_first() -> None:
    memory = make_memory("history", 1, embedding=0, hidden=0, history=3)
    y = memory.unroll(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]))
    expected = [[0.0, 0.0, 1.0], [0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]
    torch.testing.assert_close(y[0], torch.tensor(expected))


def test_head_equals_layers_on_the_concatenation() -> None:
    torch.manual_seed(0)
    head = Head(context=4, query=2, hidden=(8, 6), outputs=3)
    context, query = torch.randn(5, 4), torch.randn(5, 7, 2)
    first = torch.nn.Linear(6, 8)
    with torch.no_grad():
        first.weight.copy_(torch.cat([head.context.weight, head.query.weight], 1))
        first.bias.copy_(head.context.bias)
    joined = torch.cat([context[:, None].expand(5, 7, 4), query], -1)
    torch.testing.assert_close(head(context, query), head.tail(first(joined)))
