"""The controller of Zoph & Le 2017, "Neural Architecture Search with Reinforcement Learning", sections 3.1 and 3.3.

An LSTM decides one token after the other: a softmax of its own for each token, the choice's embedding as next input.
An anchor decides for every anchor before it whether it is connected:
``P(j -> i) = sigmoid(v^T tanh(W_prev h_j + W_curr h_i))``. What the LSTM reads after an anchor is not in the paper;
here it is the sum of the connected anchors' h_j over one more than their number, as in the code of Pham et al. 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sim2real.search_types import SearchSpec, Token

LSTMState = tuple[Tensor, Tensor]


class Controller(nn.Module):
    """A distribution over the architectures of ``spec``, all weights from U(-init, init)."""

    def __init__(self, spec: SearchSpec, *, units: int, layers: int, init: float) -> None:
        super().__init__()
        self.spec = spec
        self.lstm = nn.LSTM(units, units, layers)
        self.start = nn.Parameter(torch.empty(units))
        plain = [token for token in spec.tokens if not token.anchor]
        self.heads = nn.ModuleDict({_key(token): nn.Linear(units, token.size) for token in plain})
        self.embeddings = nn.ModuleDict({_key(token): nn.Embedding(token.size, units) for token in plain})
        self.previous = nn.Linear(units, units, bias=False)
        self.current = nn.Linear(units, units, bias=False)
        self.connect = nn.Linear(units, 1, bias=False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init, init)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` architectures, [n, T] int64."""
        return self._walk(n, None, generator)[0]

    def log_prob(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Of architectures ``numbers [n, T]``: log P(a_t | a_<t) and the entropy of each decision, both [n, T].

        An anchor's is the sum over its decisions.
        """
        _, log_prob, entropy = self._walk(len(numbers), numbers, None)
        return log_prob, entropy

    def _walk(self, n: int, numbers: Tensor | None, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        """Decide all tokens, or follow ``numbers``: numbers, log probabilities, entropies, all [n, T]."""
        x, state = self.start.expand(n, -1), None
        anchors: list[Tensor] = []
        columns = []
        for t, token in enumerate(self.spec.tokens):
            y, state = self._step(x, state)
            logits = self._anchor_logits(y, anchors) if token.anchor else self.heads[_key(token)](y)
            given = None if numbers is None else numbers[:, t]
            decide = _decide_set if token.anchor else _decide_one
            value, log_prob, entropy = decide(logits, given, generator)
            x = _mean_of_connected(value, anchors, y) if token.anchor else self.embeddings[_key(token)](value)
            anchors += [y] if token.anchor else []
            columns.append((value, log_prob, entropy))
        values, log_probs, entropies = (torch.stack(column, 1) for column in zip(*columns, strict=True))
        return values, log_probs, entropies

    def _step(self, x: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        y, new = self.lstm(x[None], state)
        return y[0], new

    def _anchor_logits(self, y: Tensor, anchors: list[Tensor]) -> Tensor:
        """Logits of P(j -> i) for the anchors j before: [n, J]."""
        if not anchors:
            return y.new_zeros((len(y), 0))
        earlier = self.previous(torch.stack(anchors, 1))
        return self.connect(torch.tanh(earlier + self.current(y)[:, None])).squeeze(-1)  # type: ignore[no-any-return]


def _decide_one(
    logits: Tensor, given: Tensor | None, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    log_p = functional.log_softmax(logits, -1)
    value = torch.multinomial(log_p.exp(), 1, generator=generator).squeeze(1) if given is None else given
    return value, log_p.gather(1, value[:, None]).squeeze(1), -(log_p.exp() * log_p).sum(1)


def _decide_set(
    logits: Tensor, given: Tensor | None, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Every element on its own: [n, J] logits -> sets as whole numbers [n], bit j for element j."""
    powers = 2 ** torch.arange(logits.shape[1], device=logits.device)
    p = torch.sigmoid(logits)
    if given is None:
        uniform = torch.rand(logits.shape, generator=generator, device=logits.device)
        taken = (uniform < p).long()
    else:
        taken = given[:, None] // powers % 2
    yes, no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    entropy = -(p * yes + (1 - p) * no).sum(1)
    return (taken * powers).sum(1), torch.where(taken == 1, yes, no).sum(1), entropy


def _mean_of_connected(value: Tensor, anchors: list[Tensor], y: Tensor) -> Tensor:
    if not anchors:
        return torch.zeros_like(y)
    taken = (value[:, None] // 2 ** torch.arange(len(anchors), device=y.device) % 2).to(y.dtype)
    total = (taken[..., None] * torch.stack(anchors, 1)).sum(1)
    return total / (1 + taken.sum(1, keepdim=True))


def _key(token: Token) -> str:
    """Module names must not hold dots."""
    return token.name.replace(".", "_")
