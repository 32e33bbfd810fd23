"""Directories and files that are replaced whole, or not at all.

A directory is written beside its place, flushed to the disk, and only then renamed over the one before. Whenever the
process is killed, one complete directory is found: the new one, or the one before.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from sim2real.errors import UserError


def check_replaceable(path: Path, names: Collection[str], what: str) -> None:
    """Raise ``UserError`` if ``path`` is a file, or a directory with more in it than the ``names`` of ``what``."""
    if path.is_file():
        raise UserError(f"--out {path} is a file; give a folder")
    others = sorted(file.name for file in path.iterdir() if file.name not in names) if path.is_dir() else []
    if others:
        raise UserError(f"--out {path} holds other things than {what} ({', '.join(others[:3])}); give a new folder")


@contextlib.contextmanager
def replaced_directory(path: Path) -> Iterator[Path]:
    """A new directory to fill; on leaving, it is on the disk and stands at ``path``. After an error nothing changed."""
    new, old = _beside(path, "new"), _beside(path, "old")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        for file in [*new.iterdir(), new]:
            _flush(file)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    # A directory can't be renamed over another one, so the old one steps aside first. Killed between the two renames,
    # `path` is missing and `old` is complete: complete_directory() finds it, and it stays until the next is in place.
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    new.rename(path)
    _flush(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def complete_directory(path: Path) -> Path | None:
    """Where the last directory that ``replaced_directory`` completed is: ``path``, or beside it after a kill."""
    return next((folder for folder in (path, _beside(path, "old")) if folder.is_dir()), None)


@contextlib.contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """A path to write to; on leaving, that file stands at ``path``. A kill leaves the old one or the new one."""
    new = _beside(path, "new")
    yield new
    os.replace(new, path)


def write_text(path: Path, text: str) -> None:
    """Replace a file in one step, so that a kill leaves the old or the new one."""
    with replaced_file(path) as new:
        new.write_text(text, encoding="utf-8")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
