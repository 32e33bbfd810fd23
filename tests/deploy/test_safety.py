from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from sim2real.deploy.reasons import FAULTS, HOLDS, Reason
from sim2real.deploy.robot import Reading
from sim2real.deploy.safety import Decision, SafetyConfig, SafetyFilter
from sim2real.types import Term
from tests.deploy.safety_fakes import MOTION, POSITION, FakeRunner, constant, make_contract, reading

DT = 0.1
PLAIN = SafetyConfig(ramp_steps=0)


def make(policy: Any = None, config: SafetyConfig = PLAIN, **contract: Any) -> SafetyFilter:
    return SafetyFilter(FakeRunner(make_contract(**contract), policy or constant(0.5)), config)


def steps(safety: SafetyFilter, count: int, first: int = 0) -> list[Decision]:
    """Good readings at the right times, from time ``first`` on (in control periods)."""
    times = [(first + k) * DT for k in range(count)]
    return [safety.step(reading(safety.contract, t), t) for t in times]


def fake(safety: SafetyFilter) -> FakeRunner:
    assert isinstance(safety.runner, FakeRunner)
    return safety.runner


def test_a_good_action_goes_through_bit_for_bit() -> None:
    safety = make(constant(0.1))
    first, second = steps(safety, 2)
    assert (first.reasons, second.reasons) == ((Reason.STARTED,), ())
    assert second.command[0] == second.raw_action[0] == np.float64(np.float32(0.1))  # type: ignore[index]
    assert not second.held and second.may_send and not second.latched


def test_the_default_ages_follow_the_control_period_and_the_trained_delay() -> None:
    default, delayed = make(), make(observation_delay_ms=250.0)
    assert (default.envelope.max_age, default.envelope.timeout) == (2 * DT, 5 * DT)
    assert delayed.envelope.max_age == pytest.approx(0.35)
    assert delayed.envelope.timeout == pytest.approx(0.875)


def test_silence_is_bridged_then_held_then_latched() -> None:
    """The last reading may be 0.2 s old, and at more than 0.5 s the filter latches."""
    safety = make()
    steps(safety, 1)
    decisions = [safety.step(None, k * DT + 1e-3 * (k > 2)) for k in range(1, 7)]
    assert [d.reasons for d in decisions[:3]] == [
        (Reason.MISSING,),
        (Reason.MISSING,),
        (Reason.MISSING, Reason.STALE),
    ]
    assert [d.command[0] for d in decisions] == [0.5, 0.5, 0.0, 0.0, 0.0, 0.0]
    assert Reason.TIMEOUT in decisions[4].reasons
    assert [d.latched for d in decisions] == [False] * 4 + [True] * 2
    assert decisions[5].reasons == (Reason.LATCHED,)
    assert len(fake(safety).seen) == 3


def test_the_same_stamp_again_is_used_while_it_is_fresh() -> None:
    safety = make()
    steps(safety, 1)
    same = reading(safety.contract, 0.0)
    assert safety.step(same, DT).reasons == (Reason.REPEATED,)
    assert safety.step(same, 2.5 * DT).reasons == (Reason.REPEATED, Reason.STALE)


def test_out_of_order_and_impossible_stamps_are_held() -> None:
    safety = make()
    steps(safety, 2)
    late = safety.step(reading(safety.contract, 0.05), 2 * DT)
    assert late.reasons == (Reason.OUT_OF_ORDER,)
    for k, stamp in enumerate((math.nan, math.inf, 99.0, "soon")):
        decision = safety.step(Reading(stamp, reading(safety.contract, 0.0).values), (3 + k) * DT)  # type: ignore[arg-type]
        assert decision.reasons[0] is Reason.BAD_STAMP, stamp
        assert decision.command[0] == 0.0
    assert len(fake(safety).seen) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e39, 1e7, "1.0m", None])
def test_a_bad_value_never_reaches_the_model(bad: Any) -> None:
    safety = make()
    steps(safety, 1)
    good = reading(safety.contract, DT)
    decision = safety.step(Reading(DT, {**good.values, "other": bad}), DT)
    assert decision.reasons[0] in (Reason.BAD_READING, Reason.OUT_OF_RANGE)
    assert decision.raw_action is None
    assert decision.command[0] == 0.0
    assert len(fake(safety).seen) == 1


def test_missing_and_unknown_elements_are_named() -> None:
    safety = make()
    values = dict(reading(safety.contract, 0.0).values)
    del values["other"]
    decision = safety.step(Reading(0.0, {**values, "elbow": 1.0}), 0.0)
    assert decision.reasons == (Reason.BAD_READING, Reason.WAITING)
    assert "missing ['other'], unknown ['elbow']" in decision.detail


