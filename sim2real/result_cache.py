"""Results of expensive jobs in a file, one JSON line each, written the moment they are there.

A kill loses what was being computed and nothing else: a line that was cut off is dropped when the file is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim2real.folders import write_text

Numbers = dict[str, float]


class ResultCache:
    """Description of a job (JSON-ready) -> its numbers."""

    def __init__(self) -> None:
        self._results: dict[str, Numbers] = {}
        self._file: Path | None = None

    def __len__(self) -> int:
        return len(self._results)

    def open(self, file: Path) -> None:
        """Take in what ``file`` holds, and keep all further results there. Raises ``ValueError`` for another file."""
        if file.exists():
            kept = [line for line in file.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
            for line in kept:
                entry = json.loads(line)
                self._results[_key(entry["job"])] = entry["result"]
            write_text(file, "".join(kept))
        self._file = file

    def get(self, job: Mapping[str, Any]) -> Numbers | None:
        """The result of a job, None where there is none yet."""
        return self._results.get(_key(job))

    def put(self, job: Mapping[str, Any], result: Numbers) -> None:
        """Remember a result, in the file too."""
        self._results[_key(job)] = result
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"job": job, "result": result}, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())


def _key(job: Mapping[str, Any]) -> str:
    return json.dumps(job, sort_keys=True)
