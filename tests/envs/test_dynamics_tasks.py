from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sim2real.envs.dynamics_tasks import TOGETHER, DynamicsSource, Rollouts
from sim2real.errors import UserError


class Numbered:
    """Episodes whose inputs say which episode and which transition they are: change = 3 * episode."""

    horizon = 8

    def __init__(self) -> None:
        self.made = 0

    def next(self) -> tuple[Tensor, Tensor, Tensor]:
        episode = torch.arange(self.made, self.made + TOGETHER, dtype=torch.float32)
        self.made += TOGETHER
        number = episode[:, None, None].expand(-1, self.horizon, 1)
        step = torch.arange(self.horizon, dtype=torch.float32)[None, :, None].expand(TOGETHER, -1, 1)
        return torch.cat([number, step], 2), 3 * number, episode[:, None]


def source(pool: int | None = None, seed: int = 1, rollouts: Numbered | None = None) -> DynamicsSource:
    return DynamicsSource(rollouts or Numbered(), Numbered(), 3, 4, seed=seed, pool=pool)


def test_a_task_is_one_episode_and_no_transition_comes_twice() -> None:
    batch = source().sample(40)
    assert batch.support.inputs.shape == (40, 3, 2) and batch.query.targets.shape == (40, 4, 1)
    inputs = torch.cat([batch.support.inputs, batch.query.inputs], 1)
    for episode, task in enumerate(inputs):
        assert len(set(task[:, 0].tolist())) == 1 and len(set(task[:, 1].tolist())) == 7
        assert float(batch.parameters[episode]) == episode


def test_units_are_those_of_the_reference() -> None:
    batch = source().sample(64)  # the very episodes of the reference
    # Episodes 0 to 63: the change is 3 * number, so its deviation is 3 * sqrt((64^2 - 1) / 12).
    deviation = (3 * torch.arange(64.0)).repeat_interleave(8).std()
    torch.testing.assert_close(batch.query.targets[10, 0, 0], 30 / deviation)
    assert abs(float(batch.query.inputs[..., 0].mean())) < 1e-4


def test_inputs_far_from_the_reference_are_clipped_and_changes_are_not() -> None:
    batch = source().sample(200)  # episode 199 is (199 - 31.5) / 18.5 = 9.1 deviations from the mean
    assert float(batch.query.inputs.max()) == 5.0
    assert float(batch.query.targets[199].min()) > 5.0


def test_a_pool_is_used_again_and_everything_else_is_new() -> None:
    rollouts = Numbered()
    pooled = source(pool=16, rollouts=rollouts)
    seen = torch.cat([pooled.sample(8).parameters for _ in range(6)])
    assert rollouts.made == 16 and torch.bincount(seen[:, 0].long()).tolist() == [3] * 16
    fresh = source()
    assert len({float(p) for _ in range(3) for p in fresh.sample(20).parameters}) == 60


def test_it_continues_where_it_was() -> None:
    first, second = source(), source(seed=2)
    first.sample(5)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(4).query.inputs, second.sample(4).query.inputs)


def test_too_many_transitions_are_refused() -> None:
    with pytest.raises(UserError, match="8 transitions"):
        DynamicsSource(Numbered(), Numbered(), 5, 4, seed=0, pool=None)


def test_rollouts_of_a_robot() -> None:
    rollouts, again = (Rollouts("FetchReach", "train", seed=3) for _ in range(2))
    inputs, changes, mu = rollouts.next()
    assert inputs.shape == (16, 50, 10 + 4 + 4) and changes.shape == (16, 50, 6) and len(mu) == 16
    assert all(torch.equal(a, b) for a, b in zip((inputs, changes, mu), again.next(), strict=True))
    assert bool((changes.std((0, 1)) > 1e-3).all())
    # The change of the position leads to the next state, and an action is the next one's action before.
    torch.testing.assert_close(inputs[:, 1:, :3], inputs[:, :-1, :3] + changes[:, :-1, :3])
    assert torch.equal(inputs[:, 1:, 14:], inputs[:, :-1, 10:14]) and bool((inputs[:, 0, 14:] == 0).all())
    assert not torch.equal(mu[0], mu[1])
