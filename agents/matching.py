"""Matching networks (Vinyals et al. 2016, "Matching Networks for One Shot Learning").

p(y | x, S) = sum_i a(x, x_i) y_i with a = softmax of the similarity between f(x, S) and g(x_i, S), equation 1. Without
full context embeddings f and g are one encoder; with them g reads the support set with a bidirectional LSTM (appendix
A.2) and f attends to it for K steps of an LSTM (appendix A.1).

Deviations, each an option:
  * the cosine is multiplied by a scale, learned or fixed (`scale`, `learn_scale`): a softmax over numbers in [-1, 1]
    can not be sharper than e^2 to 1, and with the paper's plain cosine others did not reach its figures;
  * in the paper the attention LSTM's recurrent input is [h, r], the read-out beside the hidden state; published
    implementations add the two, which is another function (`readout`);
  * similarity may be the dot product (the CS182 sheet) or squared Euclidean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sim2real.agents.conditioned import ConditionedConfig, ConditionedLearner, Context, only_classification
from sim2real.agents.similarity import Scale, Similarity, similarity
from sim2real.few_shot_types import FewShotSpec

Readout = Literal["concatenate", "add"]


@dataclass(frozen=True)
class MatchingConfig(ConditionedConfig):
    """Settings of matching networks."""

    metric: Similarity = "cosine"
    """Similarity of a query and a support example."""
    scale: float = 10.0
    """What similarities are multiplied by; 1 is the paper's."""
    learn_scale: bool = True
    """Whether the scale is learned, from ``scale`` on."""
    full_context: bool = False
    """Full context embeddings: examples are embedded in view of the whole support set."""
    attention_steps: int = 3
    """Steps K of the attention LSTM over the support set; with ``full_context``."""
    readout: Readout = "concatenate"
    """How the read-out enters the attention LSTM: beside the hidden state, as in the paper, or added to it."""

    def __post_init__(self) -> None:
        if self.scale <= 0 or self.attention_steps < 1:
            raise ValueError(
                f"scale has to be above 0 and attention_steps at least 1, got {self.scale} and {self.attention_steps}"
            )


class MatchingNet(ConditionedLearner):
    """A weighted vote of the support examples. Raises ``ValueError`` for a regression."""

    any_ways = True
    """It takes tasks of other numbers of classes than it was trained on."""

    def __init__(self, config: MatchingConfig, spec: FewShotSpec) -> None:
        super().__init__(config, spec)
        only_classification(spec, "matching networks")
        self.metric = config.metric
        self.scale = Scale(config.scale, learn=config.learn_scale)
        size, full = self.embed.size, config.full_context
        self.support_context = SupportContext(size) if full else None
        self.query_context = QueryContext(size, config.attention_steps, config.readout) if full else None

    def condition(self, embedded: Tensor, targets: Tensor, ways: int) -> Context:
        """g(x_i, S) [B, S, D] and one-hot labels [B, S, W]."""
        members = one_hot(targets, ways).to(embedded.dtype)
        return (self.support_context(embedded) if self.support_context else embedded), members

    def answer(self, context: Context, embedded: Tensor) -> Tensor:
        """log p(y | x, S): [B, Q, W]."""
        support, members = context
        query = self.query_context(embedded, support) if self.query_context else embedded
        return attend(self.scale(similarity(query, support, self.metric)), members)


def attend(scores: Tensor, members: Tensor) -> Tensor:
    """log p(y | x, S), equation 1: similarities [..., Q, S] and one-hot labels [..., S, N] -> [..., Q, N].

    In log space from the start: the attention on a class can be far below the smallest float32.
    """
    attention = scores.log_softmax(-1)
    by_class = attention[..., None] + members.log()[..., None, :, :]
    return by_class.logsumexp(-2)


class SupportContext(nn.Module):
    """g(x_i, S) = h_forward_i + h_backward_i + g'(x_i), appendix A.2: [B, S, D] -> [B, S, D]."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(size, size, batch_first=True, bidirectional=True)

    def forward(self, embedded: Tensor) -> Tensor:
        both = self.lstm(embedded)[0]
        forward, backward = both.chunk(2, -1)
        return forward + backward + embedded  # type: ignore[no-any-return]


class QueryContext(nn.Module):
    """f(x, S): an LSTM that looks at the support ``steps`` times, appendix A.1, equations 2 to 5.

    h_k = LSTM(f'(x), [h_{k-1}, r_{k-1}]) + f'(x), where r_{k-1} is the support read with softmax(h_{k-1}^T g(x_i)).
    Queries do not see each other. The cell is written out, because its recurrent input is wider than its state.
    """

    def __init__(self, size: int, steps: int, readout: Readout) -> None:
        super().__init__()
        self.steps, self.readout = steps, readout
        self.input = nn.Linear(size, 4 * size)
        self.recurrent = nn.Linear(2 * size if readout == "concatenate" else size, 4 * size, bias=False)

    def forward(self, query: Tensor, support: Tensor) -> Tensor:
        """f'(x) [B, Q, D], g(x_i, S) [B, S, D] -> [B, Q, D]."""
        from_input = self.input(query)
        h, r, c = (torch.zeros_like(query) for _ in range(3))
        for _ in range(self.steps):
            memory = torch.cat([h, r], -1) if self.readout == "concatenate" else h + r
            i, f, g, o = (from_input + self.recurrent(memory)).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh() + query
            r = similarity(h, support, "dot").softmax(-1) @ support
        return h
