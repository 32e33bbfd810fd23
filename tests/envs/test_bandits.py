from __future__ import annotations

import pytest
import torch

from sim2real.envs.bandits import Bandits
from sim2real.seeding import torch_generator


def test_arms_pay_as_often_as_they_say() -> None:
    family = Bandits(3, 10)
    batch = family.batch(torch.tensor([[0.0, 0.2, 1.0]]), 20_000, torch_generator(0, "luck"))
    paid = [batch.step(torch.full((1, 20_000), arm))[1].mean().item() for arm in range(3)]
    assert paid[0] == 0 and paid[2] == 1
    assert paid[1] == pytest.approx(0.2, abs=4 * 0.4 / 20_000**0.5)


def test_probabilities_are_uniform_and_a_seed_repeats_them() -> None:
    family = Bandits(5, 10)
    tasks = family.sample(10_000, torch_generator(3, "tasks"))
    assert tasks.shape == (10_000, 5)
    torch.testing.assert_close(
        tasks.quantile(torch.tensor([0.25, 0.75])), torch.tensor([0.25, 0.75]), atol=0.01, rtol=0
    )
    assert torch.equal(tasks, family.sample(10_000, torch_generator(3, "tasks")))


def test_luck_does_not_depend_on_what_was_pulled() -> None:
    family = Bandits(2, 10)
    tasks = torch.tensor([[0.3, 0.9]])
    wise, foolish = (family.batch(tasks, 1, torch_generator(1, "luck")) for _ in range(2))
    foolish.step(torch.zeros(1, 1, dtype=torch.int64))
    wise.step(torch.ones(1, 1, dtype=torch.int64))
    for _ in range(20):
        arm = torch.ones(1, 1, dtype=torch.int64)
        assert torch.equal(wise.step(arm)[1], foolish.step(arm)[1])


def test_there_is_nothing_to_see_and_every_pull_is_an_episode() -> None:
    family = Bandits(2, 7)
    batch = family.batch(family.sample(4, torch_generator(0, "tasks")), 3, torch_generator(0, "luck"))
    observation, reward, done = batch.step(torch.zeros(4, 3, dtype=torch.int64))
    assert batch.reset().shape == observation.shape == (4, 3, 1) and not observation.any()
    assert reward.shape == (4, 3) and bool(done.all())
    assert (family.task.horizon, family.task.episodes, family.task.action) == (1, 7, 2)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 and 10"):
        Bandits(0, 10)
