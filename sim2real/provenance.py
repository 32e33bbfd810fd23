"""What decides a figure beside its configuration: versions, commit and machine. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import runpy
import subprocess
from pathlib import Path
from typing import Any

from sim2real import __version__

PACKAGES = ("torch", "mujoco", "gymnasium", "gymnasium-robotics", "numpy")
"""Distributions whose versions a run records."""


def provenance() -> dict[str, Any]:
    """``versions`` by package (None where it is not installed), ``commit`` and ``machine``, ready for JSON."""
    versions: dict[str, str | None] = {"sim2real": __version__, "python": platform.python_version()}
    versions |= {name.replace("-", "_"): version_of(name) for name in PACKAGES}
    machine = {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.platform()}
    return {"versions": versions, "commit": _commit(), "machine": machine}


def version_of(package: str) -> str | None:
    """Installed version of a distribution, without importing it; of torch with its build: 2.13.0+cpu, 2.13.0+cu130."""
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    return (_torch_build() or version) if package == "torch" else version


def _torch_build() -> str | None:
    """``torch.__version__``. Builds for GPUs leave their label out of the distribution's version."""
    spec = importlib.util.find_spec("torch")  # finds, does not import
    if spec is None or spec.origin is None:
        return None
    return str(runpy.run_path(str(Path(spec.origin).with_name("version.py")))["__version__"])


def _commit() -> str | None:
    """Commit of the checkout this package runs from, with "+" for local changes; None outside a checkout."""
    root = Path(__file__).resolve().parent.parent
    # Installed into an environment below somebody else's checkout, git would answer with their commit.
    if not (root / ".git").exists():
        return None
    here = ["git", "-C", str(root)]
    try:
        commit = subprocess.run([*here, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = [*here, "status", "--porcelain", "--untracked-files=no"]
        changes = subprocess.run(status, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changes else "")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
