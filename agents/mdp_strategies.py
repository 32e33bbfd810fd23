"""Strategies for tabular MDPs that need no training: what a learned one is held against.

Duan et al. 2016 (RL²), section 3.2 and appendix. Each strategy turns what was seen of B MDPs into an action for every
state and step of the next episode, by backward induction in a model of its own choice: a plan an episode. The Bayesian
ones have the true prior, mu ~ N(1, 1) with unit noise and flat Dirichlet transitions.

What the paper leaves open, and what is done here: optimistic PSRL is that of Osband & Van Roy 2017, the largest of
several samples' values for every step, state and action; UCRL2's bounds are those of Jaksch et al. 2010 times a
constant, around the posterior mean of the rewards, which have no upper bound; BEB plans once an episode, not after
every step. With a prior mean of 0 in place of the true 1, PSRL gives the paper's figures, with the true one less
(`results/reference_strategies.json`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim2real.meta_rl_types import FamilySpec, TaskBatch

Array = NDArray[np.float64]
Plan = NDArray[np.int64]
"""[B, T, S] the action of every step and state."""


@dataclass(frozen=True)
class Experience:
    """What was seen of B MDPs."""

    visits: Array
    """[B, S, A, S'] transitions."""
    reward: Array
    """[B, S, A] sums of rewards."""
    steps: int
    """Steps of each MDP so far."""
    horizon: int
    """Steps of an episode, T."""
    prior_mean: float = 1.0
    """Of the rewards mu before anything was seen; their prior variance is 1."""

    @property
    def tried(self) -> Array:
        """[B, S, A] how often an action was taken in a state."""
        total: Array = self.visits.sum(-1)
        return total

    @property
    def reward_mean(self) -> Array:
        """[B, S, A] posterior mean of mu, which is its most probable value; prior and noise have variance 1."""
        return (self.prior_mean + self.reward) / (1 + self.tried)

    @property
    def transition_mean(self) -> Array:
        """[B, S, A, S'] posterior mean of the transitions: Dirichlet(1 + visits)."""
        alpha = 1 + self.visits
        mean: Array = alpha / alpha.sum(-1, keepdims=True)
        return mean

    @property
    def transition_mode(self) -> Array:
        """[B, S, A, S'] most probable transitions: the shares that were seen; where nothing was, all alike."""
        tried = self.tried[..., None]
        return np.where(tried > 0, self.visits / np.maximum(tried, 1), 1 / self.visits.shape[-1])


Strategy = Callable[[Experience, np.random.Generator], Plan]


def plan(reward: Array, transition: Array, horizon: int) -> tuple[Plan, Array]:
    """Optimal plan and action values [B, T, S, A] by backward induction, for ``reward [B, S, A]`` and
    ``transition [B, S, A, S']``."""
    return _induction(reward, horizon, lambda value: (transition @ value[:, None, :, None])[..., 0])


def _induction(reward: Array, horizon: int, expect: Callable[[Array], Array]) -> tuple[Plan, Array]:
    """Backward induction with ``expect(value [B, S]) -> [B, S, A]`` for what the next state is worth."""
    value, values = np.zeros(reward.shape[:2]), []
    for _ in range(horizon):
        values.append(reward + expect(value))
        value = values[-1].max(-1)
    q = np.stack(values[::-1], 1)
    return q.argmax(-1), q


def random(seen: Experience, generator: np.random.Generator) -> Plan:
    """Any action."""
    n, states, actions = seen.reward.shape
    return generator.integers(actions, size=(n, seen.horizon, states))


def greedy(seen: Experience, generator: np.random.Generator) -> Plan:
    """Optimal in the most probable MDP."""
    return plan(seen.reward_mean, seen.transition_mode, seen.horizon)[0]


def epsilon_greedy(epsilon: float) -> Strategy:
    """Any action with probability ``epsilon`` at each step, `greedy` otherwise."""

    def act(seen: Experience, generator: np.random.Generator) -> Plan:
        best = greedy(seen, generator)
        return np.where(generator.random(best.shape) < epsilon, random(seen, generator), best)

    return act


def sampled(seen: Experience, generator: np.random.Generator) -> tuple[Array, Array]:
    """Rewards and transitions of an MDP drawn from the posterior."""
    std = 1 / np.sqrt(1 + seen.tried)
    gamma = generator.standard_gamma(1 + seen.visits)
    return generator.normal(seen.reward_mean, std), gamma / gamma.sum(-1, keepdims=True)


def psrl(seen: Experience, generator: np.random.Generator) -> Plan:
    """Optimal in an MDP drawn from the posterior (Strens 2000; Osband et al. 2013)."""
    return plan(*sampled(seen, generator), seen.horizon)[0]


def optimistic_psrl(samples: int) -> Strategy:
    """Greedy for the largest value that any of ``samples`` MDPs drawn from the posterior gives to an action, for each
    step and state (Osband & Van Roy 2017)."""

    def act(seen: Experience, generator: np.random.Generator) -> Plan:
        values = [plan(*sampled(seen, generator), seen.horizon)[1] for _ in range(samples)]
        best: Plan = np.maximum.reduce(values).argmax(-1)
        return best

    return act


def ucrl2(scale: float, delta: float = 0.05) -> Strategy:
    """Optimal in the best MDP within ``scale`` times the bounds of UCRL2 (Jaksch et al. 2010, eq. 3 and 4)."""

    def act(seen: Experience, generator: np.random.Generator) -> Plan:
        _, states, actions = seen.reward.shape
        n, t = np.maximum(seen.tried, 1), max(seen.steps, 1)
        reward = seen.reward_mean + scale * np.sqrt(7 * np.log(2 * states * actions * t / delta) / (2 * n))
        radius = scale * np.sqrt(14 * states * np.log(2 * actions * t / delta) / n)
        center = seen.transition_mode
        return _induction(reward, seen.horizon, lambda value: _best_within(center, radius, value))[0]

    return act


def _best_within(center: Array, radius: Array, value: Array) -> Array:
    """Largest expectation of ``value [B, S']`` over distributions within L1 distance ``radius [B, S, A]`` of
    ``center [B, S, A, S']`` (Jaksch et al. 2010, figure 2): half the radius goes to the best state and is taken from
    the worst ones."""
    order = value.argsort(-1)
    worth = np.take_along_axis(value, order, -1)[:, None, None]
    p = np.take_along_axis(center, order[:, None, None], -1)
    added = np.minimum(radius / 2, 1 - p[..., -1])
    # What is taken from the worst states, one after the other, until it is as much as was added.
    before = np.cumsum(p, -1) - p
    p = p - np.clip(added[..., None] - before, 0, p)
    p[..., -1] += added
    expectation: Array = (p * worth).sum(-1)
    return expectation


def beb(beta: float) -> Strategy:
    """Optimal in the mean MDP with a bonus of ``beta / (1 + counts)``, prior included (Kolter & Ng 2009, eq. 4)."""

    def act(seen: Experience, generator: np.random.Generator) -> Plan:
        counts = seen.visits.shape[-1] + seen.tried
        return plan(seen.reward_mean + beta / (1 + counts), seen.transition_mean, seen.horizon)[0]

    return act


def play(
    strategy: Strategy, batch: TaskBatch, task: FamilySpec, generator: np.random.Generator, prior_mean: float = 1.0
) -> Array:
    """Returns [B, episodes] in a batch of MDPs with one player each, whose observations are one-hot states."""
    players = len(batch.reset())
    index = np.arange(players)
    visits = np.zeros((players, task.observation, task.action, task.observation))
    rewards, returns = visits.sum(-1), np.zeros((players, task.episodes))
    for episode in range(task.episodes):
        state = _states(batch.reset())
        seen = Experience(visits, rewards, episode * task.horizon, task.horizon, prior_mean)
        chosen = strategy(seen, generator)
        for t in range(task.horizon):
            action = chosen[index, t, state]
            observation, reward, _ = batch.step(torch.from_numpy(action)[:, None])
            following, paid = _states(observation), reward[:, 0].double().numpy()
            visits[index, state, action, following] += 1
            rewards[index, state, action] += paid
            returns[:, episode] += paid
            state = following
    return returns


def _states(observation: Tensor) -> NDArray[np.int64]:
    """[B, 1, S] one-hot -> [B]."""
    states: NDArray[np.int64] = observation[:, 0].argmax(-1).numpy()
    return states
