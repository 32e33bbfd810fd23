"""Whatever readings, times and policy do, what is sent is finite, within the limits and within the rate limit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim2real.deploy.command_limiter import CommandLimiter
from sim2real.deploy.contract import Contract
from sim2real.deploy.reasons import Reason
from sim2real.deploy.robot import Reading
from sim2real.deploy.safety import SafetyConfig, SafetyFilter
from sim2real.deploy.safety_config import resolve
from tests.deploy.safety_fakes import MOTION, POSITION, FakeRunner, make_contract

DT = 0.1
# Small ones whose sums round, large ones whose squares do not fit, and zero.
SIZES = st.one_of(st.floats(0, 2), st.sampled_from([0.0, 5e-324, 1e-17, 0.1, 1 / 3, 1e7, 1e150]))
ANYTHING = st.one_of(
    st.floats(-2, 2), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 1e308, -1e308, 1e39])
)
NO_NUMBERS = st.sampled_from([None, "1.0", "left", [1.0], 10**400, 1j, b""])


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    kinds = draw(st.lists(st.sampled_from([MOTION, POSITION, "target/joint/velocity", ""]), min_size=1, max_size=3))
    ends = [(-draw(SIZES), draw(SIZES)) for _ in kinds]
    # A motion without zero in its limits can't be stopped; a position may be limited to anything.
    shifts = [draw(st.floats(-3, 3)) if kind == POSITION else 0.0 for kind in kinds]
    low = [end[0] + shift for end, shift in zip(ends, shifts, strict=True)]
    high = [max(end[1] + shift, least + 1e-3) for end, shift, least in zip(ends, shifts, low, strict=True)]
    rate = [max(draw(SIZES), 5e-324) for _ in kinds]
    return make_contract(kinds, low=low, high=high, rate=rate, dt=DT)


@st.composite
def configs(draw: st.DrawFn, contract: Contract) -> SafetyConfig:
    positions = [e.name for e in contract.action_elements if e.kind == POSITION]
    return SafetyConfig(
        low_pass=draw(st.floats(1e-6, 1)),
        ramp_steps=draw(st.integers(0, 3)),
        max_faults=draw(st.integers(1, 30)),
        fault_window=30,
        frozen_steps=draw(st.integers(0, 4)),
        max_lead={name: draw(st.floats(1e-9, 1)) for name in positions if draw(st.booleans())},
        rate_limits={
            name: rate * draw(st.floats(0.5, 1))
            for name, rate in zip(contract.action, contract.rate_limit, strict=True)
            if rate > 1e-300 and draw(st.booleans())
        },
    )


@dataclass
class Step:
    """What happens before and in one control step."""

    request: str | None
    advance: Any
    reading: Any
    answer: Any


@st.composite
def readings(draw: st.DrawFn, contract: Contract, clock: float) -> Any:
    """None, garbage, or a reading that is good but for at most a few things."""
    if draw(st.integers(0, 5)) == 0:
        return None
    late = draw(st.one_of(st.just(0.0), st.floats(-1, 1), ANYTHING, NO_NUMBERS))
    stamp: Any = clock - late if isinstance(late, float) else late
    values: Any = {name: draw(st.floats(-2, 2)) for name in contract.readings}
    for name in draw(st.lists(st.sampled_from([*contract.readings, "unknown"]), max_size=2)):
        values[name] = draw(st.one_of(ANYTHING, NO_NUMBERS))
    if draw(st.integers(0, 9)) == 0:
        values = draw(st.sampled_from([None, 3.0, {}, [0.0], dict.fromkeys(contract.readings)]))
    return Reading(stamp, values)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Contract, SafetyConfig, list[Step]]:
    contract = draw(contracts())
    steps, clock = [], 0.0
    for _ in range(draw(st.integers(1, 25))):
        advance = draw(st.one_of(st.just(DT), st.just(DT), st.floats(-0.2, 1), ANYTHING, NO_NUMBERS))
        if isinstance(advance, float) and abs(advance) < 10:
            clock += advance
        size = draw(st.sampled_from([len(contract.action)] * 9 + [1]))
        answer = draw(st.one_of(st.lists(ANYTHING, min_size=size, max_size=size), st.sampled_from(["raise", None])))
        inside = [draw(st.floats(a, b)) for a, b in zip(contract.action_low, contract.action_high, strict=True)]
        steps.append(
            Step(
                request=draw(st.sampled_from([None] * 8 + ["stop", "rearm", "interrupted"])),
                advance=advance,
                reading=draw(readings(contract, clock)),
                answer=inside if draw(st.integers(0, 3)) else answer,
            )
        )
    return contract, draw(configs(contract)), steps


def answering(steps: list[Step]) -> Any:
    """A policy that says what the current step tells it to."""

    def policy(vector: Any) -> Any:
        answer = policy.answer  # type: ignore[attr-defined]
        if answer == "raise":
            raise RuntimeError("the policy broke")
        return answer

    policy.answer = None  # type: ignore[attr-defined]
    return policy


@settings(max_examples=100, deadline=None)
@given(histories())
def test_whatever_happens_what_is_sent_is_safe(history: tuple[Contract, SafetyConfig, list[Step]]) -> None:
    contract, config, steps = history
    policy = answering(steps)
    runner = FakeRunner(contract, policy)
    safety = SafetyFilter(runner, config)
    envelope = resolve(config, contract)
    before, known, latched = envelope.rest, not envelope.keeps.any(), False
    clock = 0.0
    for step in steps:
        if step.request is not None:
            getattr(safety, step.request)()
        if step.request == "interrupted":  # the robot stands: motions are at rest, positions where they are measured
            before, known = envelope.rest, not envelope.keeps.any()
        usable = isinstance(step.advance, float) and abs(step.advance) < 10
        clock += step.advance if usable else 0.0
        policy.answer = step.answer
        decision = safety.step(step.reading, clock if usable else step.advance)

        command = decision.command
        assert command.shape == envelope.low.shape
        assert np.isfinite(command).all()
        assert (command >= envelope.low).all()
        assert (command <= envelope.high).all()
        if decision.may_send:
            if not known:
                measured = np.clip(runner.seen[-1][: len(contract.action)], envelope.low, envelope.high)
                before = np.where(envelope.keeps, measured, before)
            assert (np.abs(command - before) <= envelope.rate).all()
            before, known = command, True
        assert not (known and not decision.may_send)
        # A latch stays until it is asked away, and the policy is not asked meanwhile.
        if latched and step.request != "rearm":
            assert decision.latched
        if Reason.LATCHED in decision.reasons:
            assert decision.raw_action is None
        latched = decision.latched
        if decision.held and decision.may_send and Reason.EARLY not in decision.reasons:
            motions = ~envelope.keeps
            assert (np.abs(command - envelope.rest)[motions] <= np.abs(before - envelope.rest)[motions]).all()


@settings(max_examples=100, deadline=None)
@given(contracts(), st.data())
@example(make_contract(low=(-1.0,), high=(1.0,), rate=(1.5e-16,)), None)
def test_a_limiter_alone_is_safe_for_any_finite_wish(contract: Contract, data: st.DataObject | None) -> None:
    """Rounding included: the bounds hold exactly, not to a tolerance."""
    draw = data.draw if data is not None else lambda _: 0.7
    config = SafetyConfig(low_pass=draw(st.floats(1e-3, 1)) if data else 1.0)
    envelope = resolve(config, contract)
    limiter = CommandLimiter(envelope, low_pass=config.low_pass, ramp_steps=0)
    assert limiter.anchor(np.clip(0.0, envelope.low, envelope.high)[envelope.measured]) == ""
    before = limiter.sent
    for _ in range(20):
        wish = np.array([draw(st.floats(-1e308, 1e308)) for _ in contract.action])
        command, _ = limiter.limit(wish, np.zeros(len(contract.readings), np.float32))
        assert (np.abs(command - before) <= envelope.rate).all()
        assert ((command >= envelope.low) & (command <= envelope.high)).all()
        before = command


@settings(max_examples=100, deadline=None)
@given(contracts(), st.floats(-1, 1))
def test_holding_stops_motions_and_keeps_positions(contract: Contract, share: float) -> None:
    envelope = resolve(SafetyConfig(), contract)
    limiter = CommandLimiter(envelope, low_pass=1.0, ramp_steps=0)
    limiter.anchor(np.clip(0.0, envelope.low, envelope.high)[envelope.measured])
    limiter.limit(share * envelope.high, np.zeros(len(contract.readings), np.float32))
    start = limiter.sent
    for _ in range(3):
        limiter.hold()
    expected = np.sign(start - envelope.rest) * np.maximum(np.abs(start - envelope.rest) - 3 * envelope.rate, 0)
    motions = ~envelope.keeps
    np.testing.assert_allclose(limiter.sent[motions], (envelope.rest + expected)[motions], rtol=1e-9, atol=1e-300)
    np.testing.assert_array_equal(limiter.sent[envelope.keeps], start[envelope.keeps])
