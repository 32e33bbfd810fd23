"""What a run says about itself: ``metrics.jsonl`` always, TensorBoard where it is installed."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sim2real.folders import write_text
from sim2real.types import Metrics

FILE = "metrics.jsonl"


class Means:
    """Means of metrics since the last fetch. Tensors are summed where they are, so a GPU is waited for once a row."""

    def __init__(self) -> None:
        self._sums: dict[str, Any] = {}
        self._counts: dict[str, int] = {}

    def add(self, metrics: Metrics) -> None:
        """Numbers, or tensors with one element."""
        for name, value in metrics.items():
            number = value.detach().reshape(()) if isinstance(value, torch.Tensor) else float(value)
            self._sums[name] = self._sums[name] + number if name in self._sums else number
            self._counts[name] = self._counts.get(name, 0) + 1

    def fetch(self) -> dict[str, float]:
        """The mean of each metric over the times it was added; then starts anew."""
        sums = dict(self._sums)
        tensors = {name: x for name, x in sums.items() if isinstance(x, torch.Tensor)}
        for device in {x.device for x in tensors.values()}:  # of collecting and of learning
            there = {name: x.float() for name, x in tensors.items() if x.device == device}
            sums |= dict(zip(there, torch.stack(list(there.values())).tolist(), strict=True))
        means = {name: float(total) / self._counts[name] for name, total in sums.items()}
        self._sums, self._counts = {}, {}
        return means


class MetricsLog:
    """Rows of numbers in ``run_dir/metrics.jsonl``, one JSON object a line with ``samples`` and ``seconds``.

    Opening it drops the rows beyond ``samples``: those that a killed run wrote after its last checkpoint.
    """

    def __init__(self, run_dir: Path, samples: int) -> None:
        path = run_dir / FILE
        _drop_rows_beyond(path, samples)
        self._file = path.open("a", encoding="utf-8")
        self._board = _tensorboard(run_dir, samples)

    def write(self, samples: int, seconds: float, metrics: Mapping[str, float]) -> None:
        """One row; a number that is not finite becomes null, which JSON has."""
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        row = {"samples": samples, "seconds": round(seconds, 3), **finite}
        self._file.write(json.dumps(row, allow_nan=False) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, samples)

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """The rows of a run, in their order; a last line cut short by a kill is left out."""
    path = run_dir / FILE
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _drop_rows_beyond(path: Path, samples: int) -> None:
    if not path.exists():
        return
    rows = [row for row in read_metrics(path.parent) if row["samples"] <= samples]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def _tensorboard(run_dir: Path, samples: int) -> Any:
    """TensorBoard's writer, or None where it is not installed (the extra ``track``)."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    # purge_step hides what a killed run wrote beyond its checkpoint.
    return SummaryWriter(str(run_dir / "tensorboard"), purge_step=samples + 1)
