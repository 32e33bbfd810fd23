from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sim2real.deploy.command_limiter import CommandLimiter
from sim2real.deploy.drill import drill, is_safe
from sim2real.deploy.faults import FAULTS, ONSET
from sim2real.deploy.robot import Reading
from sim2real.deploy.safety import SafetyConfig
from tests.deploy.safety_fakes import FakeRunner, make_contract

DT, HORIZON = 0.1, 60
CONTRACT = make_contract(low=(-0.1,), high=(0.1,), rate=(0.05,), dt=DT)


@dataclass
class Outcome:
    success: bool


class Point:
    """A point that moves by the last command in every period, and has to stand near 1 at the end."""

    def __init__(self) -> None:
        self.steps, self.position, self.command, self.started = HORIZON, 0.0, 0.0, 0.0

    @property
    def over(self) -> bool:
        return self.steps >= HORIZON

    @property
    def outcome(self) -> Outcome:
        return Outcome(abs(self.position - 1) < 0.1)

    def begin(self) -> None:
        self.started = self.now()
        self.steps, self.position, self.command = 0, 0.0, 0.0

    def read(self) -> Reading:
        wobble = 1e-3 * (self.steps % 7)
        return Reading(self.now(), {"a0": self.position + wobble, "other": 3.0, "goal": 1.0})

    def write(self, command: Mapping[str, float]) -> None:
        self.command = command["a0"]

    def hold(self) -> None:
        self.command = 0.0

    def now(self) -> float:
        return self.started + self.steps * DT

    def sleep_until(self, time: float) -> None:
        while not self.over and self.now() + DT <= time + 1e-6:
            self.position += self.command
            self.steps += 1

    def close(self) -> None:
        pass


def towards_the_goal(vector: Any) -> Any:
    return np.clip(0.2 * (vector[2:3] - vector[0:1]), -0.1, 0.1)


def rows(*names: str) -> dict[str, dict[str, Any]]:
    faults = [fault for fault in FAULTS if not names or fault.name in names]
    found = drill(FakeRunner(CONTRACT, towards_the_goal), Point, faults, episodes=2, config=SafetyConfig(ramp_steps=0))
    return {row["fault"]: row for row in found}


def test_nothing_is_sent_that_is_not_allowed_under_any_fault() -> None:
    found = rows()
    assert len(found) == len(FAULTS) == 23
    assert [name for name, row in found.items() if not is_safe(row)] == []
    # What is plausible, or bridged, is not held: the limits are all that is left then.
    passed = {name for name, row in found.items() if row["held"] == 0}
    assert passed == {"none", "dropped", "policy_flips", "late_loop", "gap", "tenfold"}
    assert found["none"]["success"] == found["nan"]["success"] == found["gap"]["success"] == 1
    assert max(row["worst_step"] for row in found.values()) == pytest.approx(1)
    latched = {name for name, row in found.items() if row["latched"] == 1}
    assert latched == {
        *("sensor_stops", "silent_for_good", "future_stamps", "nan_flicker", "huge", "frozen", "clock_back"),
        *("policy_inf", "policy_fails"),
    }


def test_faults_are_held_when_they_should_be() -> None:
    found = rows("nan", "silent", "sensor_stops", "frozen", "huge")
    # A reading may be two periods old; frozen sensors need five readings; five faults latch.
    assert [found[name]["steps_to_hold"] for name in ("nan", "silent", "sensor_stops", "frozen")] == [0, 2, 2, 4]
    assert found["huge"]["steps_to_latch"] == 4
    assert found["nan"]["steps_to_latch"] is None
    assert found["nan"]["reasons"]["bad_reading"] == 2 * 3
    assert ONSET == 10


def test_the_drill_sees_a_filter_that_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def send_anything(self: CommandLimiter, wish: Any) -> Any:
        self.sent = np.array(wish)
        return 30 * self.sent

    monkeypatch.setattr(CommandLimiter, "_send", send_anything)
    row = rows("policy_flips")["policy_flips"]
    assert not is_safe(row)
    assert row["worst_command"] > 1
    assert row["worst_step"] > 1


def test_the_drill_sees_what_is_not_finite() -> None:
    good = rows("none")["none"]
    assert is_safe(good)
    assert not is_safe({**good, "not_finite": 1})
    assert not is_safe({**good, "model_saw_bad": 1})
