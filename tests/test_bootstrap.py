from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim2real.bootstrap import (
    _standard_error,
    change,
    gap,
    hierarchical_draws,
    mean_over_seeds,
    over_episodes,
    over_seeds,
    success_interval,
)
from sim2real.estimates import Estimate, mean_interval, student_quantile, wilson

# Two seeds on four episodes: 3/4 and 1/4.
TWO = np.array([[1.0, 1, 1, 0], [1, 0, 0, 0]])
BOUNDS = (0.0, 1.0)


def test_the_bootstrap_of_two_seeds_worked_by_hand() -> None:
    # Seeds drawn (1,1), (1,2), (2,2) with chances 1/4, 1/2, 1/4: means 3/4, 1/2, 1/4, their variance 1/2 * 1/16.
    # Variance over episodes given the seeds: (3/16) / 4, (1/8) / 4, (3/16) / 4; on average 0.0390625.
    draws = hierarchical_draws([TWO], [1.0], 100_000)
    assert draws.mean() == pytest.approx(0.5, abs=0.003)
    assert draws.var() == pytest.approx(0.03125 + 0.0390625, rel=0.02)
    assert set(np.unique(draws * 8)) <= set(range(9))


def test_the_standard_error_worked_by_hand() -> None:
    # Seeds: var(3/4, 1/4) = 1/8, over 2 seeds 1/16. Episode means 1, 1/2, 1/2, 0: variance 1/6, over 4 episodes 1/24.
    # Residuals are all +-1/4: 8/16 over (1 * 3) degrees, over 2 * 4 numbers 1/48, which both of them hold.
    error, freedom = _standard_error([TWO], [1.0])
    assert error**2 == pytest.approx(1 / 16 + 1 / 24 - 1 / 48)
    # Satterthwaite: (1/12)^2 / ((1/16)^2 / 1 + (1/48)^2 / 3) = 12/7.
    assert freedom == pytest.approx(12 / 7)


def test_the_interval_is_as_wide_as_theory_says_and_stays_a_rate() -> None:
    error, freedom = _standard_error([TWO], [1.0])
    free = over_seeds([TWO], [1.0], bounds=(-9.0, 9.0))
    assert free.high - free.low == pytest.approx(2 * student_quantile(freedom) * error)
    cut = success_interval(TWO)
    assert (cut.value, cut.low, cut.high, cut.n) == (0.5, 0.0, 1.0, 4)


def test_student_quantiles_of_the_tables() -> None:
    found = [student_quantile(freedom) for freedom in (1, 2, 3, 10, 30, 1e5)]
    assert found == pytest.approx([12.7062, 4.3027, 3.1824, 2.2281, 2.0423, 1.9600], abs=1e-4)


def test_one_seed_has_wilson_and_no_interval_for_the_recipe() -> None:
    assert success_interval(TWO[:1]) == wilson(3, 4)
    found = gap(TWO[:1], TWO[1:])
    assert found.over_seeds is None
    assert found.over_episodes.value == 0.5


def test_seeds_that_all_do_the_same_keep_the_width_of_their_episodes() -> None:
    assert success_interval(np.ones((3, 50))) == wilson(50, 50)
    assert change(np.ones((2, 50)), np.ones((2, 50))).resolved == "no"


def test_one_episode_tells_as_little_as_one_episode_of_one_seed() -> None:
    assert success_interval(np.ones((3, 1))) == wilson(1, 1)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.integers(1, 12), st.data())
def test_any_outcomes_have_an_interval_around_their_rate(seeds: int, episodes: int, data: st.DataObject) -> None:
    def outcomes() -> NDArray[np.float64]:
        bits = st.lists(st.sampled_from([0.0, 1.0]), min_size=seeds * episodes, max_size=seeds * episodes)
        return np.array(data.draw(bits)).reshape(seeds, episodes)

    a, b = outcomes(), outcomes()
    found = success_interval(a, resamples=50)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.value == pytest.approx(a.mean())
    for difference in (gap(a, b, resamples=50), change(a, b, resamples=50)):
        for estimate in filter(None, (difference.over_episodes, difference.over_seeds)):
            assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
            assert estimate.value == pytest.approx(a.mean() - b.mean())


