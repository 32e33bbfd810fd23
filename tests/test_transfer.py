from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim2real.bootstrap import success_interval
from sim2real.estimates import wilson
from sim2real.evaluate import Evaluation
from sim2real.transfer import (
    comparisons,
    episode_rows,
    grid_point,
    leave_one_out,
    parameter_curves,
    rows,
    summary,
    worst_episodes,
)
from tests.toys import toy_task

N = 200
VALUES = np.random.default_rng(0).uniform(0, 1, (N, 3))


def evaluation(success: NDArray[Any], values: NDArray[Any] = VALUES) -> Evaluation:
    n = len(success)
    return Evaluation(
        task=toy_task(horizon=5, observation=1, goal=1, action=1, dynamics=3),
        seed=7,
        success=np.asarray(success, float),
        base_rate=(np.arange(n) < n / 10).astype(float),
        episode_return=-np.arange(n, dtype=float),
        action_rate=np.full(n, 0.1),
        initial_distance=np.arange(n) / n,
        final_distance=np.ones(n),
        time_to_success=np.where(np.asarray(success) > 0, 0.5, np.nan),
        dynamics_values=values,
    )


def rate(p: float, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).random(N) < p


def test_summary_of_one_seed_is_wilsons_and_of_several_is_over_seeds() -> None:
    one = summary([evaluation(rate(0.8))])
    assert one["success"] == wilson(int(rate(0.8).sum()), N)
    assert one["base_rate"] == wilson(20, N)
    two = summary([evaluation(rate(0.8)), evaluation(rate(0.6, 1))])
    assert two["success"] == success_interval(np.stack([rate(0.8), rate(0.6, 1)]).astype(float))
    assert two["success"].high - two["success"].low > one["success"].high - one["success"].low
    # A seed that failed has no time; an episode's mean is over those that have one.
    assert two["time_to_success"].n == int((rate(0.8) | rate(0.6, 1)).sum())


def test_the_worst_tenth_is_where_the_dynamics_are_hard() -> None:
    # Fails where the second parameter is large: above 0.7, mostly.
    rng = np.random.default_rng(1)
    success = (VALUES[:, 1] < 0.7) | (rng.random(N) < 0.2)
    worst = worst_episodes([evaluation(success)])
    assert len(worst) == 20
    assert (VALUES[worst, 1] > 0.7).mean() > 0.9
    assert success[worst].mean() < 0.5 < success.mean()


def test_the_worst_tenth_is_not_chosen_by_its_failures() -> None:
    # Success that has nothing to do with the dynamics: choosing the failures would give 0, an honest choice the mean.
    means = [np.mean(s[worst_episodes([evaluation(s)])]) for s in (rate(0.6, seed) for seed in range(20))]
    assert np.mean(means) == pytest.approx(0.6, abs=0.08)


def test_there_is_no_worst_tenth_without_variation_or_episodes() -> None:
    assert len(worst_episodes([evaluation(rate(0.5), np.ones((N, 3)))])) == 0
    few = evaluation(rate(0.5)[:50], VALUES[:50])
    assert len(worst_episodes([few])) == 0
    assert "worst_decile_success" not in summary([few])


def scores() -> dict[str, dict[str, list[Evaluation]]]:
    good = [evaluation(rate(0.95, 1)), evaluation(rate(0.94, 2)), evaluation(rate(0.96, 3))]
    bad = [evaluation(rate(0.4, 4)), evaluation(rate(0.41, 5)), evaluation(rate(0.42, 6))]
    return {"good": {"train": good}, "bad": {"train": bad}}


def test_rows_have_the_six_keys_and_are_json() -> None:
    found = json.loads(json.dumps(rows(scores()), allow_nan=False))
    assert all(list(row) == ["setting", "metric", "value", "low", "high", "n"] for row in found)
    assert {row["setting"] for row in found} == {"good/train", "bad/train"}
    assert {"success", "base_rate", "worst_decile_success"} <= {row["metric"] for row in found}


def test_comparisons_say_what_is_resolved() -> None:
    (row,) = comparisons(scores())
    assert (row["a"], row["b"], row["setting"], row["resolved"]) == ("good", "bad", "train", "recipe")
    assert row["value"] == pytest.approx(0.54, abs=0.05)
    assert row["over_episodes"]["low"] > row["low"] > 0
    one = {kind: {"train": found["train"][:1]} for kind, found in scores().items()}
    (single,) = comparisons(one)
    assert (single["resolved"], single["over_seeds"]) == ("policies", None)
    assert single["p_value"] < 1e-6


def test_different_episodes_are_refused() -> None:
    other = dataclasses.replace(evaluation(rate(0.5)), seed=8)
    with pytest.raises(ValueError, match="not the same episodes"):
        comparisons({"a": {"x": [evaluation(rate(0.5))]}, "b": {"x": [other]}})


def test_leave_one_out_is_paired() -> None:
    whole = rate(0.5)
    without = whole | (np.arange(N) % 10 == 0)
    found = {"lstm": {"train": [evaluation(whole)], "train:no_noise": [evaluation(without)]}}
    (row,) = leave_one_out(found, "train", {"no_noise": "train:no_noise"})
    gained = int((without & ~whole).sum())
    assert (row["group"], row["value"], row["resolved"]) == ("no_noise", gained / N, "policies")
    # Paired: only the episodes that changed are uncertain. Unpaired, the interval would be some 0.2 wide.
    assert row["high"] - row["low"] < 0.08


def test_curves_bin_the_same_episodes_for_all_seeds() -> None:
    found = parameter_curves(scores(), {"mu_0": "kg"}, {"mu_0": (0.2, 0.8, False)})
    assert len(found) == 2 * 3
    first = found[0]
    assert (first["parameter"], first["unit"], first["trained"]) == ("mu_0", "kg", (0.2, 0.8, False))
    assert sum(part["success"]["n"] for part in first["bins"]) == N
    assert found[1]["trained"] is None


def test_a_grid_point_and_the_episode_rows() -> None:
    point = grid_point("lstm", {"mu_0": 2.0}, [evaluation(rate(0.5))])
    assert point["success"]["n"] == N and point["values"] == {"mu_0": 2.0}
    lines = episode_rows(scores(), {"good": ["a", "b", "c"], "bad": ["d", "e", "f"]})
    assert len(lines) == 6 * N
    assert list(lines[0])[:4] == ["kind", "policy", "setting", "episode"]
    assert (lines[N]["kind"], lines[N]["policy"], lines[N]["episode"]) == ("good", "b", 0)
