from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.deploy.robot import Reading
from sim2real.deploy.safety import SafetyConfig, SafetyFilter
from sim2real.deploy.step_log import StepLog, read_step_log
from sim2real.errors import UserError
from tests.deploy.safety_fakes import FakeRunner, constant, make_contract, reading

CONTRACT = make_contract()
ODD: list[Any] = [
    reading(CONTRACT, 0.0),
    Reading(0.1, {"a0": math.nan, "other": -math.inf, "goal": 0.1}),
    None,
    Reading(0.3, {"a0": 1 / 3, "other": "left", "goal": 2.0, "elbow": 1.0}),  # type: ignore[dict-item]
    Reading(math.nan, {}),
]


def written(path: Path, readings: list[Any] = ODD) -> Path:
    safety = SafetyFilter(FakeRunner(CONTRACT, constant(0.5)), SafetyConfig(ramp_steps=0))
    with StepLog(path, CONTRACT, robot="fake") as log:
        for k, given_reading in enumerate(readings):
            log.add(k * 0.1, given_reading, safety.step(given_reading, k * 0.1), seconds=0.001)
    return path


def test_what_happened_can_be_read_back(tmp_path: Path) -> None:
    records = read_step_log(written(tmp_path / "log.jsonl"))
    assert (records.header["task"], records.header["robot"]) == ("Fake", "fake")
    assert records.header["readings"] == ["a0", "other", "goal"]
    assert records.present.tolist() == [True, True, False, True, True]
    np.testing.assert_array_equal(records.readings[1], [math.nan, -math.inf, 0.1])
    np.testing.assert_array_equal(records.readings[3], [1 / 3, math.nan, 2.0])
    assert records.raw[0].tolist() == [0.5]
    assert np.isnan(records.raw[1]).all()
    assert records.sent[:3].tolist() == [[0.5], [0.0], [0.5]]
    assert records.reasons[0] == ["started"] and "bad_reading" in records.reasons[1]
    first = records.reading(0)
    assert first == ODD[0]
    assert records.reading(2) is None


def test_every_line_is_strict_json(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    for line in written(tmp_path / "log.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


def test_a_replayed_log_gives_the_same_commands(tmp_path: Path) -> None:
    records = read_step_log(written(tmp_path / "log.jsonl"))
    again = SafetyFilter(FakeRunner(CONTRACT, constant(0.5)), SafetyConfig(ramp_steps=0))
    sent = [again.step(records.reading(k), float(now)).command for k, now in enumerate(records.now)]
    np.testing.assert_array_equal(sent, records.sent)


def test_a_killed_process_leaves_all_but_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    written(path)
    path.write_bytes(path.read_bytes()[:-20])
    assert len(read_step_log(path).now) == len(ODD) - 1


@pytest.mark.parametrize(
    "content", ["", "x\n", "{}\n", "[]\n", '{"schema": {"name": "sim2real-steps", "version": 9}}\n']
)
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match="is not a step log"):
        read_step_log(path)
    with pytest.raises(UserError, match="can't read"):
        read_step_log(tmp_path)


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't write the step log"):
        StepLog(tmp_path / "no" / "log.jsonl", CONTRACT)


@given(st.lists(st.tuples(st.floats(), st.lists(st.floats(), min_size=3, max_size=3)), max_size=5))
def test_any_numbers_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, list[float]]]) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    readings = [Reading(stamp, dict(zip(CONTRACT.readings, values, strict=True))) for stamp, values in rows]
    records = read_step_log(written(path, readings))
    np.testing.assert_array_equal(records.stamp, np.array([stamp for stamp, _ in rows]))
    np.testing.assert_array_equal(records.readings, np.array([values for _, values in rows]).reshape(-1, 3))
