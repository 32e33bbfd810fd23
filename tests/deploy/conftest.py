from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sim2real.export import write_bundle
from tests.bundles import META, make_policy


@pytest.fixture(scope="session")
def lstm_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with an LSTM; not to be written to."""
    folder = tmp_path_factory.mktemp("lstm_bundle")
    write_bundle(folder, make_policy("lstm"), META)
    return folder


@pytest.fixture
def broken(lstm_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the bundle for tests to damage."""
    return Path(shutil.copytree(lstm_bundle, tmp_path / "bundle"))
