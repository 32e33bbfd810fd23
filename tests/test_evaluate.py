from __future__ import annotations

import dataclasses
import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.estimates import mean_interval, wilson
from sim2real.evaluate import Evaluation, compare, evaluate, format_table, summarise
from sim2real.types import Episodes, FloatArray
from tests.toys import PointReach, toy_task

TASK = toy_task(horizon=3, observation=1, goal=1, action=1, dynamics=1)


class Seeker:
    """Walks ``strength`` times the distance towards the goal of a `PointReach`."""

    def __init__(self, strength: float = 3.0) -> None:
        self.strength = strength

    def initial_state(self, n: int) -> tuple[()]:
        return ()

    def act(self, obs: Any, state: Any, *, deterministic: bool) -> tuple[FloatArray, tuple[()]]:
        assert deterministic
        error = obs["desired_goal"] - obs["observation"]
        return np.clip(self.strength * error, -1, 1).astype(np.float32), ()


def point(num_envs: int) -> PointReach:
    return PointReach(num_envs, hidden_sign=True)


def test_wilson_hand_computed() -> None:
    # z^2 = 3.8415, n = 10, p = 0.8: centre = (0.8 + 0.19207) / 1.38415 = 0.71674,
    # half = 1.95996 * sqrt(0.016 + 0.0096036) / 1.38415 = 0.22658.
    estimate = wilson(8, 10)
    assert estimate.value == 0.8
    assert estimate.low == pytest.approx(0.49016, abs=1e-5)
    assert estimate.high == pytest.approx(0.94332, abs=1e-5)


def test_wilson_at_the_ends() -> None:
    # p = 0: low = 0, high = z^2 / (n + z^2) = 3.8415 / 103.8415.
    assert wilson(0, 100).low == 0.0
    assert wilson(0, 100).high == pytest.approx(0.036994, abs=1e-6)
    assert wilson(100, 100).low == pytest.approx(1 - 0.036994, abs=1e-6)
    assert wilson(100, 100).high == 1.0
    assert math.isnan(wilson(0, 0).value)


@settings(deadline=None)
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_the_rate(counts: tuple[int, int]) -> None:
    estimate = wilson(*counts)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_mean_interval_hand_computed() -> None:
    # 1, 2, 3, 4: mean 2.5, s = sqrt(5/3) = 1.29099, s / sqrt(4) = 0.645497, times 3.18245 = 2.05426. NaN no entry.
    estimate = mean_interval(np.array([1.0, 2.0, math.nan, 3.0, 4.0]))
    assert estimate.n == 4
    assert estimate.value == 2.5
    assert estimate.low == pytest.approx(2.5 - 2.05426, abs=1e-4)
    assert estimate.high == pytest.approx(2.5 + 2.05426, abs=1e-4)
    assert math.isnan(mean_interval(np.array([3.0])).low)
    assert mean_interval(np.array([math.nan])).n == 0


def _episodes() -> Episodes:
    """Three episodes of at most three steps on a line; the third one lasts two."""
    achieved = np.array([[[0.30], [0.20], [0.04], [0.01]], [[0.01], [0.02], [0.03], [0.2]], [[0.3], [0.0], [0.0], [9]]])
    nothing = np.zeros((3, 4, 1))
    return Episodes(
        observation=nothing,
        state=nothing,
        achieved_goal=achieved,
        desired_goal=np.zeros((3, 1)),
        action=np.array([[[1.0], [0.5], [0.0]], [[0.0], [0.0], [0.3]], [[1.0], [-1.0], [7.0]]]),
        reward=np.array([[-1.0, 0, 0], [0, 0, -1], [0, 0, -50]]),
        mask=np.array([[1.0, 1, 1], [1, 1, 1], [1, 1, 0]]),
        success=np.array([[0.0, 0, 1, 1], [1, 1, 1, 0], [0, 1, 1, 0]]),
        dynamics=np.zeros((3, 1)),
        dynamics_values=np.array([[0.2], [0.4], [0.6]]),
    )


def test_summarise_hand_computed() -> None:
    result = summarise(_episodes(), TASK, seed=3)
    assert result.success.tolist() == [1, 0, 1]  # the last step that happened: step 3, 3, 2
    assert result.base_rate.tolist() == [0, 1, 0]
    assert result.episode_return.tolist() == [-1, -1, 0]  # padding does not count
    # |0.5 - 1|, |0 - 0.5|; |0 - 0|, |0.3 - 0|; |-1 - 1| alone, the third step is padding.
    assert result.action_rate == pytest.approx([0.5, 0.15, 2.0])
    assert result.initial_distance == pytest.approx([0.3, 0.01, 0.3])
    assert result.final_distance == pytest.approx([0.01, 0.2, 0.0])
    # Reached for good at step 2 and step 1 of 0.04 s; the second episode lost it.
    assert result.time_to_success[[0, 2]] == pytest.approx([0.08, 0.04])
    assert math.isnan(result.time_to_success[1])


