"""The packaging of the checkout: each folder of modules is named in pyproject.toml once, each dependency is pinned."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

import sim2real

from .test_imports import ROS, imported

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
FOLDERS = {"sim2real": "sim2real", **SETUPTOOLS["package-dir"]}


def test_every_package_is_listed() -> None:
    found = set()
    for name, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(ROOT / folder).parts
            if folder == "sim2real" and inner and (ROOT / folder / inner[0]).is_symlink():
                continue
            found.add(".".join((name, *inner)))
    assert sorted(found) == sorted(SETUPTOOLS["packages"])


@pytest.mark.parametrize(("name", "folder"), sorted(SETUPTOOLS["package-dir"].items()))
def test_link_points_at_its_folder(name: str, folder: str) -> None:
    link = ROOT.joinpath(*name.split("."))
    if not link.is_symlink():
        pytest.skip("this checkout has no symbolic links")
    assert link.resolve() == ROOT / folder


def test_every_data_file_is_matched_by_a_glob() -> None:
    """A file that no glob matches is there in the checkout and missing in the wheel."""
    matched = {
        file
        for package, globs in SETUPTOOLS["package-data"].items()
        for pattern in globs
        for file in (ROOT / FOLDERS[package]).glob(pattern)
    }
    folders = [ROOT / folder for folder in FOLDERS.values()]
    files = {file for folder in folders for file in folder.rglob("*") if file.is_file() and folder.is_dir()}
    data = {file for file in files if file.suffix not in (".py", ".pyc")}
    assert {file.resolve() for file in data} == {file.resolve() for file in matched}


def test_the_version_is_the_same_in_both_places() -> None:
    assert PYPROJECT["project"]["version"] == sim2real.__version__


def test_every_import_is_declared() -> None:
    """What is only there because something else needs it can be gone with the next release of that."""
    named_otherwise = {"yaml": "pyyaml", "PIL": "pillow"}
    project = PYPROJECT["project"]
    declared = {
        name(requirement)
        for group in (project["dependencies"], *project["optional-dependencies"].values())
        for requirement in group
    }
    files = [file for folder in FOLDERS.values() for file in (ROOT / folder).rglob("*.py")]
    roots = {
        module.partition(".")[0]
        for file in files
        for module in imported(file.read_text(encoding="utf-8"), "sim2real.x")
        if not module.startswith("sim2real")
    }
    third_party = roots - set(sys.stdlib_module_names) - ROS
    assert {named_otherwise.get(root, name(root)) for root in third_party} <= declared


def name(requirement: str) -> str:
    """Normalised name of the distribution in a requirement such as ``torch>=2.8``."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def test_constraints_pin_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {name(line) for line in lines if line and not line.startswith("#")}
    project = PYPROJECT["project"]
    asked = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    assert {name(requirement) for requirement in asked} <= pins
    # A local version ("+cpu") would not be found on a package index.
    assert [line for line in lines if line.startswith("torch==")] == ["torch==2.13.0"]
