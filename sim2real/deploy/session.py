"""One run of a policy on one robot: episodes where the robot has them, the report, the exit code."""

from __future__ import annotations

import json
import math
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sim2real.deploy.loop import ControlLoop
from sim2real.deploy.replay_robot import LogReplayRobot
from sim2real.deploy.robot import EpisodicRobot, Robot
from sim2real.deploy.ros2_robot import Ros2Robot
from sim2real.deploy.safety import SafetyFilter
from sim2real.deploy.safety_config import concerns
from sim2real.deploy.sim_robot import SimRobot
from sim2real.deploy.step_log import StepLog

SIM_EPISODES = 10
"""Episodes of a simulated robot where nothing says how long."""
PATIENCE = 30.0
"""How long a real robot may take to give its first usable reading (in seconds)."""


@dataclass
class Session:
    """What to run and what to write; `run` does it once."""

    safety: SafetyFilter
    steps: int | None = None
    """Control steps; None: until the end of the episodes or the recording, else until somebody stops it."""
    episodes: int | None = None
    """Of a simulated robot; None: `SIM_EPISODES`, or as many as fit into ``steps``."""
    realtime: bool = False
    """Whether a simulated or recorded robot is paced by the wall clock; any other is."""
    dry_run: bool = False
    log: Path | None = None
    summary: Path | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    """What the summary and the head of the log begin with: bundle, backend, robot."""

    def run(self, robot: Robot) -> int:
        """Run, print the report, return the exit code: 0, 1 after a latch or a failed replay, 130 when interrupted."""
        simulated = isinstance(robot, SimRobot | LogReplayRobot)
        log = StepLog(self.log, self.safety.contract, **self.about, dry_run=self.dry_run) if self.log else None
        loop = ControlLoop(
            robot,
            self.safety,
            dry_run=self.dry_run,
            log=log,
            watched=self.realtime or not simulated,
            patience=math.inf if simulated else PATIENCE,
            tell=lambda text: print(text, file=sys.stderr, flush=True),
        )
        try:
            facts, failed = self._run(loop, robot)
        finally:
            if log:
                log.close()
        # A recording has a clock of its own, so nothing is late by it.
        paced = (isinstance(robot, SimRobot) and self.realtime) or not simulated
        report = self._report(loop, facts, paced=paced)
        if self.summary:
            self.summary.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        return 130 if loop.stopped else int(failed or loop.latches > 0)

    def _run(self, loop: ControlLoop, robot: Robot) -> tuple[dict[str, Any], bool]:
        """Results of the kind of robot, for the summary, and whether they are bad."""
        if isinstance(robot, SimRobot):
            return self._simulate(loop, robot), False
        if isinstance(robot, LogReplayRobot):
            return self._replay(loop, robot)
        print(self.safety.describe(), flush=True)
        for line in concerns(self.safety.config, self.safety.contract):
            print(f"note: {line}", file=sys.stderr, flush=True)
        if isinstance(robot, EpisodicRobot):
            self._episodes(loop, robot, self.episodes or math.inf, lambda: None)
            return {}, False
        remote = isinstance(robot, Ros2Robot)
        if isinstance(robot, Ros2Robot):
            robot.offer(stop=self.safety.stop, rearm=self.safety.rearm)
        loop.run(self._most_steps(), past_latch=remote)
        return {}, False

    def _simulate(self, loop: ControlLoop, robot: SimRobot) -> dict[str, Any]:
        outcomes: list[dict[str, Any]] = []
        most = self.episodes or (math.inf if self.steps else SIM_EPISODES)
        of = f"/{most}" if most < math.inf else ""

        def ended() -> None:
            outcome, why = robot.outcome, f" (latched: {loop.latched})" if loop.latched else ""
            word = {True: "success", False: "failure", None: "ended"}[outcome.success]
            where = f"return {outcome.episode_return:g}"
            if outcome.distance is not None:
                where = f"{100 * outcome.distance:.1f} cm from the goal"
            outcomes.append(asdict(outcome))
            print(f"episode {len(outcomes):4d}{of}: {word}, {where}{why}", flush=True)

        self._episodes(loop, robot, most, ended)
        judged = [outcome["success"] for outcome in outcomes if outcome["success"] is not None]
        if judged:
            print(f"success {sum(judged)}/{len(judged)} = {sum(judged) / len(judged):.3f}")
        return {"episodes": outcomes}

    def _replay(self, loop: ControlLoop, robot: LogReplayRobot) -> tuple[dict[str, Any], bool]:
        self._episodes(loop, robot, math.inf, lambda: None, self.steps or robot.length)
        facts = {"compared": robot.compared, "largest_difference": robot.worst}
        if not robot.compared:
            return facts, False
        tolerance = self.safety.contract.tolerance
        print(
            f"{robot.compared} commands compared with the recorded ones: largest difference {robot.worst:.1e} of the "
            f"action's scale" + (f", allowed are {tolerance:.0e}" if robot.golden else "")
        )
        return facts, robot.golden and not robot.worst <= tolerance

    def _episodes(
        self,
        loop: ControlLoop,
        robot: EpisodicRobot,
        most: float,
        ended: Callable[[], None],
        steps: float | None = None,
    ) -> None:
        """Run episodes until there were ``most``, or the steps are used up, or somebody stops the loop. Each begins
        with an armed filter: whoever sets the world up anew has looked at it."""
        left, done = steps or self._most_steps(), 0
        while left > 0 and done < most and not loop.stopped:
            robot.begin()
            self.safety.rearm()
            left -= loop.run(left, until=lambda: robot.over, past_latch=True)
            done += 1
            if robot.over:
                ended()

    def _most_steps(self) -> float:
        return self.steps or math.inf

    def _report(self, loop: ControlLoop, facts: Mapping[str, Any], *, paced: bool) -> dict[str, Any]:
        """Print how the loop went; the same as JSON data."""
        work, late = loop.work.summary(), loop.late.summary()
        period = 1000 * self.safety.contract.control_dt
        if loop.steps:
            print(f"{loop.steps} steps of {period:g} ms; work {_percentiles(work)}; {loop.work.overruns} overruns")
        if loop.steps and paced:
            print(f"began late by {_percentiles(late)}; {loop.skipped} periods skipped")
        found = dict(loop.reasons.most_common())
        if found:
            print("filter: " + ", ".join(f"{name} {count}" for name, count in found.items()))
        for warning in (loop.work.warning(), f"latched: {loop.latched}" if loop.latched else ""):
            if warning:
                print(warning, file=sys.stderr)
        return {
            **self.about,
            "dry_run": self.dry_run,
            "realtime": paced,
            "control_dt": self.safety.contract.control_dt,
            **facts,
            "work": work,
            "late": late if paced else None,
            "skipped": loop.skipped,
            "watchdog_holds": loop.watchdog_holds,
            "reasons": found,
            "latches": loop.latches,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        }


def _percentiles(times: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {times[f'{name}_ms']:.3f} ms" for name in ("p50", "p95", "p99"))