def test_summary_and_rows() -> None:
    result = summarise(_episodes(), TASK, seed=3)
    summary = result.summary()
    assert summary["success"] == wilson(2, 3)
    assert summary["base_rate"] == wilson(1, 3)
    assert summary["time_to_success"].n == 2
    assert summary["time_to_success"].value == pytest.approx(0.06)
    rows = result.rows("train")
    assert [row["metric"] for row in rows] == list(summary)
    assert all(list(row) == ["setting", "metric", "value", "low", "high", "n"] for row in rows)
    assert rows[0] == {"setting": "train", "metric": "success", **vars(wilson(2, 3))}


def test_rows_without_any_success_are_valid_json() -> None:
    result = evaluate(Seeker(strength=-10), PointReach(2, hidden_sign=False), episodes=3, seed=0)
    by_name = {row["metric"]: row for row in json.loads(json.dumps(result.rows("x"), allow_nan=False))}
    assert by_name["success"]["value"] == 0
    assert by_name["time_to_success"] == {
        "setting": "x",
        "metric": "time_to_success",
        "value": None,
        "low": None,
        "high": None,
        "n": 0,
    }
    assert "time_to_success" not in result.scalars()
    assert result.scalars()["success"] == 0


def _equal(a: Evaluation, b: Evaluation) -> bool:
    names = [field.name for field in dataclasses.fields(a) if field.name not in ("task", "seed")]
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in names)


@pytest.mark.parametrize("num_envs", [1, 3, 10, 16])
def test_episodes_do_not_depend_on_the_number_of_envs(num_envs: int) -> None:
    reference = evaluate(Seeker(), point(5), episodes=10, seed=4)
    env = point(num_envs)
    env.reset()  # what ran before must not matter
    assert _equal(evaluate(Seeker(), env, episodes=10, seed=4), reference)
    assert not _equal(evaluate(Seeker(), env, episodes=10, seed=5), reference)


def test_progress_is_told_what_is_done() -> None:
    told: list[int] = []
    evaluate(Seeker(), point(4), episodes=10, seed=0, progress=told.append)
    assert told == [4, 8, 10]


def test_evaluate_refuses_no_episodes() -> None:
    with pytest.raises(ValueError, match="episodes is 0"):
        evaluate(Seeker(), point(1), episodes=0, seed=0)


def _outcome(success: list[int], values: list[float] | None = None) -> Evaluation:
    """An evaluation with these successes and nothing else of interest."""
    n = len(success)
    zeros = np.zeros(n)
    return Evaluation(
        task=TASK,
        seed=0,
        success=np.array(success, float),
        base_rate=zeros,
        episode_return=zeros,
        action_rate=zeros,
        initial_distance=np.arange(n) / n,
        final_distance=zeros,
        time_to_success=zeros,
        dynamics_values=np.array(values if values else np.arange(n), float)[:, None],
    )


def test_per_parameter_quantile_bins_hand_computed() -> None:
    # Ten values 0 .. 9 in two bins: the median is 4.5; 0-4 succeed 1 of 5, 5-9 succeed 4 of 5.
    evaluation = _outcome([1, 0, 0, 0, 0, 1, 1, 1, 1, 0])
    low, high = evaluation.per_parameter(bins=2)["mu_0"]
    assert (low.low, low.high, high.low, high.high) == (0, 4.5, 4.5, 9)
    assert low.success == wilson(1, 5)
    assert high.success == wilson(4, 5)


def test_a_value_on_an_edge_belongs_to_the_upper_bin() -> None:
    # 0 .. 10 in two bins: the median 5 is an edge, so five values lie below and six above.
    low, high = _outcome([0] * 5 + [1] * 6).per_parameter(bins=2)["mu_0"]
    assert (low.success, high.success) == (wilson(0, 5), wilson(6, 6))


