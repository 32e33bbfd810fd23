from __future__ import annotations

import pytest
import torch

from sim2real.envs.tabular_mdps import ACTIONS, STATES, TabularMDPs
from sim2real.seeding import torch_generator


def certain() -> torch.Tensor:
    """One MDP: action a in state s pays about 10 s + a and leads to state (s + a + 1) mod 10."""
    task = torch.zeros(1, STATES, ACTIONS, 1 + STATES)
    for s in range(STATES):
        for a in range(ACTIONS):
            task[0, s, a, 0] = 10 * s + a
            task[0, s, a, 1 + (s + a + 1) % STATES] = 1
    return task


def test_distributions_are_those_of_the_paper() -> None:
    tasks = TabularMDPs(10).sample(2_000, torch_generator(0, "tasks"))
    mu, p = tasks[..., 0], tasks[..., 1:]
    assert mu.mean().item() == pytest.approx(1, abs=0.02) and mu.std().item() == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(p.sum(-1), torch.ones(2_000, STATES, ACTIONS))
    # A component of a flat Dirichlet over n is Beta(1, n - 1): mean 1/n, P(x > 1/2) = 2^(1 - n).
    assert p.mean().item() == pytest.approx(0.1, abs=1e-6)
    assert (p > 0.5).float().mean().item() == pytest.approx(2.0**-9, rel=0.1)


def test_steps_follow_transitions_and_rewards() -> None:
    batch = TabularMDPs(10).batch(certain(), 5_000, torch_generator(0, "luck"))
    assert torch.equal(batch.reset()[0, 0], torch.eye(STATES)[0])
    observation, _, done = batch.step(torch.full((1, 5_000), 2))
    assert torch.equal(observation[0, 7], torch.eye(STATES)[3]) and not done.any()
    _, reward, _ = batch.step(torch.full((1, 5_000), 4))
    assert reward.mean().item() == pytest.approx(34, abs=0.06) and reward.std().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(batch.state, torch.full((1, 5_000), 8))
    assert torch.equal(batch.reset()[0, 3], torch.eye(STATES)[0])


def test_next_states_are_as_likely_as_they_say() -> None:
    task = certain()
    task[0, 0, 0, 1:] = torch.tensor([0.5, 0, 0, 0.2, 0, 0, 0, 0, 0, 0.3])
    batch = TabularMDPs(10).batch(task, 20_000, torch_generator(0, "luck"))
    batch.reset()
    batch.step(torch.zeros(1, 20_000, dtype=torch.int64))
    shares = torch.bincount(batch.state.flatten(), minlength=STATES) / 20_000
    torch.testing.assert_close(shares, task[0, 0, 0, 1:], atol=0.015, rtol=0)


def test_a_seed_repeats_everything() -> None:
    def rewards() -> torch.Tensor:
        generator = torch_generator(5, "all")
        family = TabularMDPs(10)
        batch = family.batch(family.sample(3, generator), 2, generator)
        batch.reset()
        return torch.stack([batch.step(torch.ones(3, 2, dtype=torch.int64))[1] for _ in range(4)])

    assert torch.equal(rewards(), rewards())
