from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest
import torch

from sim2real.provenance import version_of


def test_torch_is_named_with_its_build_where_the_distribution_leaves_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = torch.__version__.partition("+")[0]
    monkeypatch.setattr(importlib.metadata, "version", lambda package: bare)
    assert version_of("torch") == torch.__version__
    assert version_of("numpy") == bare


def test_what_is_not_installed_has_no_version() -> None:
    assert version_of("no-such-distribution") is None


def test_torch_is_not_imported_to_be_named() -> None:
    code = "import sys; from sim2real.provenance import version_of; version_of('torch'); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
