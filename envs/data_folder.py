"""Where data files are: the folder a configuration names, else the one in SIM2REAL_DATA."""

from __future__ import annotations

import os
from pathlib import Path

from sim2real.errors import UserError

VARIABLE = "SIM2REAL_DATA"


def data_file(folder: str | None, name: str, what: str) -> Path:
    """The file ``name`` below ``folder`` (None: below what SIM2REAL_DATA says).

    Raises ``UserError`` where it is not, saying that it should hold ``what``.
    """
    root = folder or os.environ.get(VARIABLE)
    if not root:
        raise UserError(f"needs {what}: give the folder that holds {name}, with --set env.data=DIR or in {VARIABLE}")
    path = Path(root) / name
    if not path.is_file():
        raise UserError(f"there is no {path}; it should hold {what} (the folder is env.data, or {VARIABLE})")
    return path
