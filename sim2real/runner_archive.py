"""``runner.pyz``: the deployment side of this package as one file that Python runs, for robots without a package index.

A zip archive of `sim2real.deploy` and the two light modules that it needs. The bytes depend on the sources alone: names
are sorted, times fixed, nothing is compressed (zlib's output differs from version to version).
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import sim2real

_MAIN = '''\
"""Run the policy in the folder that this archive lies in: python DIR/runner.pyz --help"""

import os
import sys
from pathlib import Path

# One thread: numpy's default pool spins on every core beside the control loop. Must be set before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from sim2real.deploy.__main__ import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], bundle=Path(__file__).resolve().parent.parent))
'''


def archive() -> bytes:
    """Content of ``runner.pyz``."""
    package = Path(sim2real.__file__).parent
    light = [package / f"{name}.py" for name in ("__init__", "errors", "types")]
    sources = {f"sim2real/{file.relative_to(package).as_posix()}": file.read_bytes() for file in light}
    deploy = package / "deploy"
    sources |= {f"sim2real/deploy/{file.name}": file.read_bytes() for file in deploy.glob("*.py")}
    sources["__main__.py"] = _MAIN.encode()
    buffer = io.BytesIO(b"")
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as file:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name)  # of 1980-01-01, the beginning of a zip file's time
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, wherever it is written
            file.writestr(entry, sources[name])
    return buffer.getvalue()
