from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.deploy.safety_config import SafetyConfig, SafetyError, concerns, is_position_target, load_safety, resolve
from tests.deploy.safety_fakes import MOTION, POSITION, make_contract

CONTRACT = make_contract((MOTION, POSITION), low=(-1.0, -2.0), high=(1.0, 3.0), rate=(0.5, 4.0))


@pytest.mark.parametrize(
    ("kind", "is_position"),
    [
        ("target/joint/position", True),
        ("target/body/pose", True),
        ("target/body/displacement", False),
        ("target/joint/velocity", False),
        ("target/joint/effort", False),
        ("", False),
    ],
)
def test_what_stops_an_action_follows_from_its_kind(kind: str, is_position: bool) -> None:
    assert is_position_target(kind) == is_position


def test_settings_narrow_the_contract() -> None:
    config = SafetyConfig(
        action_limits={"a1": (-1.0, 1.0)},
        rate_limits={"a1": 0.1},
        max_lead={"a1": 0.2},
        reading_ranges={"other": (0, 5)},
    )
    envelope = resolve(config, CONTRACT)
    assert (envelope.low.tolist(), envelope.high.tolist()) == ([-1.0, -1.0], [1.0, 1.0])
    assert (envelope.promised_low.tolist(), envelope.promised_high.tolist()) == ([-1.0, -2.0], [1.0, 3.0])
    assert envelope.rate.tolist() == [0.5, 0.1]
    assert envelope.lead.tolist() == [np.inf, 0.2]
    assert envelope.measured.tolist() == [-1, 1]
    assert envelope.reading_low.tolist() == [-1e6, -1e6, 0.0, -1e6]
    assert envelope.sensors.tolist() == [True, True, True, False]


def test_what_the_evaluation_saw_can_be_the_range() -> None:
    contract = dataclasses.replace(CONTRACT, document={"seen": {"a0": [0.0, 2.0], "other": [1.0, 1.0], "a1": [0, 1]}})
    envelope = resolve(SafetyConfig(seen_margin=0.5, reading_ranges={"a1": (-9, 9)}), contract)
    np.testing.assert_allclose(envelope.reading_low, [-1.0, -9, 0.9995, -1e6])
    np.testing.assert_allclose(envelope.reading_high, [3.0, 9, 1.0005, 1e6])
    with pytest.raises(SafetyError, match="exported without one"):
        resolve(SafetyConfig(seen_margin=0.5), CONTRACT)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"action_limits": {"a0": (-2, 1)}}, r"has to lie within the contract's \[-1.0, 1.0\]"),
        ({"action_limits": {"a0": (0.1, 1)}}, "excludes zero: this action is a motion"),
        ({"action_limits": {"arm": (0, 1)}}, "action_limits: unknown element 'arm'"),
        ({"action_limits": {"a0": 1}}, "wrong type"),
        ({"rate_limits": {"a0": 0.6}}, "at most the contract's 0.5"),
        ({"rate_limits": {"a0": float("nan")}}, "at most the contract's 0.5"),
        ({"max_lead": {"a0": 0.1}}, "only position targets have a measured position"),
        ({"max_lead": {"a1": 0.0}}, "has to be positive"),
        ({"measured_positions": {"a1": "elbow"}}, "unknown element 'elbow'"),
        ({"reading_ranges": {"other": (1, 0)}}, "the first has to be at most the second"),
        ({"start_ranges": {"nose": (0, 1)}}, "unknown element 'nose'"),
        ({"max_observation_age_s": 1.0, "timeout_s": 0.5}, "expected 0 < max_observation_age_s <= timeout_s"),
        ({"max_observation_age_s": 0.0}, "expected 0 < max_observation_age_s"),
        ({"max_observation_age_s": "soon"}, "wrong type"),
        ({"low_pass": 0.0}, r"low_pass has to be in \(0, 1\]"),
        ({"low_pass": float("nan")}, "low_pass"),
        ({"ramp_steps": -1}, "ramp_steps has to be a whole number of at least 0"),
        ({"max_faults": 2.5}, "max_faults has to be a whole number"),
        ({"max_faults": 9, "fault_window": 8}, "never fit"),
        ({"seen_margin": -1}, "seen_margin has to be 0 or more"),
        ({"largest_reading": 0.0}, "largest_reading has to be positive"),
        ({"action_limits": 3}, "wrong type"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SafetyError, match=message):
        resolve(SafetyConfig(**settings), CONTRACT)


def test_a_position_target_needs_its_measured_position() -> None:
    renamed = make_contract((MOTION, POSITION), low=(-1.0, -2.0), high=(1.0, 3.0), rate=(0.5, 4.0), prefix="joint_")
    with pytest.raises(
        SafetyError, match=r"measured_positions = \{'joint_1': READING\}. Readings: a0, a1, other, goal"
    ):
        resolve(SafetyConfig(), renamed)
    assert resolve(SafetyConfig(measured_positions={"joint_1": "a1"}), renamed).measured.tolist() == [-1, 1]


def test_settings_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "safety.json"
    file.write_text('{"rate_limits": {"a0": 0.1}, "ramp_steps": 3}')
    assert load_safety(file) == SafetyConfig(rate_limits={"a0": 0.1}, ramp_steps=3)
    file.write_text('{"rate_limit": {}}')
    with pytest.raises(SafetyError, match=r"unknown safety setting 'rate_limit'. Did you mean 'rate_limits'"):
        load_safety(file)
    for key, value, expected in (
        ("rate_limits", 0.1, "a JSON object of names with number"),
        ("rate_limits", {"a0": "x"}, "a JSON object of names with number"),
        ("reading_ranges", {"a0": 1.5}, r"a JSON object of names with \[smallest, largest\]"),
        ("timeout_s", "1", "a number"),
        ("low_pass", None, "a number"),
    ):
        file.write_text(json.dumps({key: value}))
        with pytest.raises(SafetyError, match=rf"safety.json: {key} has to be {expected}, got "):
            load_safety(file)
    file.write_text("{")
    with pytest.raises(SafetyError, match="can't read safety settings"):
        load_safety(file)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["a0", "a1", "other", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a0", "a1", "other", "x"]), inner),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(list(SafetyConfig.__dataclass_fields__)), JSON, max_size=3))
def test_any_file_is_either_settings_or_one_clear_error(document: dict[str, Any]) -> None:
    try:
        envelope = resolve(SafetyConfig(**json.loads(json.dumps(document))), CONTRACT)
    except SafetyError:
        return
    assert (envelope.low <= envelope.high).all()
    assert (envelope.rate > 0).all()
    assert 0 < envelope.max_age <= envelope.timeout


def test_what_an_operator_should_know_of_loose_settings() -> None:
    one = make_contract()
    assert concerns(SafetyConfig(rate_limits={"a0": 0.1}), one) == []
    loose = SafetyConfig(max_observation_age_s=60, timeout_s=600, frozen_steps=0)
    found = concerns(loose, one)
    assert [line.split(" (")[0] for line in found] == [
        "the policy acts on readings up to 60 s old",
        "the filter latches after 600 s of silence",
        "frozen sensors are not looked for",
        "no rate limit binds for a0; give rate_limits with --safety",
    ]
