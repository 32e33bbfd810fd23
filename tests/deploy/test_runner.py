from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.deploy import BundleError, BundleRunner, ObservationError, load_bundle
from sim2real.deploy.parity import _relative, replay_error
from sim2real.deploy.runner import checked_readings

READINGS = np.array([1.0, -2.0, 3.0, 0.5, 4.0, -1.0, 0.25, -0.5])


@pytest.fixture
def runner(lstm_bundle: Path) -> BundleRunner:
    return BundleRunner(lstm_bundle)


def test_names_and_vector_are_the_same(runner: BundleRunner) -> None:
    by_vector = runner.step(READINGS)
    runner.reset()
    named = dict(zip(runner.bundle.contract.readings, READINGS.tolist(), strict=True))
    by_name = runner.step(dict(reversed(named.items())))
    np.testing.assert_array_equal(by_vector, by_name)
    assert by_name.shape == (4,)
    assert by_name.dtype == np.float32


def test_actions_are_physical_and_fed_back_normalised(runner: BundleRunner) -> None:
    scale = np.array(runner.bundle.contract.action_scale)
    first = runner.step(READINGS)
    assert (np.abs(first) <= scale).all()
    np.testing.assert_allclose(runner.previous_action, first / scale, rtol=1e-6)
    state, previous = runner.state, runner.previous_action
    second = runner.step(READINGS)
    expected, _ = runner.bundle.infer(np.concatenate([READINGS, previous]).astype(np.float32), state)
    np.testing.assert_array_equal(second, expected)


def test_reset_forgets_the_episode(runner: BundleRunner) -> None:
    first, second = runner.step(READINGS), runner.step(READINGS)
    assert not np.array_equal(first, second)
    runner.reset()
    np.testing.assert_array_equal(runner.step(READINGS), first)
    np.testing.assert_array_equal(runner.step(READINGS), second)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_readings_that_are_not_finite_are_refused_and_leave_no_trace(runner: BundleRunner, bad: float) -> None:
    """1e300 is finite in float64 and infinite in the float32 that the model takes."""
    runner.step(READINGS)
    state, previous = runner.state, runner.previous_action
    readings = READINGS.copy()
    readings[[1, 6]] = bad
    with pytest.raises(ObservationError, match=r"not finite: obs_1 = \S+, goal_1 = "):
        runner.step(readings)
    assert runner.state is state
    assert runner.previous_action is previous


def test_missing_and_unknown_names(runner: BundleRunner) -> None:
    named = dict.fromkeys(runner.bundle.contract.readings, 0.0)
    del named["obs_2"]
    with pytest.raises(ObservationError, match=r"missing \['obs_2'\], unknown \['elbow'\]"):
        runner.step({**named, "elbow": 1.0})


@settings(deadline=None)
@given(st.lists(st.floats(width=32), max_size=12))
def test_only_finite_vectors_of_the_right_length_pass(values: list[float]) -> None:
    names = [f"n{i}" for i in range(4)]
    if len(values) == 4 and all(map(math.isfinite, values)):
        np.testing.assert_array_equal(checked_readings(values, names), np.array(values, np.float32))
    else:
        with pytest.raises(ObservationError, match=r"shape|finite"):
            checked_readings(values, names)


def test_what_was_sent_is_fed_back_normalised_and_within_bounds(runner: BundleRunner) -> None:
    runner.sent([0.025, -0.1, 5.0, 0.0])  # scales are 0.05, 0.1, 0.5, 1
    np.testing.assert_allclose(runner.previous_action, [0.5, -1.0, 1.0, 0.0], rtol=1e-6)
    assert runner.previous_action.dtype == np.float32


def test_a_memory_that_is_not_finite_is_refused(runner: BundleRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned = tuple(np.full_like(part, math.nan) for part in runner.state)
    monkeypatch.setattr(type(runner.bundle), "infer", lambda self, obs, state: (np.zeros(4, np.float32), poisoned))
    with pytest.raises(BundleError, match="its memory is not finite; stop the robot"):
        runner.step(READINGS)
    assert all(np.isfinite(part).all() for part in runner.state)


def test_replay_sees_a_wrong_action_a_wrong_memory_and_a_missing_reset(lstm_bundle: Path) -> None:
    bundle = load_bundle(lstm_bundle)
    with np.load(lstm_bundle / "parity.npz") as file:
        golden = {name: file[name] for name in file.files}
    assert replay_error(bundle, golden) <= 1e-5
    for name, change in (("actions", 0.01), ("h", 0.02), ("readings", 1.0)):
        altered = {**golden, name: golden[name].copy()}
        altered[name][50] += change
        assert replay_error(bundle, altered) > 1e-3, name
    # An action counts in units of its scale: 0.01 of 0.05 m is a fifth.
    assert replay_error(bundle, {**golden, "actions": golden["actions"] + 0.01}) == pytest.approx(0.2, abs=1e-5)
    assert replay_error(bundle, {**golden, "step": np.arange(100)}) > 1e-3
    with_nan = {**golden, "h": np.where(np.arange(16) == 3, math.nan, golden["h"])}
    assert math.isnan(replay_error(bundle, with_nan))


def test_large_memory_is_compared_relative_to_its_size() -> None:
    expected = np.array([80.0, 0.5, -0.25])
    assert _relative(np.array([80.0008, 0.5, -0.25]), expected) == pytest.approx(1e-5)
    assert _relative(np.array([80.0, 0.5, -0.2501]), expected) == pytest.approx(1e-4)  # absolute below 1


def test_self_test_refuses_another_golden_rollout(broken: Path) -> None:
    (broken / "parity.npz").write_bytes(b"something else")
    with pytest.raises(BundleError, match=r"parity.npz is not the file that was exported"):
        BundleRunner(broken)


def test_self_test_refuses_what_this_machine_computes_otherwise(broken: Path) -> None:
    """A golden rollout with a fitting checksum that the model does not repeat; without the test the bundle opens."""
    with np.load(broken / "parity.npz") as file:
        golden = {name: file[name] for name in file.files}
    golden["actions"][99] += 1e-5
    np.savez_compressed(broken / "parity.npz", allow_pickle=False, **golden)
    manifest = json.loads((broken / "policy.yaml").read_text())
    manifest["sha256"]["parity.npz"] = hashlib.sha256((broken / "parity.npz").read_bytes()).hexdigest()
    (broken / "policy.yaml").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"difference from the exported policy is 2.*e-04, allowed are 1e-05; do not"):
        load_bundle(broken)
    load_bundle(broken, self_test=False)
