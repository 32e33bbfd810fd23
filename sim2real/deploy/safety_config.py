"""What the safety filter allows: the user's settings, and the numbers that follow from them and a policy's contract."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.contract import Contract
from sim2real.errors import UserError, unknown

Vector = NDArray[np.float64]
Range = tuple[float, float]
_RANGES = ("reading_ranges", "start_ranges", "action_limits")
_PER_ELEMENT = {"rate_limits": "number", "max_lead": "number", "measured_positions": "name"}
_UNSET = ("max_observation_age_s", "timeout_s", "seen_margin")
"""Fields of `SafetyConfig` by what a JSON file may give for them; all others are numbers."""


class SafetyError(UserError):
    """Settings that do not fit the policy's contract, or leave the robot without a way to stop."""


@dataclass(frozen=True)
class SafetyConfig:
    """Settings of the `SafetyFilter`. Names are those of the contract, values in its units; what is not given comes
    from the contract, and settings can only be stricter than it."""

    max_observation_age_s: float | None = None
    """Oldest reading that the policy may act on (in seconds). None: two control periods, or one more than the longest
    observation delay it was trained with where that is longer."""
    timeout_s: float | None = None
    """Age of the newest good reading at which the filter latches, and pause of the policy after which its memory is
    reset (in seconds). None: 2.5 times the age above, by default five control periods."""
    reading_ranges: Mapping[str, Range] = field(default_factory=dict)
    """Reading -> smallest and largest plausible value."""
    seen_margin: float | None = None
    """How far a reading may lie outside the range that the bundle's evaluation saw, as a share of that range's width
    (of a thousandth of its unit, where it was narrower); `reading_ranges` go before it. None: not checked."""
    largest_reading: float = 1e6
    """Magnitude that no reading has, whatever its unit: beyond it is an error of transmission or of units."""
    start_ranges: Mapping[str, Range] = field(default_factory=dict)
    """Reading -> values from which the policy may be started, such as the poses its training episodes began in."""
    action_limits: Mapping[str, Range] = field(default_factory=dict)
    """Action element -> narrower limits than the contract's; a motion's have to include zero."""
    rate_limits: Mapping[str, float] = field(default_factory=dict)
    """Action element -> smaller change per control step than the contract's."""
    measured_positions: Mapping[str, str] = field(default_factory=dict)
    """Action element that is a position target -> the reading that measures this position. Not needed where the two
    have the same name."""
    max_lead: Mapping[str, float] = field(default_factory=dict)
    """Action element that is a position target -> how far it may be from the measured position."""
    low_pass: float = 1.0
    """Share of the way from the last command to the new one that is sent, in (0, 1]; 1 is no filter. The policy was
    trained without: try it in simulation first."""
    ramp_steps: int = 10
    """Control steps after a start or re-arm in which the action grows from standstill, or from the measured position,
    to what the policy says; 0 is no ramp."""
    max_faults: int = 5
    """Faults (`reasons.FAULTS`) within the window at which the filter latches."""
    fault_window: int = 25
    """Control steps over which faults are counted."""
    frozen_steps: int = 5
    """New readings without a change in any sensor, while motion is commanded, after which the sensors count as frozen;
    0 never."""


@dataclass(frozen=True)
class Envelope:
    """A `SafetyConfig` made concrete for one contract: A action elements, R readings in the contract's order."""

    dt: float
    """Control period (in seconds)."""
    max_age: float
    timeout: float
    promised_low: Vector
    """[A] what the contract promises; a policy outside it is broken."""
    promised_high: Vector
    low: Vector
    """[A] what may be sent."""
    high: Vector
    rate: Vector
    """[A] largest change per control step."""
    keeps: NDArray[np.bool_]
    """[A] whether holding means to repeat the last command (position targets) rather than to send `rest`."""
    rest: Vector
    """[A] the command that means no motion, where there is one."""
    measured: NDArray[np.int64]
    """[A] index of the reading that measures a position target, -1 for motions."""
    lead: Vector
    """[A] largest distance between a position target and its measured position; infinite where there is none."""
    reading_low: Vector
    reading_high: Vector
    start_low: Vector
    start_high: Vector
    sensors: NDArray[np.bool_]
    """[R] whether the reading is measured, neither commanded nor told: a goal may stand still."""


