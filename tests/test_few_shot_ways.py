"""Ways and shots at test that differ from those in training, and the export of a few-shot run from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import sim2real.few_shot_domain as few_shot
from sim2real.agents import AGENTS
from sim2real.cli import main
from sim2real.config import build, to_dict
from sim2real.errors import UserError
from sim2real.few_shot_domain import DOMAIN, FewShotConfig
from sim2real.few_shot_types import TaskSource
from tests.agents.clusters import Clusters

ENV = FewShotConfig(tasks="omniglot", ways=10, shots=1, queries=2, eval_ways=(3, 4), eval_shots=(1, 5), eval_queries=2)


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Clusters of pixels in place of Omniglot; the ways and shots that were asked for."""
    asked = []

    def source(env: FewShotConfig, part: str, *, ways: int, shots: int, queries: int, seed: int) -> TaskSource:
        asked.append((ways, shots))
        return Clusters((1, 16, 16), ways=ways, shots=shots, queries=queries, seed=seed)

    monkeypatch.setattr(few_shot, "make_source", source)
    return asked


def policy(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    config: Any = build(AGENTS[name].config, {"embedding": {"filters": 4}})
    return AGENTS[name].build_policy(config, Clusters((1, 16, 16), ways=10).task).eval()


def test_every_number_of_ways_with_every_number_of_shots(clusters: list[tuple[int, int]]) -> None:
    assert DOMAIN.measure is not None
    scores = DOMAIN.measure(policy("protonet"), {"env": to_dict(ENV)}, episodes=3, seed=1)
    assert clusters == [(3, 1), (3, 5), (4, 1), (4, 5)]
    names = ["accuracy", "accuracy_5_shot", "accuracy_4_way", "accuracy_4_way_5_shot"]
    assert list(scores.values["accuracy"]) == names
    assert all(scores.values["accuracy"][name].shape == (3,) for name in names)


def test_more_ways_than_a_learner_was_made_for_are_refused(clusters: list[tuple[int, int]]) -> None:
    meta = {"env": {**to_dict(ENV), "eval_ways": [20]}}
    assert DOMAIN.measure is not None
    DOMAIN.measure(policy("protonet"), meta, episodes=1, seed=1)
    with pytest.raises(
        UserError, match="eval_ways asks for 20 classes, and this learner is made for the 10 it is trai"
    ):
        DOMAIN.measure(policy("lstm_learner"), meta, episodes=1, seed=1)


def test_a_class_alone_is_no_task() -> None:
    with pytest.raises(ValueError, match=r"eval_ways have to be at least 2, got \[5, 1\]"):
        FewShotConfig(eval_ways=(5, 1))


def test_only_a_forward_pass_is_exported(
    clusters: list[tuple[int, int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript", reason="exporting needs sim2real[export]")
    command = ["--seed", "0", "--set", "trainer.total_samples=4", "trainer.eval_episodes=0", "env.eval_queries=2"]
    small = {"protonet": ["agent.embedding.filters=4", "env.ways=6"], "meta_lstm": ["agent.filters=4"]}
    for name, options in small.items():
        run = str(tmp_path / name)
        assert main(["train", f"{name}_omniglot_5w1s", "--run-dir", run, *command, *options]) == 0
    out = tmp_path / "predictor"
    assert main(["export", str(tmp_path / "protonet"), "--out", str(out)]) == 0
    assert sorted(file.name for file in out.iterdir()) == ["adapt.onnx", "predict.onnx", "predictor.json"]
    assert main(["export", str(tmp_path / "meta_lstm"), "--out", str(tmp_path / "other")]) == 2
    assert "meta_lstm adapts by gradient steps; what is exported is one forward pass" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
