from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim2real.collect import rollout
from sim2real.errors import UserError
from sim2real.types import FloatArray
from tests.toys import Counting, CountingPolicy


def test_rollout_aligns_observations_actions_and_memory() -> None:
    env = Counting(3, horizon=4)
    for episode in range(2):  # the policy itself asserts that its count restarts with every episode
        episodes = rollout(env, CountingPolicy(), deterministic=True)
        # observation = (episode, step, action before): five frames, four actions 0.1 .. 0.4
        np.testing.assert_array_equal(episodes.observation[0, :, 0], [episode] * 5)
        np.testing.assert_array_equal(episodes.observation[1, :, 1], [0, 1, 2, 3, 4])
        np.testing.assert_allclose(episodes.observation[2, :, 2], [0.0, 0.1, 0.2, 0.3, 0.4], rtol=1e-6)
        np.testing.assert_allclose(episodes.action[0, :, 0], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
        np.testing.assert_array_equal(episodes.reward[0], [-1, -2, -3, -4])
        np.testing.assert_array_equal(episodes.desired_goal[:, 0], [0, 1, 2])
        np.testing.assert_allclose(episodes.achieved_goal[1, :, 0], [1.0, 1.1, 1.2, 1.3, 1.4], rtol=1e-6)
        np.testing.assert_array_equal(episodes.dynamics_values, [[7.0]] * 3)
        assert episodes.mask.shape == (3, 4) and episodes.success.shape == (3, 5)


def test_the_counting_policy_catches_a_memory_that_is_not_reset() -> None:
    class Forgetful(CountingPolicy):
        def initial_state(self, n: int) -> tuple[int, FloatArray]:
            return 1, np.zeros((n, 1), np.float32)

    with pytest.raises(AssertionError):
        rollout(Counting(2), Forgetful(), deterministic=True)


def test_the_counting_policy_catches_a_shifted_action() -> None:
    class Shifted(Counting):
        def step(self, actions: FloatArray) -> tuple[dict[str, FloatArray], FloatArray, Any, Any, dict[str, Any]]:
            before = self._action
            result = super().step(actions)
            self._action = before
            return (self._obs(), *result[1:])

    with pytest.raises(AssertionError):
        rollout(Shifted(2), CountingPolicy(), deterministic=True)


def test_a_learner_that_bootstraps_refuses_episodes_that_end_for_good() -> None:
    class Falling(Counting):
        def step(self, actions: FloatArray) -> tuple[dict[str, FloatArray], FloatArray, Any, Any, dict[str, Any]]:
            obs, reward, _, truncated, info = super().step(actions)
            return obs, reward, np.array([True, False]), truncated, info

    assert rollout(Falling(2), CountingPolicy(), deterministic=True).mask[0].sum() == 1
    with pytest.raises(UserError, match=r"ended an episode itself \(terminated\)"):
        rollout(Falling(2), CountingPolicy(), deterministic=True, bootstrapped=True)
    rollout(Counting(2), CountingPolicy(), deterministic=True, bootstrapped=True)
