"""Settings that every test shares."""

from __future__ import annotations

import os

# Small networks: a second thread costs more in waiting than it brings, and spins when the machine is busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
