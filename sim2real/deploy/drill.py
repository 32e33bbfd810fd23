"""Does the safety filter do its work? Every fault in turn, in closed loop on a simulated robot.

The drill watches the commands on their way to the robot, not what the filter says about them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.contract import Contract
from sim2real.deploy.faults import ONSET, Fault, FaultyRobot, FaultyRunner
from sim2real.deploy.loop import WATCHDOG_PERIODS
from sim2real.deploy.reasons import HOLDS
from sim2real.deploy.robot import EpisodicRobot
from sim2real.deploy.safety import Decision, PolicyRunner, SafetyConfig, SafetyFilter
from sim2real.deploy.timing import Schedule


class DrillRobot(EpisodicRobot, Protocol):
    """A simulated robot whose episodes succeed or fail (`sim_robot.SimRobot`)."""

    @property
    def outcome(self) -> Any:
        """Of the episode so far; it has a ``success``."""


@dataclass
class _Tally:
    """What was sent under one fault."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    rate: NDArray[np.float64]
    commands: int = 0
    not_finite: int = 0
    worst_command: float = 0.0
    worst_step: float = 0.0
    episodes: int = 0
    successes: int = 0
    latched: int = 0
    to_hold: list[int] = field(default_factory=list)
    to_latch: list[int] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    before: NDArray[np.float64] | None = None

    def sent(self, command: NDArray[np.float64]) -> None:
        self.commands += 1
        if not np.isfinite(command).all():
            self.not_finite += 1
            self.worst_command = self.worst_step = math.inf
            return
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        self.worst_command = max(self.worst_command, float((np.abs(command - middle) / half).max()))
        if self.before is not None:
            self.worst_step = max(self.worst_step, float((np.abs(command - self.before) / self.rate).max()))
        self.before = command


def drill(
    runner: PolicyRunner,
    make_robot: Callable[[], DrillRobot],
    faults: Iterable[Fault],
    *,
    episodes: int,
    config: SafetyConfig,
    progress: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Run ``episodes`` under each fault; one row of JSON data for each.

    A row holds what was sent (``commands``, ``not_finite``, ``worst_command`` in units of the limits, ``worst_step`` in
    units of the rate limit, both at most 1), how often the model saw a number that is not finite (``model_saw_bad``),
    the shares of episodes in which the filter held and latched, the median number of control steps from the fault's
    onset to the first hold and to the latch (None: never), the share of successes, and the filter's findings.

    Args:
        runner: the policy, a `BundleRunner`.
        make_robot: a robot at the beginning of its sequence of episodes; called once a fault, so that all see the same.
        faults: which.
        episodes: for each fault.
        config: of the filter.
        progress: takes one line for each fault.
    """
    rows = []
    for fault in faults:
        row = _row(runner, make_robot(), fault, episodes, config)
        rows.append(row)
        progress(f"{fault.name}: worst command {row['worst_command']:.3f}, worst step {row['worst_step']:.3f}")
    return rows


def _row(runner: PolicyRunner, robot: DrillRobot, fault: Fault, episodes: int, config: SafetyConfig) -> dict[str, Any]:
    faulty = FaultyRobot(robot, fault, runner.bundle.contract.control_dt)
    watched = FaultyRunner(runner, faulty)
    tally: _Tally | None = None
    for _ in range(episodes):
        safety = SafetyFilter(watched, config)
        e = safety.envelope
        tally = tally or _Tally(e.low, e.high, e.rate)
        robot.begin()
        faulty.begin()
        tally.before = _standstill(safety)
        _episode(faulty, robot, safety, tally)
        tally.episodes += 1
        tally.successes += bool(robot.outcome.success)
        tally.latched += safety.latched
    assert tally is not None
    return _summary(fault, tally, watched.saw_bad)


def _episode(faulty: FaultyRobot, robot: DrillRobot, safety: SafetyFilter, tally: _Tally) -> None:
    schedule = Schedule(due := robot.now(), faulty.dt)
    hold = latch = -1
    while not robot.over:
        reading = faulty.read()
        decision = safety.step(reading, faulty.now())
        _send(robot, decision, safety.contract, tally)
        since = len(faulty.history) - 1 - ONSET
        if since >= 0:
            tally.reasons.update(str(reason) for reason in decision.reasons)
            hold = since if hold < 0 and not HOLDS.isdisjoint(decision.reasons) else hold
            latch = since if latch < 0 and decision.latched else latch
        _work(faulty, robot, safety, due, tally)
        robot.sleep_until(due := schedule.next(robot.now()))
    for steps, first in ((tally.to_hold, hold), (tally.to_latch, latch)):
        if first >= 0:
            steps.append(first)


def _send(robot: DrillRobot, decision: Decision, contract: Contract, tally: _Tally) -> None:
    if decision.may_send:
        tally.sent(decision.command)
        robot.write(dict(zip(contract.action, decision.command.tolist(), strict=True)))
    else:
        robot.hold()


def _work(faulty: FaultyRobot, robot: DrillRobot, safety: SafetyFilter, due: float, tally: _Tally) -> None:
    """Let the fault's time pass; the watchdog, which a simulated clock does not drive, holds the robot in between."""
    pause = faulty.fault.pause * faulty.dt if faulty.active else 0.0
    if pause > WATCHDOG_PERIODS * faulty.dt:
        robot.sleep_until(due + WATCHDOG_PERIODS * faulty.dt)
        robot.hold()
        safety.interrupted()
        tally.before = _standstill(safety)
    if pause:
        robot.sleep_until(due + pause)


def _standstill(safety: SafetyFilter) -> NDArray[np.float64] | None:
    """What a robot that stands still was last told; None where that depends on where it stands."""
    return None if safety.envelope.keeps.any() else safety.envelope.rest


def _summary(fault: Fault, tally: _Tally, saw_bad: int) -> dict[str, Any]:
    def median(steps: list[int]) -> float | None:
        return float(np.median(steps)) if steps else None

    return {
        "fault": fault.name,
        "what": fault.what,
        "episodes": tally.episodes,
        "commands": tally.commands,
        "not_finite": tally.not_finite,
        "worst_command": tally.worst_command,
        "worst_step": tally.worst_step,
        "model_saw_bad": saw_bad,
        "held": len(tally.to_hold) / tally.episodes,
        "latched": tally.latched / tally.episodes,
        "steps_to_hold": median(tally.to_hold),
        "steps_to_latch": median(tally.to_latch),
        "success": tally.successes / tally.episodes,
        "reasons": dict(tally.reasons.most_common()),
    }


def is_safe(row: Mapping[str, Any]) -> bool:
    """Whether everything that was sent under this fault was allowed."""
    return (
        not row["not_finite"] and not row["model_saw_bad"] and max(row["worst_command"], row["worst_step"]) <= 1 + 1e-9
    )


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as Markdown."""
    keys = (
        *("fault", "not_finite", "worst_command", "worst_step", "model_saw_bad"),
        *("held", "latched", "steps_to_hold", "steps_to_latch", "success"),
    )
    lines = [keys, ["---"] * len(keys), *([_cell(row[key]) for key in keys] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "never"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