def test_per_parameter_does_not_bin_across_a_hole() -> None:
    # 1, 1.1, ..., 1.5 and 8, 8.1, 8.2, 8.3 in two bins: six of ten episodes left of the hole, four right of it.
    values = [1, 1.1, 1.2, 1.3, 1.4, 1.5, 8, 8.1, 8.2, 8.3]
    left, right = _outcome([1] * 6 + [0] * 4, values).per_parameter(bins=2)["mu_0"]
    assert (left.low, left.high, left.success) == (1, 1.5, wilson(6, 6))
    assert (right.low, right.high, right.success) == (8, 8.3, wilson(0, 4))


def test_per_parameter_discrete_and_constant() -> None:
    zero, one = _outcome([1, 1, 0, 0], [0.0, 0.0, 0.0, 1.0]).per_parameter()["mu_0"]
    assert (zero.low, zero.high, zero.success) == (0, 0, wilson(2, 3))
    assert (one.low, one.high, one.success) == (1, 1, wilson(0, 1))
    assert _outcome([1, 0], [2.0, 2.0]).per_parameter() == {}


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60), st.integers(1, 8))
def test_every_episode_is_in_exactly_one_bin(values: list[float], bins: int) -> None:
    for parts in _outcome([1] * len(values), values).per_parameter(bins).values():
        assert sum(part.success.n for part in parts) == len(values)
        assert all(a.high <= b.low for a, b in itertools.pairwise(parts))


def test_compare_hand_computed() -> None:
    # 8 episodes only a solved, 2 only b, 10 both: difference 6 / 20.
    # McNemar, exact: 2 * (C(10,0) + C(10,1) + C(10,2)) / 2^10 = 2 * 56 / 1024 = 0.109375.
    a, b = _outcome([1] * 8 + [0] * 2 + [1] * 10), _outcome([0] * 8 + [1] * 2 + [1] * 10)
    comparison = compare(a, b)
    assert (comparison.only_a, comparison.only_b) == (8, 2)
    assert comparison.difference.value == pytest.approx(0.3)
    assert comparison.p_value == pytest.approx(0.109375)
    # Standard deviation of the mean of d in {-1, 0, 1}: sqrt((0.5 - 0.09) / 20) = 0.1432.
    assert comparison.difference.low == pytest.approx(0.3 - 1.96 * 0.1432, abs=0.04)
    assert comparison.difference.high == pytest.approx(0.3 + 1.96 * 0.1432, abs=0.04)
    assert compare(b, a).difference.value == pytest.approx(-0.3)


def test_compare_equal_policies() -> None:
    same = compare(_outcome([1, 0, 1]), _outcome([1, 0, 1]))
    assert (same.difference.value, same.difference.low, same.difference.high, same.p_value) == (0, 0, 0, 1)


def test_compare_needs_the_same_episodes() -> None:
    a = _outcome([1, 0, 1])
    with pytest.raises(ValueError, match="3 episodes of Toy, seed 0 against 2 episodes"):
        compare(a, _outcome([1, 0]))
    with pytest.raises(ValueError, match="seed 1"):
        compare(a, dataclasses.replace(a, seed=1))
    with pytest.raises(ValueError, match="differ in start or dynamics"):
        compare(a, dataclasses.replace(a, dynamics_values=a.dynamics_values + 1))


def test_compare_where_there_is_no_goal_or_no_success() -> None:
    a = dataclasses.replace(_outcome([1, 0, 1]), initial_distance=np.full(3, np.nan))
    assert compare(a, dataclasses.replace(a)).difference.value == 0
    with pytest.raises(ValueError, match="does not say what success is"):
        compare(a, dataclasses.replace(a, success=np.full(3, np.nan)))


def test_compare_on_the_same_seed_pairs_episodes() -> None:
    strong = evaluate(Seeker(3), PointReach(4, hidden_sign=False), episodes=30, seed=1)
    weak = evaluate(Seeker(0.3), PointReach(7, hidden_sign=False), episodes=30, seed=1)
    comparison = compare(strong, weak)
    assert comparison.only_a > comparison.only_b == 0
    assert comparison.difference.value == pytest.approx(strong.success.mean() - weak.success.mean())


def test_one_row_an_episode() -> None:
    rows = summarise(_episodes(), TASK, seed=3).episode_rows()
    assert [row["success"] for row in rows] == [1, 0, 1]
    assert [row["time_to_success"] for row in rows] == [0.08, None, 0.04]
    assert [row["mu_0"] for row in rows] == pytest.approx([0.2, 0.4, 0.6])


def test_table_names_every_setting() -> None:
    table = format_table({"train": _outcome([1, 0]), "unseen": _outcome([0, 0])})
    assert "0.500 [0.095, 0.905]" in table.splitlines()[1]
    assert table.splitlines()[2].startswith("unseen")
