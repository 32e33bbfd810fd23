"""What is installed, what this machine can do, what is missing and how to get it."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Mapping

from sim2real.provenance import provenance, version_of

CORE = ("torch", "mujoco", "gymnasium", "gymnasium-robotics", "numpy", "safetensors", "tyro", "PyYAML", "rich")
# In processes of their own: torch takes seconds to import, and a broken GL driver ends its process.
DEVICE = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else 'none')"
RENDER = """
import sim2real.envs, mujoco, os
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
with mujoco.Renderer(model, 8, 8) as renderer:
    renderer.update_scene(mujoco.MjData(model))
    renderer.render()
print(os.environ.get("MUJOCO_GL", "the default of the system"))
"""


def report(extras: Mapping[str, str]) -> int:
    """Print the findings; return 0 if training can run, 1 if something it needs is missing.

    ``extras``: module that is not part of the core -> the extra of this package that brings it.
    """
    found = provenance()
    print(f"sim2real {found['versions']['sim2real']}, commit {found['commit'] or 'unknown (not a checkout)'}")
    print(f"Python {platform.python_version()} in {sys.prefix}")
    print(f"machine: {found['machine']['cpu']}, {os.cpu_count()} cores, {found['machine']['system']}")
    missing = [name for name in CORE if version_of(name) is None]
    print("core: " + ", ".join(f"{name} {version_of(name)}" for name in CORE if name not in missing))
    for name in missing:
        print(f"  MISSING {name}: pip install -c constraints.txt -e .")
    _report_extras(extras)
    print(f"CUDA device: {_ask(DEVICE, 'none')[1]}")
    works, answer = _ask(RENDER, "failed")
    print(f"rendering (for `sim2real record`): {'works, with ' + answer if works else answer}")
    if not works:
        print("  without a screen it needs EGL or OSMesa: install libegl1 and set MUJOCO_GL=egl,")
        print("  or install libosmesa6 and set MUJOCO_GL=osmesa")
    return 1 if missing else 0


def _report_extras(extras: Mapping[str, str]) -> None:
    for extra in dict.fromkeys(extras.values()):
        lacking = [name for name, its in extras.items() if its == extra and importlib.util.find_spec(name) is None]
        print(
            f"extra {extra}: " + (f"lacks {', '.join(lacking)}; pip install 'sim2real[{extra}]'" if lacking else "ok")
        )


def _ask(code: str, otherwise: str) -> tuple[bool, str]:
    """Whether ``code`` runs in a new Python, and the last line that it prints or fails with."""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return False, f"{otherwise}: no answer in 120 s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    works = done.returncode == 0
    return works, lines[-1] if works else f"{otherwise}: {lines[-1] if lines else f'exit code {done.returncode}'}"
