"""The one loop. It knows budgets, files and clocks; it knows nothing of environments, networks or losses."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

from sim2real.checkpoint import CheckpointError, load_state, save_state
from sim2real.config import TrainerConfig
from sim2real.folders import complete_directory
from sim2real.metrics import Means, MetricsLog
from sim2real.progress import ProgressReport, duration
from sim2real.types import Algorithm

Evaluate = Callable[[Any], Mapping[str, float]]


class RunFiles(Protocol):
    """What of the run directory only the caller can write: it knows how to describe a policy."""

    def save_policy(self, name: str, policy: Any, samples: int, scores: Mapping[str, float]) -> None:
        """Snapshot ``policy`` under ``name``, replacing the one before."""
        ...

    def record(self, samples: int, seconds: float) -> None:
        """Note how far the run has come."""
        ...


@dataclass
class Position:
    """How far a run has come; stored with every checkpoint."""

    samples: int = 0
    seconds: float = 0.0
    """Wall time of all sessions, evaluation included (in seconds)."""
    evaluated_at: int = -1
    """Samples at the last evaluation; -1 before the first."""
    best: float | None = None
    """Highest score of an evaluation."""
    best_at: int = 0
    """Samples of the policy that reached it."""


@dataclass(frozen=True)
class Outcome:
    """Why training stopped, and where."""

    reason: Literal["samples", "minutes", "signal"]
    position: Position
    signal: int = 0
    """Number of the signal, where that was the reason."""


class Trainer:
    """Drives an algorithm from the last checkpoint in ``run_dir`` to its budget.

    Args:
        evaluate: scores a policy in environments of its own, so that training goes on as if it had not happened.
        score: the number of an evaluation that decides which policy is the best one; higher is better.
    """

    def __init__(
        self,
        config: TrainerConfig,
        algorithm: Algorithm,
        evaluate: Evaluate,
        files: RunFiles,
        run_dir: Path,
        *,
        score: str = "success",
    ) -> None:
        self.config, self.algorithm, self.evaluate, self.files = config, algorithm, evaluate, files
        self.run_dir, self.score = run_dir, score
        self.position = Position()
        self._means = Means()
        self._signal = 0

    def run(self) -> Outcome:
        """Train to the budget, or until SIGINT or SIGTERM; either way the last thing written is a checkpoint."""
        resumed = self._load()
        max_seconds = None if self.config.max_minutes is None else self.config.max_minutes * 60
        self._begin = time.monotonic() - self.position.seconds
        self._log = MetricsLog(self.run_dir, self.position.samples)
        self._progress = ProgressReport(self.position.samples, self.config.total_samples, max_seconds)
        if resumed:
            self._progress.say(f"resuming {self.run_dir} at {self.position.samples:,} samples")
        try:
            with self._signals_stop_the_loop():
                while (reason := self._stop_reason()) is None:
                    self._iterate()
                return self._finish(reason)
        finally:
            self._progress.close()
            self._log.close()

    def _iterate(self) -> None:
        before = self.position.samples
        cost, metrics = self.algorithm.collect()
        self._means.add(metrics)
        self._means.add(self.algorithm.update())
        self.position.samples += cost
        if self._due(before, self.config.log_every):
            self._write_means()
        if self.config.eval_episodes and self._due(before, self.config.eval_every):
            self._evaluate()
        if self._due(before, self.config.save_every):
            self._save()
        self._progress.update(self.position.samples, self._seconds(), self._shown())

    def _due(self, before: int, every: int) -> bool:
        """Whether a multiple of ``every`` was passed in this iteration (batches need not divide it)."""
        return self.position.samples // every > before // every

    def _stop_reason(self) -> Literal["samples", "minutes", "signal"] | None:
        if self.position.samples >= self.config.total_samples:
            return "samples"
        if self._signal:
            return "signal"
        limit = self.config.max_minutes
        return "minutes" if limit is not None and self._seconds() >= limit * 60 else None

    def _evaluate(self) -> None:
        scores = dict(self.evaluate(self.algorithm.policy))
        position, score = self.position, scores.get(self.score, math.nan)
        position.evaluated_at = position.samples
        self._log.write(position.samples, self._seconds(), {f"eval/{name}": value for name, value in scores.items()})
        if not math.isfinite(score):
            self._progress.say(
                f"evaluation at {position.samples:,} samples: {self.score} is not finite (a task diverged), so this "
                "policy can't be the best one"
            )
            return
        # Of equals the later one: it has learned more.
        if position.best is None or score >= position.best:
            position.best, position.best_at = score, position.samples
            self.files.save_policy("policy", self.algorithm.policy, position.samples, scores)
        self._progress.say(f"evaluation at {position.samples:,} samples: {self.score} {score:.3f}")

    def _finish(self, reason: Literal["samples", "minutes", "signal"]) -> Outcome:
        if reason != "signal" and self.config.eval_episodes and self.position.evaluated_at != self.position.samples:
            self._evaluate()
        if self.position.best is None:
            self.files.save_policy("policy", self.algorithm.policy, self.position.samples, {})
        self.files.save_policy("policy_last", self.algorithm.policy, self.position.samples, {})
        self._save()
        self._progress.say(self._closing_line(reason))
        return Outcome(reason, self.position, self._signal)

    def _closing_line(self, reason: str) -> str:
        p, wall = self.position, duration(self.position.seconds)
        why = {"samples": "finished", "minutes": "out of time", "signal": "stopped on a signal"}[reason]
        best = "" if p.best is None else f"; best {self.score} {p.best:.3f} at {p.best_at:,} samples"
        return f"{why}: {p.samples:,} samples in {wall}{best}; saved in {self.run_dir}"

    def _save(self) -> None:
        self._write_means()
        self.position.seconds = self._seconds()
        state = {"trainer": asdict(self.position), "algorithm": self.algorithm.state_dict()}
        save_state(self.run_dir / "checkpoint", state)
        self.files.record(self.position.samples, self.position.seconds)

    def _load(self) -> bool:
        path = self.run_dir / "checkpoint"
        if complete_directory(path) is None:
            return False
        state = load_state(path)
        try:
            self.position = Position(**state["trainer"])
            self.algorithm.load_state_dict(state["algorithm"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{path} does not fit this algorithm ({error!r}); it may be from another version of sim2real: "
                "start anew in another --run-dir"
            ) from error
        return True

    def _write_means(self) -> None:
        means = self._means.fetch()
        if means:
            self._log.write(self.position.samples, self._seconds(), means)

    def _seconds(self) -> float:
        return time.monotonic() - self._begin

    def _shown(self) -> dict[str, float]:
        return {} if self.position.best is None else {f"best {self.score}": self.position.best}

    @contextlib.contextmanager
    def _signals_stop_the_loop(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the loop after the iteration in progress; a second one raises KeyboardInterrupt."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may set handlers
            return
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal:
            raise KeyboardInterrupt
        self._signal = number
        # print() may be in the middle of a line when a handler runs; os.write is safe.
        os.write(2, b"\nstopping after this iteration, then saving; once more stops at once, without saving\n")