def load_safety(path: str | Path) -> SafetyConfig:
    """Settings from a JSON file with the fields of `SafetyConfig`.

    Raises:
        SafetyError: it is not JSON, or holds unknown fields.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SafetyError(f"can't read safety settings from {path}: {error}") from None
    if not isinstance(document, dict):
        raise SafetyError(f"{path} has to hold a JSON object with safety settings, got {document!r:.60}")
    names = [entry.name for entry in dataclasses.fields(SafetyConfig)]
    for key, value in document.items():
        if key not in names:
            raise SafetyError(f"{path}: {unknown('safety setting', key, names)}")
        expected = "[smallest, largest]" if key in _RANGES else _PER_ELEMENT.get(key, "")
        if expected and not (isinstance(value, dict) and all(_fits(entry, expected) for entry in value.values())):
            raise SafetyError(f"{path}: {key} has to be a JSON object of names with {expected}, got {value!r:.60}")
        if not expected and not (_fits(value, "number") or (value is None and key in _UNSET)):
            raise SafetyError(f"{path}: {key} has to be a number, got {value!r:.60}")
    return SafetyConfig(**document)


def _fits(value: Any, expected: str) -> bool:
    if expected == "name":
        return isinstance(value, str)
    if expected == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, list) and len(value) == 2 and all(_fits(end, "number") for end in value)


def resolve(config: SafetyConfig, contract: Contract) -> Envelope:
    """The numbers that follow from ``config`` and ``contract``.

    Raises:
        SafetyError: a setting names what the contract does not have, is looser than it, makes no sense, or leaves a
            position target without its measured position.
    """
    try:
        return _resolve(config, contract)
    except SafetyError:
        raise
    except (TypeError, ValueError, AttributeError) as error:  # a JSON file may hold anything, lists of any length too
        raise SafetyError(f"the safety settings hold a value of the wrong type or length: {error}") from None


def _resolve(config: SafetyConfig, contract: Contract) -> Envelope:
    _check_scalars(config)
    dt, names, readings = contract.control_dt, contract.action, contract.readings
    max_age, timeout = _ages(config, contract)
    keeps = np.array([is_position_target(e.kind) for e in contract.action_elements], bool)
    promised_low, promised_high = np.array(contract.action_low), np.array(contract.action_high)
    low, high = _limits(config.action_limits, contract, keeps)
    ranges = {**_seen_ranges(config.seen_margin, contract), **config.reading_ranges}
    reading_low, reading_high = _ranges("reading_ranges", ranges, readings, config.largest_reading)
    start_low, start_high = _ranges("start_ranges", config.start_ranges, readings, math.inf)
    sources = [term.source for term in contract.terms if term.source != "feedback" for _ in term.elements]
    return Envelope(
        dt=dt,
        max_age=max_age,
        timeout=timeout,
        promised_low=promised_low,
        promised_high=promised_high,
        low=low,
        high=high,
        rate=_rates(config.rate_limits, contract),
        keeps=keeps,
        rest=np.clip(np.zeros(len(names)), low, high),
        measured=_measured(config.measured_positions, contract, keeps),
        lead=_leads(config.max_lead, contract, keeps),
        reading_low=reading_low,
        reading_high=reading_high,
        start_low=start_low,
        start_high=start_high,
        sensors=np.array([source == "sensor" for source in sources], bool),
    )


def concerns(config: SafetyConfig, contract: Contract) -> list[str]:
    """What an operator should know of these settings: where they are looser than by default, or do not bind."""
    envelope = resolve(config, contract)
    usual = resolve(SafetyConfig(measured_positions=config.measured_positions), contract)
    found = []
    if envelope.max_age > usual.max_age:
        found.append(f"the policy acts on readings up to {envelope.max_age:g} s old (by default {usual.max_age:g} s)")
    if envelope.timeout > usual.timeout:
        found.append(f"the filter latches after {envelope.timeout:g} s of silence (by default {usual.timeout:g} s)")
    if not config.frozen_steps:
        found.append("frozen sensors are not looked for (frozen_steps is 0)")
    unbound = envelope.rate >= envelope.high - envelope.low
    free = [name for name, is_free in zip(contract.action, unbound, strict=True) if is_free]
    if free:
        found.append(f"no rate limit binds for {', '.join(free)}; give rate_limits with --safety")
    return found


def is_position_target(kind: str) -> bool:
    """Whether an action of this kind (LEAPP's vocabulary) is a place to be at, so that repeating it stops the robot.

    ``target/joint/position`` and ``target/body/pose`` are. Everything else is a motion (displacement, velocity, force),
    which goes on for as long as it is repeated and stops at zero; so is a kind that nobody named.
    """
    return kind.rsplit("/", 1)[-1] in ("position", "pose")


def _check_scalars(config: SafetyConfig) -> None:
    whole = {"ramp_steps": 0, "max_faults": 1, "fault_window": 1, "frozen_steps": 0}
    for name, least in whole.items():
        value = getattr(config, name)
        if not isinstance(value, int) or value < least:
            raise SafetyError(f"{name} has to be a whole number of at least {least}, got {value!r}")
    if config.fault_window < config.max_faults:
        raise SafetyError(f"max_faults = {config.max_faults} never fit in fault_window = {config.fault_window} steps")
    if not 0 < config.low_pass <= 1:
        raise SafetyError(f"low_pass has to be in (0, 1], got {config.low_pass!r}")
    if not config.largest_reading > 0:
        raise SafetyError(f"largest_reading has to be positive, got {config.largest_reading!r}")


def _ages(config: SafetyConfig, contract: Contract) -> tuple[float, float]:
    dt, trained = contract.control_dt, contract.delays["observation"][1] / 1000
    age = max(2 * dt, trained + dt) if config.max_observation_age_s is None else config.max_observation_age_s
    timeout = 2.5 * age if config.timeout_s is None else config.timeout_s
    if not 0 < age <= timeout < math.inf:
        raise SafetyError(
            f"max_observation_age_s = {age} and timeout_s = {timeout}: expected 0 < max_observation_age_s <= timeout_s"
        )
    return age, timeout


def _limits(given: Mapping[str, Range], contract: Contract, keeps: NDArray[np.bool_]) -> tuple[Vector, Vector]:
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    for name, (least, most) in given.items():
        i = _index("action_limits", name, contract.action)
        if not low[i] <= least <= most <= high[i]:
            raise SafetyError(
                f"action_limits[{name!r}] = [{least}, {most}] has to lie within the contract's [{low[i]}, {high[i]}]"
            )
        if not keeps[i] and not least <= 0 <= most:
            raise SafetyError(
                f"action_limits[{name!r}] = [{least}, {most}] excludes zero: this action is a motion "
                f"({contract.action_elements[i].kind or 'of no named kind'}), and the robot could never stop"
            )
        low[i], high[i] = least, most
    if not np.isfinite(high - low).all():
        raise SafetyError(f"the action's limits {low.tolist()} to {high.tolist()} are too wide to compute with")
    return low, high


def _rates(given: Mapping[str, float], contract: Contract) -> Vector:
    rate = np.array(contract.rate_limit)
    for name, value in given.items():
        i = _index("rate_limits", name, contract.action)
        if not 0 < value <= rate[i]:
            raise SafetyError(
                f"rate_limits[{name!r}] = {value} has to be positive and at most the contract's {rate[i]}"
            )
        rate[i] = value
    return rate


def _ranges(setting: str, given: Mapping[str, Range], names: Sequence[str], widest: float) -> tuple[Vector, Vector]:
    low, high = np.full(len(names), -widest), np.full(len(names), widest)
    for name, (least, most) in given.items():
        i = _index(setting, name, names)
        if not least <= most:
            raise SafetyError(f"{setting}[{name!r}] = [{least}, {most}]: the first has to be at most the second")
        low[i], high[i] = max(least, -widest), min(most, widest)
    return low, high


def _seen_ranges(margin: float | None, contract: Contract) -> dict[str, Range]:
    if margin is None:
        return {}
    if not 0 <= margin < math.inf:
        raise SafetyError(f"seen_margin has to be 0 or more, got {margin}")
    if not contract.seen:
        raise SafetyError("seen_margin needs the ranges of an evaluation, and the bundle was exported without one")
    widths = {name: margin * max(high - low, 1e-3) for name, (low, high) in contract.seen.items()}
    return {name: (low - widths[name], high + widths[name]) for name, (low, high) in contract.seen.items()}


def _measured(given: Mapping[str, str], contract: Contract, keeps: NDArray[np.bool_]) -> NDArray[np.int64]:
    measured = np.full(len(contract.action), -1, np.int64)
    for name, reading in given.items():
        i = _index("measured_positions", name, contract.action)
        _check_is_position("measured_positions", name, keeps[i])
        measured[i] = _index(f"measured_positions[{name!r}]", reading, contract.readings)
    for i in np.flatnonzero(keeps & (measured < 0)).tolist():
        name = contract.action[i]
        if name not in contract.readings:
            raise SafetyError(
                f"the action {name!r} is a position target ({contract.action_elements[i].kind}), so the filter has to "
                f"start from the measured position; name its reading: measured_positions = {{{name!r}: READING}}. "
                f"Readings: {', '.join(contract.readings)}"
            )
        measured[i] = contract.readings.index(name)
    return measured


def _leads(given: Mapping[str, float], contract: Contract, keeps: NDArray[np.bool_]) -> Vector:
    lead = np.full(len(contract.action), math.inf)
    for name, value in given.items():
        i = _index("max_lead", name, contract.action)
        _check_is_position("max_lead", name, keeps[i])
        if not value > 0:
            raise SafetyError(f"max_lead[{name!r}] has to be positive, got {value}")
        lead[i] = value
    return lead


def _check_is_position(setting: str, name: str, is_position: Any) -> None:
    if not is_position:
        raise SafetyError(
            f"{setting}[{name!r}]: this action is a motion, only position targets have a measured position"
        )


def _index(setting: str, name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise SafetyError(f"{setting}: {unknown('element', name, names)}")
    return names.index(name)
