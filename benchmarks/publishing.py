"""What every benchmark does with its figures: says how they were made, writes them to a file, prints them as a line."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from sim2real.folders import write_text
from sim2real.provenance import provenance

ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> dict[str, Any] | None:
    """The figures in ``results/NAME.json``, or None where they were not measured yet."""
    path = ROOT / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def command_line() -> str:
    """The command as it was given, the script's path seen from the repository."""
    script = Path(sys.argv[0])
    inside = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script
    return shlex.join(["python", str(inside), *sys.argv[1:]])


def described(figures: Mapping[str, Any]) -> dict[str, Any]:
    """``figures`` with the command before them, and the load of the machine, versions, commit and machine after."""
    return {"command": command_line(), **figures, "load_average": os.getloadavg()[0], **provenance()}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace a file in one step; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def publish(benchmark: str, figures: Mapping[str, Any], out: Path | None, *, unprinted: Collection[str] = ()) -> None:
    """Write the figures to ``out`` (None: a short form, not worth keeping) and print them as one JSON object.

    Args:
        benchmark: what was measured.
        figures: what came out.
        out: file for them.
        unprinted: keys that are too long for a line; the file has them.
    """
    result = {"benchmark": benchmark, **described(figures)}
    if out is not None:
        write_json(out, result)
    print(json.dumps({key: value for key, value in result.items() if key not in unprinted}))