def test_a_range_is_enforced_and_named() -> None:
    safety = make(config=SafetyConfig(ramp_steps=0, reading_ranges={"other": (-1.0, 1.0)}))
    decision = safety.step(reading(safety.contract, 0.0, 0.0, 1.5, 0.0), 0.0)
    assert Reason.OUT_OF_RANGE in decision.reasons
    assert decision.detail == "out of range: other = 1.5"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([math.nan], Reason.BAD_ACTION),
        ([math.inf], Reason.BAD_ACTION),
        ([0.1, 0.2], Reason.BAD_ACTION),
        ([1.1], Reason.ACTION_OUT_OF_LIMITS),
        (None, Reason.BAD_ACTION),
        ("left", Reason.MODEL_FAILED),
    ],
)
def test_a_policy_that_answers_nonsense_is_held(answer: Any, reason: Reason) -> None:
    safety = make(lambda _: answer)
    (decision,) = steps(safety, 1)
    assert reason in decision.reasons
    assert decision.command[0] == 0.0


def test_rounding_beyond_the_limit_is_no_fault() -> None:
    safety = make(constant(1.0000001))
    (decision,) = steps(safety, 1)
    assert decision.reasons == (Reason.STARTED,)
    assert decision.command[0] == 1.0


def test_faults_latch_only_when_they_are_many_in_a_short_time() -> None:
    config = SafetyConfig(ramp_steps=0, max_faults=3, fault_window=4)

    def run(bad_steps: set[int]) -> list[bool]:
        safety = make(config=config)
        readings = [reading(safety.contract, k * DT) for k in range(12)]
        bad = {name: math.nan for name in safety.contract.readings}
        given = [Reading(r.stamp, bad) if k in bad_steps else r for k, r in enumerate(readings)]
        return [safety.step(r, k * DT).latched for k, r in enumerate(given)]

    assert run({1, 2, 3}).index(True) == 3
    assert not any(run({1, 2, 5, 6, 9, 10}))


def test_only_rearm_ends_a_latch_and_the_policy_starts_anew() -> None:
    safety = make()
    steps(safety, 3)
    resets = fake(safety).resets
    safety.stop("button")
    stopped = steps(safety, 20, first=3)
    assert all(d.latched and d.reasons == (Reason.LATCHED,) for d in stopped)
    assert stopped[0].detail == "stopped: button"
    assert stopped[0].command[0] == 0.0
    safety.rearm()
    (decision,) = steps(safety, 1, first=23)
    assert decision.reasons == (Reason.STARTED,)
    assert not safety.latched
    assert fake(safety).resets > resets


def test_a_stop_after_a_rearm_wins() -> None:
    safety = make()
    safety.rearm()
    safety.stop()
    assert steps(safety, 1)[0].latched


def test_the_memory_is_reset_after_a_gap_and_not_after_a_hiccup() -> None:
    safety = make()
    steps(safety, 1)
    resets = fake(safety).resets
    assert steps(safety, 1, first=4)[0].reasons == ()
    assert fake(safety).resets == resets
    assert steps(safety, 1, first=10)[0].reasons == (Reason.GAP,)
    assert fake(safety).resets == resets + 1


def test_the_runner_is_told_what_was_sent_not_what_it_said() -> None:
    safety = make(constant(1.0), SafetyConfig(ramp_steps=0, rate_limits={"a0": 0.25}))
    sent = [d.command[0] for d in steps(safety, 3)]
    safety.step(None, 9 * DT)  # too old: held, a step towards zero
    assert sent == [0.25, 0.5, 0.75]
    assert [told[0] for told in fake(safety).told] == [0.25, 0.5, 0.75, 0.5]


def test_the_clock_may_not_go_backwards_nor_stand_still() -> None:
    safety = make(config=SafetyConfig(ramp_steps=0, max_faults=3))
    steps(safety, 2)
    assert safety.step(reading(safety.contract, 0.05), 0.05).reasons == (Reason.CLOCK,)
    assert safety.step(reading(safety.contract, 0.05), math.nan).reasons == (Reason.CLOCK,)
    early = safety.step(reading(safety.contract, 0.14), 0.14)
    assert (early.reasons, early.raw_action) == ((Reason.EARLY,), None)
    stuck = [safety.step(reading(safety.contract, 0.1), 0.1) for _ in range(6)]
    assert [d.reasons[0] for d in stuck[:3]] == [Reason.EARLY, Reason.EARLY, Reason.CLOCK]
    assert stuck[2].latched


def test_frozen_sensors_are_found_while_motion_is_commanded() -> None:
    """The goal changes and the stamps go on; no sensor moves."""
    safety = make(config=SafetyConfig(ramp_steps=0, frozen_steps=3))
    found = [safety.step(reading(safety.contract, k * DT, 1.0, 2.0, float(k)), k * DT) for k in range(5)]
    assert [Reason.FROZEN in d.reasons for d in found] == [False, False, False, True, True]
    alive = safety.step(reading(safety.contract, 5 * DT, 1.0, 2.1, 0.0), 5 * DT)
    assert alive.reasons == ()


def test_where_nothing_is_measured_nothing_freezes() -> None:
    contract = make_contract()
    told = (Term("observation", "task", contract.terms[0].elements), *contract.terms[1:])
    runner = FakeRunner(dataclasses.replace(contract, terms=told), constant(0.5))
    safety = SafetyFilter(runner, SafetyConfig(ramp_steps=0, frozen_steps=3))
    found = [safety.step(reading(contract, k * DT, 1.0, 2.0, 3.0), k * DT) for k in range(20)]
    assert not any(d.held for d in found)


