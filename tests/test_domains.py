"""A domain that is not robot tasks goes through `train`, `evaluate` and `report` like any other."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sim2real.agents import AGENTS, AgentEntry
from sim2real.cli import main
from sim2real.config import ExperimentConfig
from sim2real.domains import NAMES, Domain, domain
from sim2real.report import section
from sim2real.scores import Scores
from sim2real.types import Metrics, State


@dataclass(frozen=True)
class GuessEnv:
    low: float = 0.0


@dataclass(frozen=True)
class GuessSpec:
    name: str
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True)
class GuesserConfig:
    rate: float = 0.5


class Guess(nn.Module):
    def __init__(self, config: GuesserConfig, spec: GuessSpec) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))


class Guesser:
    """Moves its guess towards 1; a sample is a guess."""

    def __init__(self, config: GuesserConfig, source: Any, *, seed: int, device: str) -> None:
        self.config, self._policy = config, Guess(config, source.task)

    @property
    def policy(self) -> Guess:
        return self._policy

    def collect(self) -> tuple[int, Metrics]:
        return 1, {}

    def update(self) -> Metrics:
        with torch.no_grad():
            self.policy.value.lerp_(torch.ones(()), self.config.rate)
        return {"loss/guess": 1 - self.policy.value.detach()}

    def state_dict(self) -> State:
        return {"policy": self.policy.state_dict()}

    def load_state_dict(self, state: State) -> None:
        self.policy.load_state_dict(state["policy"])


def measure(policy: Any, meta: Mapping[str, Any], *, episodes: int, seed: int) -> Scores:
    tasks = np.random.default_rng(seed).uniform(meta["env"]["low"], 1, episodes)
    return Scores({f"step_{k}": {"closeness": -np.abs(tasks - k * policy.value.item())} for k in (0, 1)})


def training_scores(config: ExperimentConfig) -> Any:
    return lambda policy: {"closeness": policy.value.item()}


TOY = Domain(
    env=GuessEnv,
    score="closeness",
    unit="guesses",
    describe=lambda env: f"numbers above {env.low}",
    source=lambda config: SimpleNamespace(task=GuessSpec("guess", (config.env.low, 1.0))),
    training_scores=training_scores,
    episodes=7,
    measure=measure,
    figures=lambda policy, meta, seed: [section("Own figure", f"<p>{meta['task']['bounds']}</p>")],
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A short run of the toy domain."""
    module = ModuleType("sim2real.toy_domain")
    module.DOMAIN = TOY  # type: ignore[attr-defined]  # what a module of that name would define
    monkeypatch.setitem(sys.modules, "sim2real.toy_domain", module)
    monkeypatch.setitem(AGENTS, "guesser", AgentEntry(GuesserConfig, Guesser, Guess, "toy", GuessSpec))
    monkeypatch.setattr("sim2real.metrics._tensorboard", lambda run_dir, samples: None)
    monkeypatch.chdir(tmp_path)
    overlay = {"algorithm": "guesser", "env": {"low": 0.5}, "trainer": {"total_samples": 4, "eval_every": 2}}
    (tmp_path / "guess.yaml").write_text(json.dumps(overlay))
    assert main(["train", "guess.yaml", "--run-dir", "run"]) == 0
    return Path("run")


def test_training_evaluation_and_report(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--json", "out.json", "--seed", "3"]) == 0
    assert "closeness [95 %]" in capsys.readouterr().out
    content = json.loads(Path("out.json").read_text())
    assert [(row["setting"], row["n"]) for row in content["rows"]] == [("step_0", 7), ("step_1", 7)]
    assert content["episodes"] == 7
    # The guess is 1 - 1/2^4, the tasks lie above 0.5: after a step it is nearer.
    assert content["rows"][1]["value"] > content["rows"][0]["value"]
    assert main(["report", str(run), "--episodes", "9"]) == 0
    page = (run / "report.html").read_text()
    assert all(text in page for text in ("4 guesses", "Own figure", "[0.5, 1.0]", "step 1"))


def test_wrong_keys_are_named_with_the_domains_own(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "guess.yaml", "--run-dir", "other", "--set", "env.lwo=1"]) == 2
    assert "low" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["evaluate", "run", "--dynamics", "train"], "--dynamics is for policies of robot tasks"),
        (["report", "run", "--dynamics", "train"], "--dynamics is for policies of robot tasks"),
        (["export", "run", "--out", "bundle"], "run holds no policy for a robot task"),
        (["record", "run"], "run holds no policy for a robot task"),
        (["transfer", "run"], "run holds no policy for a robot task"),
        (["probe", "run"], "run holds no policy for a robot task"),
    ],
)
def test_what_is_for_robots_only_says_so(
    run: Path, command: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_every_domain_has_learners_and_says_what_it_needs(name: str) -> None:
    found = domain(name)
    assert any(entry.domain == name for entry in AGENTS.values())
    assert isinstance(found.describe(found.env()), str)
    assert (found.measure is None) == (name == "goals")
