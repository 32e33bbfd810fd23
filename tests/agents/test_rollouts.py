from __future__ import annotations

import torch
from torch import Tensor

from sim2real.agents.heads import Categorical
from sim2real.agents.rollouts import gather

HEAD = Categorical(2)


class Countdown:
    """Rollout (b, r) ends after ``lengths[b, r]`` steps; every step pays 1, also those nobody should count."""

    def __init__(self, lengths: list[list[int]]) -> None:
        self.lengths = torch.tensor(lengths)

    def reset(self) -> Tensor:
        self.time = 0
        return self._observation()

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.time += 1
        return self._observation(), torch.ones(self.lengths.shape), self.lengths <= self.time

    def _observation(self) -> Tensor:
        return torch.full((*self.lengths.shape, 1), float(self.time))


class Judging(Countdown):
    def success(self) -> Tensor:
        return self.lengths > 2


def act(observation: Tensor) -> Tensor:
    return torch.cat([observation, -observation], -1)


def test_padding_is_masked_and_pays_nothing() -> None:
    t = gather(Countdown([[1, 3], [2, 2]]), act, HEAD, 10, torch.Generator().manual_seed(0))
    assert t.mask.tolist() == [[[1, 0, 0], [1, 1, 1]], [[1, 1, 0], [1, 1, 0]]]
    assert torch.equal(t.reward, t.mask)
    assert t.steps == 8 and t.returns.tolist() == [[1, 3], [2, 2]]
    assert t.outcome()["return"].tolist() == [2, 2] and "success" not in t.outcome()


def test_actions_stand_beside_what_they_were_chosen_in() -> None:
    t = gather(Countdown([[9]]), act, HEAD, 4, torch.Generator().manual_seed(0))
    assert t.observation[0, 0, :, 0].tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(t.log_prob, HEAD.log_prob(act(t.observation), t.action))


def test_success_is_that_of_the_end() -> None:
    t = gather(Judging([[1, 3], [2, 2]]), act, HEAD, 10, torch.Generator().manual_seed(0))
    assert t.outcome()["success"].tolist() == [0.5, 0.0]


def test_parts_of_a_batch() -> None:
    t = gather(Countdown([[1, 3], [2, 2], [4, 4]]), act, HEAD, 10, torch.Generator().manual_seed(0))
    assert torch.equal(t.first(1).reward, t.reward[:, :1])
    pieces = t.split(2)
    assert [len(piece.reward) for piece in pieces] == [2, 1]
    assert torch.equal(torch.cat([piece.action for piece in pieces]), t.action)