def test_episodes_are_resampled_in_common() -> None:
    # Both seeds fail in the same tenth of the episodes: 20 numbers, but ten independent ones.
    same = np.tile([0.0] * 10 + [1.0] * 90, (2, 1))
    half = over_episodes([same], [1.0])
    assert half.high - half.low == pytest.approx(2 * 1.96 * 0.03, rel=0.15)
    # A difference of two policies that fail together is certain.
    assert gap(same, same).over_episodes == Estimate(0.0, 0.0, 0.0, 100)


def test_what_resolves_a_difference() -> None:
    rng = np.random.default_rng(0)

    def seeds(*rates: float) -> NDArray[np.float64]:
        return (rng.random((len(rates), 1000)) < np.array(rates)[:, None]).astype(float)

    assert gap(seeds(0.9, 0.91, 0.9, 0.92), seeds(0.5, 0.52, 0.49, 0.5)).resolved == "recipe"
    # Two seeds that differ as much as the recipes do: true of these four policies, not of the recipes.
    assert gap(seeds(0.95, 0.75), seeds(0.80, 0.60)).resolved == "policies"
    assert gap(seeds(0.9), seeds(0.5)).resolved == "policies"
    assert gap(seeds(0.9, 0.91), seeds(0.9, 0.91)).resolved == "no"
    assert gap(seeds(0.5, 0.52, 0.49, 0.5), seeds(0.9, 0.91, 0.9, 0.92)).resolved == "recipe"


def _coverage(seeds: int, seed_spread: float, repeats: int) -> tuple[float, float]:
    """How often the interval, and the raw bootstrap's, hold the recipe's true rate."""
    rng = np.random.default_rng(seeds)
    draws = rng.normal(size=(200_000, 2)) * (seed_spread, 1.5)
    truth = float(np.mean(1 / (1 + np.exp(-1.7 - draws.sum(1)))))
    hits = np.zeros(2)
    for _ in range(repeats):
        logit = 1.7 + seed_spread * rng.normal(size=(seeds, 1)) + 1.5 * rng.normal(size=(1, 200))
        success = (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(float)
        ours = success_interval(success, resamples=200)
        low, high = np.quantile(hierarchical_draws([success], [1.0], 200), [0.025, 0.975])
        hits += (ours.low <= truth <= ours.high, low <= truth <= high)
    return hits[0] / repeats, hits[1] / repeats


@pytest.mark.parametrize(("seeds", "least"), [(2, 0.82), (4, 0.88)])
def test_coverage_where_seeds_differ_much(seeds: int, least: float) -> None:
    # 150 repeats: two standard errors are 0.03 to 0.05. Nominal is 0.95; the raw bootstrap is far below.
    ours, raw = _coverage(seeds, 1.0, 150)
    assert ours >= least
    assert raw <= ours - 0.05


def test_coverage_where_seeds_are_alike() -> None:
    ours, _ = _coverage(4, 0.0, 150)
    assert ours >= 0.92


def test_the_mean_over_seeds_by_hand() -> None:
    # Two seeds with means -10 and -40 and no noise: the standard error is 15, one degree of freedom gives 12.706.
    estimate = mean_over_seeds(np.array([[-10.0] * 4, [-40.0] * 4]))
    assert (estimate.value, estimate.n) == (-25.0, 4)
    assert estimate.high - estimate.value == pytest.approx(15 * 12.706, rel=1e-3)
    assert mean_over_seeds(np.array([[1.0, 3.0]])) == mean_interval(np.array([1.0, 3.0]))
    # Times of successes alone: 1 and the mean of 3 and 5.
    assert mean_over_seeds(np.array([[1.0, 3.0, np.nan], [np.nan, 5.0, np.nan]])) == mean_interval(np.array([1.0, 4.0]))
