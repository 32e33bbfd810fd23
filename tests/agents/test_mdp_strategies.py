"""Posteriors, plans and bounds worked by hand, and rows of the paper at n = 10 within their noise."""

from __future__ import annotations

import numpy as np
import pytest

from sim2real.agents import mdp_strategies as mdps
from sim2real.agents.mdp_strategies import Experience, Strategy
from sim2real.envs.tabular_mdps import TabularMDPs
from sim2real.seeding import numpy_generator, torch_generator


def total(strategy: Strategy, n: int, prior_mean: float = 1.0) -> float:
    family = TabularMDPs(10)
    batch = family.batch(family.sample(n, torch_generator(0, "tasks")), 1, torch_generator(0, "luck"))
    returns = mdps.play(strategy, batch, family.task, numpy_generator(0, "strategy"), prior_mean)
    return float(returns.sum(1).mean())


def seen() -> Experience:
    """Two states, two actions; action 0 in state 0 was tried three times."""
    visits, reward = np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2))
    visits[0, 0, 0] = [1, 2]
    reward[0, 0, 0] = 6
    return Experience(visits, reward, steps=3, horizon=2)


def test_posteriors_by_hand() -> None:
    assert seen().reward_mean[0, 0, 0] == (1 + 6) / (1 + 3) and seen().reward_mean[0, 1, 1] == 1
    np.testing.assert_allclose(seen().transition_mean[0, 0, 0], [2 / 5, 3 / 5])
    np.testing.assert_allclose(seen().transition_mode[0, 0], [[1 / 3, 2 / 3], [1 / 2, 1 / 2]])


def test_samples_have_the_moments_of_the_posterior() -> None:
    one = seen()
    many = Experience(np.repeat(one.visits, 20_000, 0), np.repeat(one.reward, 20_000, 0), 3, 2)
    reward, transition = mdps.sampled(many, numpy_generator(0, "sample"))
    assert reward[:, 0, 0].mean() == pytest.approx(7 / 4, abs=0.02)
    assert reward[:, 0, 0].std() == pytest.approx(1 / 2, abs=0.02)
    np.testing.assert_allclose(transition[:, 0, 0].mean(0), [2 / 5, 3 / 5], atol=0.01)


def test_backward_induction_by_hand() -> None:
    # State 0: stay for 1, or leave for 0; state 1 pays 3 and keeps one there.
    reward = np.array([[[1.0, 0.0], [3.0, 3.0]]])
    transition = np.array([[[[1.0, 0], [0, 1]], [[0, 1], [0, 1]]]])
    chosen, values = mdps.plan(reward, transition, 2)
    assert chosen[0, :, 0].tolist() == [1, 0]  # leave first; in the last step it would not pay any more
    np.testing.assert_allclose(values[0, 0], [[2, 3], [6, 6]])


def test_the_best_distribution_within_a_distance() -> None:
    center = np.array([[[[0.5, 0.3, 0.2]]]])
    value = np.array([[0.0, 10.0, 5.0]])
    # 0.3 goes from the worst state to the best: 0.2, 0.6, 0.2.
    best = mdps._best_within(center, np.array([[[0.6]]]), value)
    np.testing.assert_allclose(best, [[[7.0]]])
    # With 0.65 of half-distance all of the worst and 0.15 of the middle one would go, 0.05 stays.
    np.testing.assert_allclose(mdps._best_within(center, np.array([[[1.3]]]), value), [[[9.75]]])
    np.testing.assert_allclose(mdps._best_within(center, np.array([[[9.0]]]), value), [[[10.0]]])


def test_a_bonus_leads_where_nothing_was_tried() -> None:
    visits, reward = np.zeros((1, 1, 2, 1)), np.zeros((1, 1, 2))
    visits[0, 0, 0], reward[0, 0, 0] = 4, 8  # posterior means 9/5 and 1; counts with the prior's 5 and 1
    known = Experience(visits, reward, 4, 1)
    generator = numpy_generator(0, "unused")
    # 9/5 + b/6 against 1 + b/2: equal at b = 12/5.
    assert mdps.beb(2.3)(known, generator).item() == 0
    assert mdps.beb(2.5)(known, generator).item() == 1


def test_optimism_grows_with_the_samples() -> None:
    def promise(samples: int) -> float:
        generator = numpy_generator(0, "sample")
        unknown = Experience(np.zeros((500, 2, 2, 2)), np.zeros((500, 2, 2)), 0, 3)
        values = [mdps.plan(*mdps.sampled(unknown, generator), 3)[1] for _ in range(samples)]
        return float(np.maximum.reduce(values).mean())

    assert promise(4) > promise(1) + 0.5


PAPER = {
    "random": (mdps.random, 1.0, 100.1),
    "psrl": (mdps.psrl, 0.0, 138.1),
    "optimistic_psrl": (mdps.optimistic_psrl(10), 0.0, 144.1),
    "ucrl2": (mdps.ucrl2(0.2), 1.0, 146.6),
    "beb": (mdps.beb(10), 1.0, 150.2),
}


@pytest.mark.parametrize("name", PAPER)
def test_rows_of_the_paper(name: str) -> None:
    strategy, prior_mean, published = PAPER[name]
    # A standard error of 0.8 for the paper's 1000 MDPs and 1.2 for these 500.
    assert total(strategy, 500, prior_mean) == pytest.approx(published, abs=3 * 1.44)
