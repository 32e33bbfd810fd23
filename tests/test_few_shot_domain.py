"""Few-shot learners through the commands, and what their domain promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import sim2real.few_shot_domain as few_shot
from sim2real.cli import main
from sim2real.commands import resolve
from sim2real.config import ConfigError, build
from sim2real.domains import domain
from sim2real.envs.omniglot import Part
from sim2real.few_shot_domain import FewShotConfig, make_source
from sim2real.runs import load_policy
from tests.envs.characters import toy

SMALL = ["trainer.total_samples=200", "trainer.eval_every=100", "trainer.eval_episodes=20", "agent.hidden=[8]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few_shot") / "run"
    sets = [option for text in [*SMALL, "agent.meta_batch=5"] for option in ("--set", text)]
    assert main(["train", "maml_sinusoid", "--run-dir", str(folder), "--device", "cpu", *sets]) == 0
    return folder


def test_evaluate_gives_every_step_and_number_of_shots(run: Path, tmp_path: Path) -> None:
    assert main(["evaluate", str(run), "--episodes", "30", "--seed", "7", "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert {row["setting"] for row in rows} == {f"step_{k}" for k in range(11)}
    assert {row["metric"] for row in rows} == {"error", "error_10_shot", "error_20_shot"}
    assert all(row["n"] == 30 and row["low"] < row["value"] < row["high"] for row in rows)


def test_the_report_shows_adapted_sinusoids(run: Path) -> None:
    assert main(["report", str(run), "--episodes", "20", "--seed", "7"]) == 0
    page = (run / "report.html").read_text()
    assert "Adapted sinusoids" in page and page.count("an unseen sinusoid") >= 3


def test_a_measurement_depends_on_its_seed_alone(run: Path) -> None:
    policy, meta = load_policy(run)
    measure = domain("few_shot").measure
    assert measure is not None
    first, again, other = (measure(policy, meta, episodes=60, seed=seed).rows() for seed in (7, 7, 8))
    assert first == again != other


def test_training_is_scored_on_the_same_tasks_every_time(run: Path) -> None:
    policy, _ = load_policy(run)
    scores = domain("few_shot").training_scores(resolve("maml_sinusoid", ["trainer.eval_episodes=30"]))
    first = scores(policy)
    assert first == scores(policy)
    assert first["score"] == -first["error"] < 0


def test_parts_have_different_tasks() -> None:
    env = FewShotConfig()
    batches = [
        make_source(env, part, ways=5, shots=5, queries=5, seed=3).sample(4).parameters
        for part in ("train", "validation", "test")
    ]
    assert not any(torch.equal(batches[i], batches[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_drawings_are_distorted_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_shot, "load_characters", lambda data, download: toy())

    def different(part: Part) -> bool:
        plain, distorted = (
            make_source(env, part, ways=2, shots=2, queries=2, seed=3).sample(1).support.inputs
            for env in (FewShotConfig(tasks="omniglot", split="lake", distortion=strength) for strength in (0.0, 1.0))
        )
        return not torch.equal(plain, distorted)

    assert different("train") and not different("validation") and not different("test")


def test_a_metric_counts_the_first_number_of_shots() -> None:
    measure = domain("few_shot").measure
    assert measure is not None
    policy = _perfect()
    env = {"tasks": "sinusoid", "eval_shots": [3, 4], "eval_queries": 2, "reveal": True}
    values = measure(policy, {"env": env}, episodes=5, seed=1).values
    assert list(values["error"]) == ["error", "error_4_shot"]
    assert all(float(np.max(v)) < 1e-9 for v in values["error"].values())


def _perfect() -> Any:
    """An oracle that computes A sin(x - phi)."""

    class Perfect(torch.nn.Module):
        def adapt(self, support: Any) -> Perfect:
            return self

        def predict(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"adapted": inputs[..., 1:2] * torch.sin(inputs[..., :1] - inputs[..., 2:])}

    return Perfect()


@pytest.mark.parametrize(
    "wrong", [{"shots": 0}, {"ways": 1}, {"eval_shots": [0]}, {"tasks": "mnist"}, {"split": "mine"}]
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        build(FewShotConfig, wrong)
