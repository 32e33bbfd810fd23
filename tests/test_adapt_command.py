from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim2real.adapt_command import summary
from sim2real.cli import main
from sim2real.scores import Scores


def test_the_gain_is_paired() -> None:
    before = np.array([-50.0, -30.0])
    scores = Scores({"step_0": {"return": before}, "step_1": {"return": before * 0}, "step_2": {"return": before + 10}})
    assert summary(scores) == (
        "return before adaptation (step_0): -40.0; after (step_2): -30.0; gain +10.0 [10.0, 10.0] over 2 tasks"
    )


def test_one_task_has_no_interval() -> None:
    scores = Scores({"step_0": {"return": np.array([-50.0])}, "step_1": {"return": np.array([-20.0])}})
    assert summary(scores).endswith("after (step_1): -20.0; gain +30.0 in one task")
    assert scores.table().splitlines()[1].split() == ["step_0", "1", "-50.0"]


def test_runs_of_other_domains_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("algorithm: rdpg\n")
    assert main(["adapt", str(tmp_path)]) == 2
    assert "maml_nav2d" in capsys.readouterr().err
