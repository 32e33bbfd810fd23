from __future__ import annotations

import numpy as np
import pytest

from sim2real.linear_probe import fit, held_out, r_squared, r_squared_draws


def test_a_linear_target_is_read_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 20)) * np.linspace(0.01, 100, 20) + 5
    unrelated = rng.normal(size=600)
    noisy = x[:, 3] / x[:, 3].std() + rng.normal(size=600)
    y = np.stack([2 * x[:, 0] - 0.1 * x[:, 7], noisy, unrelated], 1)
    found = r_squared(y, held_out(x, y))
    # Half the variance of the second is noise; 20 useless features cost the third about 20/600 at most.
    assert found[0] > 0.999
    assert found[1] == pytest.approx(0.5, abs=0.06)
    assert -0.05 < found[2] < 0.03


def test_held_out_episodes_are_not_fitted() -> None:
    # More features than episodes: a fit that saw them would be perfect.
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 200)), rng.normal(size=(40, 1))
    assert r_squared(y, held_out(x, y))[0] < 0.1
    assert r_squared(y, fit(x, y)(x))[0] > r_squared(y, held_out(x, y))[0]


def test_least_squares_by_hand() -> None:
    # y = 1 + 2 x exactly: the smallest penalty wins and hardly shrinks.
    x = np.arange(8.0)[:, None]
    reader = fit(x, 1 + 2 * x)
    assert reader(np.array([[10.0]])) == pytest.approx(21.0, abs=0.01)


def test_a_constant_feature_is_ignored() -> None:
    x = np.stack([np.full(30, 4.0), np.arange(30.0)], 1)
    reader = fit(x, x[:, 1:])
    assert np.isfinite(reader.weights).all()
    assert reader(np.array([[99.0, 3.0]])) == pytest.approx(3.0, abs=0.01)


def test_r_squared_by_hand() -> None:
    # Spread about the mean 2: 4 + 0 + 4; errors 1 + 0 + 1.
    y = np.array([[0.0], [2.0], [4.0]])
    assert r_squared(y, np.array([[1.0], [2.0], [3.0]]))[0] == pytest.approx(0.75)
    assert np.isnan(r_squared(np.ones((3, 1)), np.ones((3, 1)))[0])
    assert r_squared(y, np.full((3, 1), 5.0))[0] < 0


def test_draws_surround_the_value_and_are_paired() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=(300, 1))
    good, worse = y + 0.5 * rng.normal(size=y.shape), y + 0.6 * rng.normal(size=y.shape)
    draws = r_squared_draws(y, good)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert low < r_squared(y, good)[0] < high
    np.testing.assert_array_equal(draws, r_squared_draws(y, good))
    # Paired: the spread of y, which both share, cancels.
    assert (draws - r_squared_draws(y, worse)).std() < np.hypot(draws.std(), r_squared_draws(y, worse).std())
