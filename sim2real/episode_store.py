"""Episodes of an evaluation in a folder, written as they are computed: a kill loses little, and one policy more costs
its own episodes only.

What is found again was computed by the same program from the same policy: the name of a file is a digest of both.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sim2real.evaluate import Evaluation
from sim2real.folders import replaced_file
from sim2real.provenance import PACKAGES, version_of
from sim2real.types import TaskSpec

COLUMNS = tuple(f.name for f in dataclasses.fields(Evaluation) if f.name not in ("task", "seed"))


class EpisodeStore:
    """Description of a job (JSON-ready) -> its parts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, job: Mapping[str, Any], task: TaskSpec, seed: int) -> list[Evaluation] | None:
        """The parts of a job, None where they were not computed yet."""
        path = self._path(job)
        if not path.exists():
            return None
        with np.load(path) as stored:
            parts = len(stored.files) // len(COLUMNS)
            return [Evaluation(task, seed, **{c: stored[f"{k}_{c}"] for c in COLUMNS}) for k in range(parts)]

    def put(self, job: Mapping[str, Any], parts: Sequence[Evaluation]) -> None:
        """Keep the parts of a job."""
        path = self._path(job)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_file(path) as new, new.open("wb") as file:
            np.savez(file, **{f"{k}_{c}": getattr(part, c) for k, part in enumerate(parts) for c in COLUMNS})

    def _path(self, job: Mapping[str, Any]) -> Path:
        text = json.dumps({**job, "program": program()}, sort_keys=True)
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"


def digest(source: Path) -> str:
    """Of a file, or of the files directly in a folder, names included."""
    files = [source] if source.is_file() else sorted(path for path in source.iterdir() if path.is_file())
    return _digest((path.name, path) for path in files)


@functools.cache
def program() -> str:
    """Digest of this package's source and of the versions that its results depend on."""
    root = Path(__file__).resolve().parent
    found = (Path(folder) / name for folder, _, names in os.walk(root, followlinks=True) for name in names)
    sources = _digest((str(path.relative_to(root)), path) for path in sorted(found) if path.suffix == ".py")
    return json.dumps([sources, {name: version_of(name) for name in PACKAGES}])


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    total = hashlib.sha256()
    for name, path in files:
        total.update(f"{name}:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
