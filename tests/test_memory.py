from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim2real.collect import rollout
from sim2real.memory import Disturbed, Intervention, Watched, join_traces, memory_output
from sim2real.types import FloatArray
from tests.toys import PointReach


class Summing:
    """Its memory counts the steps it remembers; its action says how many, in tenths."""

    def initial_state(self, n: int) -> tuple[FloatArray]:
        return (np.zeros((1, n, 1), np.float32),)

    def act(self, obs: Any, state: Any, *, deterministic: bool) -> tuple[FloatArray, Any]:
        new = state[0] + 1
        return (new[0] / 10).astype(np.float32), (new,)


def remembered(intervention: Intervention | None) -> list[float]:
    """How many steps the memory held at each of eight steps."""
    policy: Any = Summing() if intervention is None else Disturbed(Summing(), intervention)
    episodes = rollout(PointReach(2, hidden_sign=True), policy, deterministic=True)
    assert (episodes.action[0] == episodes.action[1]).all()
    return [round(float(x) * 10) for x in episodes.action[0, :, 0]]


def test_a_reset_forgets_once() -> None:
    assert remembered(None) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert remembered(Intervention("reset", 3)) == [1, 2, 3, 1, 2, 3, 4, 5]
    assert remembered(Intervention("reset", 0)) == remembered(None)


def test_a_frozen_memory_stays_that_of_its_moment() -> None:
    # Before step 3 it held 3 steps; each later one adds itself and is forgotten.
    assert remembered(Intervention("frozen", 3)) == [1, 2, 3, 4, 4, 4, 4, 4]
    assert remembered(Intervention("frozen", 0)) == [1] * 8


def test_every_episode_suffers_it() -> None:
    policy, env = Disturbed(Summing(), Intervention("reset", 3)), PointReach(1, hidden_sign=True)
    first, second = (rollout(env, policy, deterministic=True).action[0, :, 0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_watching_changes_nothing_and_notes_everything() -> None:
    watched, env = Watched(Summing()), PointReach(3, hidden_sign=True)
    first = rollout(env, watched, deterministic=True, seed=0)
    trace = watched.trace()
    assert trace.memory[:, :, 0].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]] * 3
    np.testing.assert_array_equal(trace.observation, first.observation[:, :-1])
    np.testing.assert_array_equal(trace.mu, np.repeat(first.dynamics[:, None], 8, 1))
    rollout(env, watched, deterministic=True)
    again = watched.trace()
    assert again.mu.shape == (3, 8, 1)
    joined = join_traces([trace, again], 4)
    assert joined.memory.shape == (4, 8, 1)
    np.testing.assert_array_equal(joined.observation[3], again.observation[0])


def test_no_memory_is_no_trace() -> None:
    with pytest.raises(ValueError, match="the policy has no memory"):
        memory_output(())
