"""Pictures of an environment, headless where there is no display."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

AZIMUTH, ELEVATION = 132.0, -14.0
"""gymnasium-robotics' camera (in degrees)."""
SIZE = 480


class Camera:
    """Renders any model that differs from ``model`` in numbers only."""

    def __init__(self, model: mujoco.MjModel, look_at: Sequence[float], distance: float) -> None:
        try:
            self._renderer = mujoco.Renderer(model, SIZE, SIZE)
        except Exception as error:  # every OpenGL platform raises something else
            backend = os.environ.get("MUJOCO_GL", "unset")
            raise RuntimeError(
                f"MuJoCo cannot render here (MUJOCO_GL is {backend}): {error}. Without a display install libegl1 (or "
                "libosmesa6 and set MUJOCO_GL=osmesa); if mujoco was imported before sim2real.envs, set MUJOCO_GL=egl."
            ) from error
        # A context still open at exit is freed after its display is gone, and prints tracebacks. Functions registered
        # last run first; MuJoCo registered the display's end when the renderer was made.
        atexit.register(self._renderer.close)
        self._scratch = mujoco.MjData(model)
        self._target = model.site("target0").id
        self._camera = camera = mujoco.MjvCamera()
        camera.lookat[:] = look_at
        camera.distance, camera.azimuth, camera.elevation = distance, AZIMUTH, ELEVATION

    def picture(self, model: mujoco.MjModel, data: mujoco.MjData, goal: NDArray[Any]) -> NDArray[np.uint8]:
        """``[480, 480, 3]``. Works on a copy of ``data``: the goal's site is moved there, and PickAndPlace continues
        from poses that are one substep old, which nothing may bring up to date."""
        mujoco.mj_copyData(self._scratch, model, data)
        self._scratch.site_xpos[self._target] = goal
        self._renderer.update_scene(self._scratch, self._camera)
        picture: NDArray[np.uint8] = self._renderer.render()
        return picture

    def close(self) -> None:
        atexit.unregister(self._renderer.close)
        self._renderer.close()