def test_sensors_may_show_the_same_at_standstill() -> None:
    safety = make(constant(0.0), SafetyConfig(ramp_steps=0, frozen_steps=3))
    found = [safety.step(reading(safety.contract, k * DT, 1.0, 2.0, 3.0), k * DT) for k in range(20)]
    assert not any(d.held for d in found)


def test_the_ramp_grows_from_standstill() -> None:
    safety = make(constant(0.8), SafetyConfig(ramp_steps=3))
    decisions = steps(safety, 5)
    np.testing.assert_allclose([d.command[0] for d in decisions], [0.2, 0.4, 0.6, 0.8, 0.8], rtol=1e-6)
    assert [Reason.RAMP in d.reasons for d in decisions] == [True, True, True, False, False]


def test_the_low_pass_goes_a_share_of_the_way() -> None:
    safety = make(constant(0.8), SafetyConfig(ramp_steps=0, low_pass=0.5))
    np.testing.assert_allclose([d.command[0] for d in steps(safety, 3)], [0.4, 0.6, 0.7], rtol=1e-6)


def test_narrower_limits_clip_and_say_so() -> None:
    safety = make(constant(-0.8), SafetyConfig(ramp_steps=0, action_limits={"a0": (-0.3, 0.3)}))
    decision = steps(safety, 2)[1]
    assert (decision.command[0], decision.reasons) == (-0.3, (Reason.CLIPPED,))


def position_filter(**config: Any) -> SafetyFilter:
    contract = {"kinds": (POSITION, MOTION), "low": (-2.0, -1.0), "high": (2.0, 1.0), "rate": (0.5, 0.5)}
    return make(constant(1.5, 0.5), SafetyConfig(**{"ramp_steps": 0, **config}), **contract)


def test_position_targets_start_at_the_measured_position_and_hold_the_last_one() -> None:
    safety = position_filter()
    nothing = safety.step(None, 0.0)
    assert (nothing.may_send, nothing.reasons) == (False, (Reason.MISSING, Reason.WAITING))
    names = safety.contract.readings
    assert names == ("a0", "a1", "other", "goal")

    def at(position: float, k: int) -> Decision:
        return safety.step(reading(safety.contract, k * DT, position, 0.0, float(k), 0.0), k * DT)

    assert at(0.75, 1).command.tolist() == [1.25, 0.5]
    assert at(1.0, 2).command.tolist() == [1.5, 0.5]
    held = safety.step(None, 9 * DT)
    assert held.command.tolist() == [1.5, 0.0]


def test_a_position_target_stays_near_the_measured_position() -> None:
    safety = position_filter(max_lead={"a0": 0.25})
    decision = safety.step(reading(safety.contract, 0.0, 0.5, 0.0, 0.0, 0.0), 0.0)
    assert decision.command[0] == 0.75
    assert Reason.MEASURED_LIMITED in decision.reasons


def test_a_start_from_beyond_the_limits_is_refused() -> None:
    safety = position_filter()
    far = safety.step(reading(safety.contract, 0.0, 2.75, 0.0, 0.0, 0.0), 0.0)
    assert Reason.FAR_FROM_START in far.reasons and not far.may_send
    near = safety.step(reading(safety.contract, DT, 2.25, 0.0, 0.0, 0.0), DT)
    assert near.command[0] == 1.5  # from the limit, by one step


def test_a_start_far_from_where_training_began_is_refused_but_a_gap_is_not_a_start() -> None:
    safety = make(config=SafetyConfig(ramp_steps=0, start_ranges={"other": (0.0, 1.0)}))
    far = safety.step(reading(safety.contract, 0.0, 0.0, 5.0, 0.0), 0.0)
    assert far.reasons == (Reason.FAR_FROM_START,)
    assert "other = 5" in far.detail
    assert not safety.step(reading(safety.contract, DT, 0.0, 0.5, 0.0), DT).held
    after_gap = safety.step(reading(safety.contract, 2.0, 0.0, 5.0, 0.0), 2.0)
    assert after_gap.reasons == (Reason.GAP,)


def test_what_was_sent_is_void_after_an_interruption() -> None:
    """The watchdog has stopped the robot: the rate limit counts from standstill again."""
    safety = make(constant(1.0), SafetyConfig(ramp_steps=0, rate_limits={"a0": 0.25}))
    steps(safety, 4)
    safety.interrupted()
    (decision,) = steps(safety, 1, first=4)
    assert decision.reasons == (Reason.GAP, Reason.RATE_LIMITED)
    assert decision.command[0] == 0.25


def test_describe_says_what_holding_does() -> None:
    assert position_filter().describe().splitlines() == [
        "a0: -2 to 2 m, at most 0.5 a step; on hold it stays where it is (target/joint/position)",
        "a1: -1 to 1 m, at most 0.5 a step; on hold it goes to 0 (target/body/displacement)",
    ]


def test_every_fault_is_a_hold() -> None:
    assert FAULTS < HOLDS
