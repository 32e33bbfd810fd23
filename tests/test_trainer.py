from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2real.checkpoint import CheckpointError, load_state
from sim2real.config import TrainerConfig
from sim2real.metrics import read_metrics
from sim2real.trainer import Outcome, Trainer
from sim2real.types import Metrics, Policy, State

from .toy_algorithm import ToyAlgorithm, ToyFiles

CONFIG = TrainerConfig(total_samples=300, eval_every=50, eval_episodes=1, log_every=20, save_every=70)


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer takes longer than all the rest; tests/test_metrics.py covers it."""
    monkeypatch.setattr("sim2real.metrics._tensorboard", lambda run_dir, samples: None)


def never_solved(policy: Policy) -> dict[str, float]:
    return {"success": 0.0}


def train(
    folder: Path,
    total: int = 300,
    *,
    algorithm: ToyAlgorithm | None = None,
    evaluate: Any = never_solved,
    **changes: Any,
) -> tuple[ToyAlgorithm, ToyFiles, Outcome]:
    """Train the toy in ``folder`` up to ``total`` samples; a new process would do the same."""
    folder.mkdir(exist_ok=True)
    algorithm = algorithm or ToyAlgorithm(seed=0)
    files = ToyFiles(folder)
    config = TrainerConfig(**{**vars(CONFIG), "total_samples": total, **changes})
    outcome = Trainer(config, algorithm, evaluate, files, folder).run()
    return algorithm, files, outcome


def flat(state: State, path: str = "") -> dict[str, Any]:
    """Leaves by path; arrays and tensors as bytes, so that equality is bit for bit."""
    leaves: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, dict):
            leaves |= flat(value, f"{path}/{key}")
        elif isinstance(value, torch.Tensor):
            leaves[f"{path}/{key}"] = value.numpy().tobytes()
        else:
            leaves[f"{path}/{key}"] = value.tobytes() if isinstance(value, np.ndarray) else value
    return leaves


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path: Path) -> None:
    unbroken, *_ = train(tmp_path / "unbroken")
    train(tmp_path / "broken", 110)
    # The second session starts from another seed: everything has to come from the checkpoint.
    resumed, *_ = train(tmp_path / "broken", algorithm=ToyAlgorithm(seed=99))
    assert flat(resumed.state_dict()) == flat(unbroken.state_dict())
    assert unbroken.iterations == 30


@pytest.mark.parametrize("forgotten", ["numpy", "torch", "optimizer", "replay"])
def test_the_test_of_resuming_fails_if_something_is_forgotten(tmp_path: Path, forgotten: str) -> None:
    class Forgetful(ToyAlgorithm):
        def load_state_dict(self, state: State) -> None:
            super().load_state_dict({**state, forgotten: self.state_dict()[forgotten]})

    unbroken, *_ = train(tmp_path / "unbroken")
    train(tmp_path / "broken", 110)
    resumed, *_ = train(tmp_path / "broken", algorithm=Forgetful(seed=99))
    assert flat(resumed.state_dict()) != flat(unbroken.state_dict())


def test_evaluation_and_saving_do_not_disturb_training(tmp_path: Path) -> None:
    often, *_ = train(tmp_path / "often", eval_every=10, save_every=10, log_every=10)
    seldom, *_ = train(tmp_path / "seldom", eval_every=1000, save_every=1000, log_every=1000)
    assert flat(often.state_dict()) == flat(seldom.state_dict())


def test_everything_happens_when_its_interval_is_passed(tmp_path: Path) -> None:
    # 10 samples an iteration. save_every 65: 65, 130, 195 and 260 are passed at these; and once more at the end.
    _, files, outcome = train(tmp_path, save_every=65)
    assert [samples for samples, _ in files.recorded] == [70, 130, 200, 260, 300]
    rows = read_metrics(tmp_path)
    evaluated = [row["samples"] for row in rows if "eval/success" in row]
    assert evaluated == [50, 100, 150, 200, 250, 300]
    # log_every 20: every even iteration; and what is pending when a checkpoint is taken (70, 130).
    logged = [row["samples"] for row in rows if "loss" in row]
    assert logged == sorted([*range(20, 301, 20), 70, 130])
    assert (outcome.reason, outcome.position.samples) == ("samples", 300)


def test_the_last_evaluation_is_made_at_the_end_and_only_once(tmp_path: Path) -> None:
    def evaluations() -> list[int]:
        return [row["samples"] for row in read_metrics(tmp_path) if "eval/success" in row]

    train(tmp_path, 120)
    assert evaluations() == [50, 100, 120]
    train(tmp_path, 120)  # nothing left to do
    assert evaluations() == [50, 100, 120]


def test_the_best_policy_is_kept_and_of_equals_the_later(tmp_path: Path) -> None:
    scores = iter([0.2, 0.7, 0.5, 0.7, 0.1, 0.0])
    _, files, outcome = train(tmp_path, evaluate=lambda policy: {"success": next(scores)})
    assert [samples for name, samples in files.saved if name == "policy"] == [50, 100, 200]
    assert (outcome.position.best, outcome.position.best_at) == (0.7, 200)
    kept = json.loads((tmp_path / "policy" / "policy.json").read_text())
    assert kept == {"samples": 200, "eval": {"success": 0.7}}
    assert json.loads((tmp_path / "policy_last" / "policy.json").read_text())["samples"] == 300


def test_a_score_that_is_not_finite_is_never_the_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores: Any = iter([{}, {"success": 0.2}, {"success": float("nan")}, {"success": 0.1}])
    _, files, outcome = train(tmp_path, 200, evaluate=lambda policy: next(scores))
    assert [samples for name, samples in files.saved if name == "policy"] == [100]
    assert (outcome.position.best, outcome.position.best_at) == (0.2, 100)
    assert capsys.readouterr().out.count("success is not finite (a task diverged)") == 2


def test_the_best_score_survives_a_resume(tmp_path: Path) -> None:
    train(tmp_path, 100, evaluate=lambda policy: {"success": 0.9})
    _, files, _ = train(tmp_path, 200, evaluate=lambda policy: {"success": 0.8})
    assert ("policy", 200) not in files.saved


def test_without_evaluation_the_last_policy_is_there_for_export(tmp_path: Path) -> None:
    _, files, _ = train(tmp_path, 100, eval_episodes=0)
    assert files.saved == [("policy", 100), ("policy_last", 100)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops_after_the_iteration(tmp_path: Path, number: signal.Signals) -> None:
    class Interrupted(ToyAlgorithm):
        def update(self) -> Metrics:
            if self.iterations == 13:
                os.kill(os.getpid(), number)
            return super().update()

    handler = signal.getsignal(number)
    stopped, _, outcome = train(tmp_path, algorithm=Interrupted(seed=0))
    assert (outcome.reason, outcome.signal, outcome.position.samples) == ("signal", number, 130)
    assert flat(load_state(tmp_path / "checkpoint")["algorithm"]) == flat(stopped.state_dict())
    assert signal.getsignal(number) is handler
    # ... and the run goes on as if nothing had happened.
    resumed, *_ = train(tmp_path, algorithm=ToyAlgorithm(seed=5))
    unbroken, *_ = train(tmp_path / "unbroken")
    assert flat(resumed.state_dict()) == flat(unbroken.state_dict())


def test_a_second_signal_stops_at_once_and_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    class Interrupted(ToyAlgorithm):
        def update(self) -> Metrics:
            if self.iterations == 13:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
            return super().update()

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, algorithm=Interrupted(seed=0))
    assert load_state(tmp_path / "checkpoint")["trainer"]["samples"] == 70


def test_minutes_are_summed_over_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Slow(ToyAlgorithm):
        def collect(self) -> tuple[int, Metrics]:
            clock[0] += 6.0  # an iteration takes 6 s
            return super().collect()

    monkeypatch.setattr("sim2real.trainer.time.monotonic", lambda: clock[0])
    *_, first = train(tmp_path, 50, algorithm=Slow(seed=0))
    clock[0] = 5000.0  # the pause between the sessions does not count
    *_, second = train(tmp_path, algorithm=Slow(seed=0), max_minutes=1.0)
    # 5 iterations are 30 s; another 30 s are another 5.
    assert (first.position.seconds, second.position.seconds) == (30.0, 60.0)
    assert (second.reason, second.position.samples) == ("minutes", 100)


def test_rows_beyond_the_checkpoint_are_dropped_on_resume(tmp_path: Path) -> None:
    class Dies(ToyAlgorithm):
        def collect(self) -> tuple[int, Metrics]:
            if self.iterations == 19:
                raise MemoryError
            return super().collect()

    with pytest.raises(MemoryError):
        train(tmp_path, algorithm=Dies(seed=0))
    assert read_metrics(tmp_path)[-1]["samples"] == 180  # the checkpoint is at 140
    train(tmp_path)
    samples = [row["samples"] for row in read_metrics(tmp_path)]
    assert samples == sorted(samples)
    assert samples.count(160) == 1


def test_a_checkpoint_of_another_algorithm_is_a_clear_error(tmp_path: Path) -> None:
    class Other(ToyAlgorithm):
        def load_state_dict(self, state: State) -> None:
            super().load_state_dict({key: value for key, value in state.items() if key != "optimizer"})

    train(tmp_path, 100)
    with pytest.raises(CheckpointError, match=r"does not fit this algorithm \(KeyError\('optimizer'\)\)"):
        train(tmp_path, algorithm=Other(seed=0))
