from __future__ import annotations

import io
import zipfile

from sim2real import runner_archive
from sim2real.runner_archive import archive


def test_the_same_bytes_every_time() -> None:
    assert archive() == archive()
    entries = zipfile.ZipFile(io.BytesIO(archive())).infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}


def test_it_holds_the_deployment_side_and_nothing_else() -> None:
    names = zipfile.ZipFile(io.BytesIO(archive())).namelist()
    outside = [name for name in names if not name.startswith("sim2real/deploy/")]
    assert outside == ["__main__.py", "sim2real/__init__.py", "sim2real/errors.py", "sim2real/types.py"]
    assert {"sim2real/deploy/__init__.py", "sim2real/deploy/runner.py"} <= set(names)
    assert all(name.endswith(".py") for name in names)
    compile(runner_archive._MAIN, "__main__.py", "exec")
