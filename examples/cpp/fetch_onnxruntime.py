"""Put ONNX Runtime's C headers and library into one folder, from Python packages alone.

    python fetch_onnxruntime.py onnxruntime
    cmake -S . -B build -DONNXRUNTIME_ROOT=$PWD/onnxruntime

The library is that of the installed ``onnxruntime``, the headers come out of the wheel that ``onnxruntime-headers.txt``
pins by checksum. For Linux; elsewhere unpack a release of ONNX Runtime, which has the same layout.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = Path(__file__).with_name("onnxruntime-headers.txt")


def fetch_headers(include: Path) -> None:
    """Fill ``include`` with ``onnxruntime_c_api.h`` and its neighbours."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--require-hashes", "--dest", folder, "--requirement", str(REQUIREMENT)]
        if subprocess.run(command).returncode != 0:
            sys.exit("pip could not download the package with the headers; unpack a release of ONNX Runtime instead")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if "/onnxruntime/core/session/" in name]
            for member in members:
                (include / Path(member).name).write_bytes(archive.read(member))


def copy_library(lib: Path) -> None:
    """Copy the library of the installed package, under the names that the linker and the loader look for."""
    spec = importlib.util.find_spec("onnxruntime")
    packages = [] if spec is None else spec.submodule_search_locations or []
    found = [file for package in packages for file in Path(package, "capi").glob("libonnxruntime.so.*")]
    if not found:
        sys.exit("no libonnxruntime.so in this Python's packages: pip install onnxruntime (Linux)")
    shutil.copy(found[0], lib / "libonnxruntime.so.1")
    link = lib / "libonnxruntime.so"
    link.unlink(missing_ok=True)
    link.symlink_to("libonnxruntime.so.1")


def main() -> None:
    """Fill the folder that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: python fetch_onnxruntime.py DIR")
    root = Path(sys.argv[1])
    for folder in (root / "include", root / "lib"):
        folder.mkdir(parents=True, exist_ok=True)
    fetch_headers(root / "include")
    copy_library(root / "lib")
    print(f"ONNX Runtime's headers and library are in {root}; pass -DONNXRUNTIME_ROOT={root.resolve()} to CMake")


if __name__ == "__main__":
    main()
