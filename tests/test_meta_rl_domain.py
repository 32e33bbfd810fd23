from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sim2real.cli import main
from sim2real.config import ConfigError, ExperimentConfig, TrainerConfig, build
from sim2real.envs.families import FAMILIES
from sim2real.meta_rl_domain import DOMAIN, FamilyConfig, make_family

SMALL = [
    "--set",
    "agent.network.hidden=[8]",
    "--set",
    "agent.tasks=2",
    "--set",
    "agent.rollouts=3",
    "--set",
    "agent.test.rollouts=2",
    "--set",
    "env.options={horizon: 4}",
    "--set",
    "trainer.eval_episodes=2",
]


class Constant:
    """Meets every task with the sum of its numbers, and again with one more."""

    headline = "step_1"

    def meet(self, family: Any, tasks: torch.Tensor, generator: torch.Generator, *, episodes: int | None = None) -> Any:
        value = tasks.sum(-1)
        return {"step_0": {"return": value}, "step_1": {"return": value + (episodes or 1)}}


def test_the_test_tasks_depend_on_the_seed_alone() -> None:
    meta = {"env": {"family": "navigation"}}
    assert DOMAIN.measure is not None
    a, b, c = (DOMAIN.measure(Constant(), meta, episodes=5, seed=s) for s in (7, 7, 8))
    np.testing.assert_array_equal(a.values["step_0"]["return"], b.values["step_0"]["return"])
    assert not np.array_equal(a.values["step_0"]["return"], c.values["step_0"]["return"])
    assert a.rows()[1] | {"value": 0, "low": 0, "high": 0} == {
        "setting": "step_1",
        "metric": "return",
        "value": 0,
        "low": 0,
        "high": 0,
        "n": 5,
    }


def test_training_scores_name_the_headline_and_the_rest() -> None:
    config = ExperimentConfig(env=FamilyConfig(), trainer=TrainerConfig(eval_episodes=6))
    scores = DOMAIN.training_scores(config)(Constant())
    assert scores["return"] == pytest.approx(scores["return_step_0"] + 1)
    assert scores["return_step_1"] == scores["return"]


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"family": "navigatoin"}, "Did you mean 'navigation'"),
        ({"options": {"horizont": 3}}, "unknown key 'horizont'"),
        ({"options": {"horizon": 0}}, "at least 1"),
    ],
)
def test_wrong_families_and_options_are_refused(env: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(FamilyConfig, env, "env")


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_made_from_its_defaults(name: str) -> None:
    family = make_family(FamilyConfig(name))
    assert family.task.horizon >= 1 and len(family.sample(3, torch.Generator())) == 3


def test_a_family_is_made_with_its_options() -> None:
    assert make_family(FamilyConfig(options={"horizon": 7})).task.horizon == 7


def test_train_evaluate_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["train", "maml_nav2d", "--run-dir", str(run), "--total-samples", "100", *SMALL]) == 0
    assert main(["evaluate", str(run), "--seed", "7", "--episodes", "3", "--json", str(tmp_path / "a.json")]) == 0
    assert "step_3" in capsys.readouterr().out
    assert main(["report", str(run), "--episodes", "3"]) == 0
    assert (run / "report.html").is_file()
    rows = tmp_path / "adapt.json"
    assert main(["adapt", str(run), "--episodes", "2", "--tasks", "3", "--json", str(rows)]) == 0
    assert "gain" in capsys.readouterr().out
    assert [row["setting"] for row in json.loads(rows.read_text())["rows"]] == [f"step_{k}" for k in range(4)]
    bundle = str(tmp_path / "bundle")
    assert main(["adapt", str(run), "--tasks", "2", "--export", bundle]) == 2
    assert "leave --tasks 2 out, and choose the task by --seed" in capsys.readouterr().err
    assert main(["export", str(run), "--out", bundle]) == 2
    assert "only once it has met one: sim2real adapt RUN --export DIR" in capsys.readouterr().err
    assert main(["adapt", str(run), "--seed", "3", "--export", bundle]) == 0
    assert "the policy adapted to the task of seed 3" in capsys.readouterr().out
    assert main(["run", bundle, "--robot", "replay", "--steps", "8", "--backend", "numpy"]) == 0
