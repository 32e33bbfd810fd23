"""Strategies for Bernoulli bandits that need no training: what a learned one is held against.

Duan et al. 2016 (RL²), section 3.1 and appendix. Each strategy is a function that scores the arms of B bandits from
their counts, and pulls the arm with the highest score. Counts begin at one success and one failure, the uniform prior
of the arms, so a mean is always defined and is the posterior mean. Arms are alike before they are pulled, so ties go
to the first.

The Gittins index is the one of the finite horizon: what is left to play decides, not a discount.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sim2real.meta_rl_types import TaskBatch

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Counts:
    """What has been seen of B bandits of k arms, the one success and one failure of the start included."""

    success: Array
    """[B, k]"""
    failure: Array
    """[B, k]"""
    steps: int
    """Pulls that are still to come, the next one included."""

    @property
    def pulls(self) -> Array:
        """[B, k] T_i, the start's two included."""
        return self.success + self.failure

    @property
    def mean(self) -> Array:
        """[B, k] posterior means."""
        return self.success / self.pulls


Strategy = Callable[[Counts, np.random.Generator], Array]
"""Scores [B, k]; the arm with the highest is pulled."""


def random(counts: Counts, generator: np.random.Generator) -> Array:
    """Any arm."""
    return generator.random(counts.success.shape)


def greedy(counts: Counts, generator: np.random.Generator) -> Array:
    """The arm with the highest posterior mean."""
    return counts.mean


def epsilon_greedy(epsilon: float) -> Strategy:
    """Any arm with probability ``epsilon``, the one with the highest posterior mean otherwise."""

    def score(counts: Counts, generator: np.random.Generator) -> Array:
        explores = generator.random((len(counts.success), 1)) < epsilon
        return np.where(explores, random(counts, generator), counts.mean)

    return score


def ucb1(c: float) -> Strategy:
    """``mean_i + c sqrt(2 ln t / T_i)`` (Auer et al. 2002), t the number of all pulls, the start's included."""

    def score(counts: Counts, generator: np.random.Generator) -> Array:
        t = counts.pulls.sum(1, keepdims=True)
        bound: Array = counts.mean + c * np.sqrt(2 * np.log(t) / counts.pulls)
        return bound

    return score


def thompson(counts: Counts, generator: np.random.Generator) -> Array:
    """A sample of each arm's posterior Beta(successes, failures) (Thompson 1933)."""
    return generator.beta(counts.success, counts.failure)


def optimistic_thompson(samples: int) -> Strategy:
    """The best of ``samples`` samples of each arm's posterior (May et al. 2012)."""

    def score(counts: Counts, generator: np.random.Generator) -> Array:
        shape = (samples, *counts.success.shape)
        best: Array = generator.beta(counts.success, counts.failure, shape).max(0)
        return best

    return score


def gittins(tables: Sequence[Array]) -> Strategy:
    """The finite-horizon Gittins index of each arm, from the ``tables`` of `gittins_indices`."""

    def score(counts: Counts, generator: np.random.Generator) -> Array:
        index: Array = tables[counts.steps][counts.success.astype(int) - 1, counts.failure.astype(int) - 1]
        return index

    return score


def gittins_indices(horizon: int, resolution: int = 500) -> list[Array]:
    """Finite-horizon Gittins indices of a Bernoulli arm, ``tables[r][successes seen, failures seen]``.

    The index with r pulls to come is the price of a pull, lambda, at which an arm with this posterior is just not worth
    beginning with, when one may stop at any time. By backward induction over the Beta posterior,
    ``Q_r = (p - lambda) + p V_{r-1}(a + 1, b) + (1 - p) V_{r-1}(a, b + 1)``, ``V_r = max(0, Q_r)``, ``V_0 = 0``
    (Gittins, Glazebrook & Weber 2011, section 8.4; with remaining steps in place of a discount: Kaufmann 2018).
    Q falls with lambda and is piecewise linear: its root is interpolated between ``resolution`` prices, exact for r = 1
    and to 1 / resolution^2 or so beyond.

    Returns:
        Tables for r = 0 (empty) .. ``horizon``, the one of r of shape [horizon - r + 1, horizon - r + 1]: more pulls
        than that cannot lie behind.
    """
    prices = np.linspace(0, 1, resolution + 1)
    value = np.zeros((horizon + 1, horizon + 1, resolution + 1))
    tables: list[Array] = [np.zeros((0, 0))]
    for r in range(1, horizon + 1):
        size = horizon - r + 1
        success, failure = np.ogrid[1 : size + 1, 1 : size + 1]
        p = (success / (success + failure))[..., None]
        q = p - prices + p * value[1 : size + 1, :size] + (1 - p) * value[:size, 1 : size + 1]
        tables.append(_root(q, prices))
        value = np.maximum(q, 0)
    return tables


def _root(q: Array, prices: Array) -> Array:
    """Where ``q [..., L]``, falling in its last axis from above 0 to 0 or below, is 0."""
    last = np.clip((q > 0).sum(-1) - 1, 0, len(prices) - 2)[..., None]
    high, low = np.take_along_axis(q, last, -1), np.take_along_axis(q, last + 1, -1)
    root: Array = (prices[last] + (prices[1] - prices[0]) * high / (high - low))[..., 0]
    return root


def play(strategy: Strategy, batch: TaskBatch, arms: int, pulls: int, generator: np.random.Generator) -> Array:
    """Total reward [B] of ``pulls`` pulls in a batch of bandits with one player each."""
    players, _, _ = batch.reset().shape
    success, failure = np.ones((players, arms)), np.ones((players, arms))
    index, total = np.arange(players), np.zeros(players)
    for t in range(pulls):
        arm = strategy(Counts(success, failure, pulls - t), generator).argmax(1)
        _, paid, _ = batch.step(torch.from_numpy(arm)[:, None])
        reward = paid[:, 0].double().numpy()
        success[index, arm] += reward
        failure[index, arm] += 1 - reward
        total += reward
    return total
