from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim2real.memory import Intervention, Trace
from sim2real.probe import change_steps, changes, disturbances, identification, intervention_steps, read_steps, recovery
from tests.test_transfer import evaluation, rate

B, T = 300, 50
NAMES = ("remembered", "seen", "hidden", "constant")


def trace(*, change_at: int = T, lag: int = 0, seed: int = 0) -> Trace:
    """The memory holds parameter 0 from step 10 on, and the observation parameter 1 at once; 2 is nowhere, 3 constant.

    From ``change_at`` on all but the constant are drawn anew, and the memory follows ``lag`` steps later.
    """
    rng = np.random.default_rng(0)
    before, after = rng.uniform(-1, 1, (2, B, 1, 4))
    t = np.arange(T)[None, :, None]
    mu = np.where(t < change_at, before, after)
    mu[..., 3] = 0.3
    noise: NDArray[Any] = np.random.default_rng([1, seed]).normal(size=(B, T, 6))
    known = np.where(t < change_at + lag, before, after)[..., 0]
    memory = noise[..., :3].copy()
    memory[..., 0] = np.where(t[..., 0] >= 10, known + 0.1 * noise[..., 0], noise[..., 0])
    memory[..., 1] = mu[..., 1] + 0.1 * noise[..., 1]  # what is seen is in the memory too
    observation = noise[..., 3:].copy()
    observation[..., 0] = mu[..., 1] + 0.1 * noise[..., 3]
    return Trace(observation, memory, mu)


def test_what_the_memory_identifies_and_by_which_step() -> None:
    rows = {row["name"]: row for row in identification(trace(), NAMES, dt=0.04)}
    assert set(rows) == {"remembered", "seen", "hidden"}  # what does not vary cannot be told
    first = rows["remembered"]
    # R² of mu uniform on [-1, 1] (variance 1/3) through noise of 0.1: 1 - 0.01 / (1/3 + 0.01).
    assert first["peak"]["value"] == pytest.approx(1 - 0.01 / (1 / 3 + 0.01), abs=0.02)
    assert first["control"]["value"] < 0.05
    assert first["identified"]
    # Steps 1, 3, ..., 49 are read: 11 is the first of them from 10 on.
    assert (first["by_step"], first["by_seconds"]) == (11, 0.44)
    # As well known from the current observation: no achievement of the memory.
    assert rows["seen"]["peak"]["value"] > 0.9 and not rows["seen"]["identified"]
    assert not rows["hidden"]["identified"] and rows["hidden"]["by_step"] is None
    json.dumps(list(rows.values()), allow_nan=False)


def test_intervals_surround_their_value() -> None:
    for row in identification(trace(), NAMES, dt=0.04):
        for key in ("peak", "control", "gain"):
            assert row[key]["low"] <= row[key]["value"] <= row[key]["high"]


def test_recovery_follows_the_memory() -> None:
    found = recovery(trace(seed=1), trace(change_at=20, lag=10, seed=1), 20, [0])
    at = dict(zip(found["steps"], zip(found["before"], found["after"], found["unchanged"], strict=True), strict=True))
    assert at[5][0] < 0.1 and at[19][0] > 0.9  # learned, not yet changed
    assert at[25][0] > 0.9 and at[25][1] < 0.1  # changed, and not yet noticed
    assert at[35][0] < 0.1 and at[35][1] > 0.9  # noticed
    assert at[35][2] > 0.9


def test_steps() -> None:
    assert read_steps(50) == list(range(1, 50, 2))
    assert read_steps(100)[-1] == 99 and len(read_steps(100)) == 25
    assert read_steps(8) == list(range(8))
    assert intervention_steps(50) == [0, 6, 12, 19, 25, 31, 38]
    assert change_steps(50) == [6, 12, 25, 38]


def test_disturbances_and_changes_are_paired() -> None:
    intact = evaluation(rate(0.8))
    worse = dataclasses.replace(intact, success=intact.success * (np.arange(len(intact)) % 5 > 0))
    (row,) = disturbances(intact, {Intervention("frozen", 0): worse})
    lost = float(intact.success.mean() - worse.success.mean())
    assert (row["kind"], row["step"]) == ("frozen", 0)
    assert row["difference"]["value"] == pytest.approx(-lost)
    assert row["difference"]["resolved"]
    (row,) = changes(intact, {12: worse}, {12: intact})
    assert (row["step"], row["success"]["value"]) == (12, pytest.approx(worse.success.mean()))
    assert row["reset_gain"]["value"] == pytest.approx(lost)
    (row,) = changes(intact, {12: intact}, {12: intact})
    assert not row["difference"]["resolved"] and not row["reset_gain"]["resolved"]
