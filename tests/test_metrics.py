from __future__ import annotations

import builtins
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from sim2real.metrics import Means, MetricsLog, read_metrics


def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim2real.metrics.importlib.util.find_spec", lambda name: None)


def test_means_over_the_times_a_metric_was_there() -> None:
    means = Means()
    means.add({"loss": torch.tensor(1.0), "rate": 2})
    means.add({"loss": torch.tensor([4.0], requires_grad=True), "rate": 4.0})
    means.add({"loss": torch.tensor(4.0)})
    # loss (1 + 4 + 4) / 3; rate (2 + 4) / 2
    assert means.fetch() == {"loss": 3.0, "rate": 3.0}
    assert means.fetch() == {}


def test_tensors_are_fetched_once_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []
    tolist = torch.Tensor.tolist

    def counted(self: torch.Tensor) -> Any:
        fetched.append(1)
        return tolist(self)

    for name in ("item", "__float__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, lambda self: pytest.fail("a tensor was fetched by itself"))
    monkeypatch.setattr(torch.Tensor, "tolist", counted)
    means = Means()
    for i in range(5):
        means.add({f"loss/{k}": torch.tensor(float(i)) for k in range(3)})
    assert fetched == []
    assert means.fetch() == {"loss/0": 2.0, "loss/1": 2.0, "loss/2": 2.0}
    assert len(fetched) == 1


def test_rows_are_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_tensorboard(monkeypatch)
    log = MetricsLog(tmp_path, 0)
    log.write(10, 1.23456, {"loss": 0.5, "q": math.inf, "v": math.nan})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()  # on the disk before it is closed
    assert lines == ['{"samples": 10, "seconds": 1.235, "loss": 0.5, "q": null, "v": null}']
    log.close()


def test_opening_drops_what_lies_beyond_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_tensorboard(monkeypatch)
    rows = [{"samples": samples, "seconds": 0.1, "x": 0.1 + 0.2} for samples in (10, 20, 30)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"samples": 4')
    log = MetricsLog(tmp_path, 20)
    log.write(25, 0.2, {})
    log.close()
    assert read_metrics(tmp_path) == [*rows[:2], {"samples": 25, "seconds": 0.2}]


def test_a_new_run_starts_empty(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []


def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'track'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = MetricsLog(tmp_path, 0)
    log.write(10, 1.0, {"loss": 0.5})
    log.write(20, 2.0, {"loss": 0.25})
    log.close()
    log = MetricsLog(tmp_path, 10)  # resumed: the row at 20 never happened
    log.write(15, 2.0, {"loss": 0.75})
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(10, 0.5), (15, 0.75)]


def test_without_tensorboard_nothing_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_tensorboard(monkeypatch)
    imports: Any = builtins.__import__
    monkeypatch.setattr(
        builtins,
        "__import__",
        lambda name, *rest: pytest.fail(name) if "tensorboard" in name else imports(name, *rest),
    )
    log = MetricsLog(tmp_path, 0)
    log.write(1, 0.0, {"loss": 1.0})
    log.close()
    assert [f.name for f in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_tensors_of_two_devices_are_fetched_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A learner on the GPU whose episodes are played on the CPU; torch.stack takes no mixture."""
    stacked: list[int] = []
    stack = torch.stack

    def watched(tensors: list[torch.Tensor]) -> torch.Tensor:
        assert len({x.device for x in tensors}) == 1
        stacked.append(len(tensors))
        return stack([torch.zeros(()) if x.is_meta else x for x in tensors])

    means = Means()
    means.add({"collected": torch.tensor(3.0), "learned": torch.tensor(3.0, device="meta"), "more": torch.tensor(1.0)})
    monkeypatch.setattr(torch, "stack", watched)
    assert means.fetch() == {"collected": 3.0, "learned": 0.0, "more": 1.0}
    assert sorted(stacked) == [1, 2]
