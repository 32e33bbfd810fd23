"""The same environments one at a time, for everything that speaks gymnasium: ``gym.make("sim2real/FetchPush-v0")``."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from sim2real.envs.dynamics_sets import DynamicsSet
from sim2real.envs.tasks import TASKS, id_of
from sim2real.envs.vector import FetchVectorEnv
from sim2real.errors import UserError, unknown

MODES = ("rgb_array",)
ENTRY_POINT, OWN_ARM = "sim2real.envs.gym_env:FetchEnv", "sim2real/OwnArm-v0"


class FetchEnv(gymnasium.Env[dict[str, NDArray[Any]], NDArray[Any]]):
    """One environment: a vector environment of one without its first axis. Observations and infos are those of
    `FetchVectorEnv`; an episode is truncated after ``task.horizon`` steps; ``held_out`` as in `make_vec`."""

    metadata: dict[str, Any] = {"render_modes": list(MODES), "render_fps": 25}  # noqa: RUF012 - gymnasium's own

    def __init__(
        self,
        task: str,
        dynamics: str | DynamicsSet = "train",
        render_mode: str | None = None,
        held_out: bool = False,
    ) -> None:
        if render_mode is not None and render_mode not in MODES:
            raise UserError(unknown("render_mode", render_mode, MODES))
        self._vector = FetchVectorEnv(task, 1, dynamics, threads=1, held_out=held_out)
        self.task = self._vector.task
        self.render_mode = render_mode
        self.observation_space = self._vector.single_observation_space
        self.action_space = self._vector.single_action_space
        self._seeded = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Begin the next episode; ``seed`` begins at its episode 0. Never seeded, it begins at a random seed."""
        super().reset(seed=seed)
        if seed is None and not self._seeded:
            seed = int(self.np_random.integers(2**31))
        self._seeded = True
        obs, info = self._vector.reset(seed=seed, options=options)
        return _first(obs), {"dynamics_values": info["dynamics_values"][0], "is_success": bool(info["is_success"][0])}

    def step(self, action: NDArray[Any]) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """One control step; see `FetchVectorEnv.step`."""
        obs, reward, _, truncated, info = self._vector.step(np.asarray(action)[None])
        return _first(obs), float(reward[0]), False, bool(truncated[0]), {"is_success": bool(info["is_success"][0])}

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any = None) -> Any:
        """Sparse reward over the last axis, as hindsight replay wants it."""
        return self._vector.compute_reward(achieved_goal, desired_goal, info)

    def render(self) -> NDArray[np.uint8] | None:
        """Picture ``[480, 480, 3]``, None without a render mode."""
        return self._vector.render(0) if self.render_mode else None

    def close(self) -> None:
        self._vector.close()


def _first(obs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {key: value[0] for key, value in obs.items()}


def register() -> None:
    """Make every task known to gymnasium; calling it again changes nothing. ``sim2real/OwnArm-v0`` takes the YAML file
    of an arm of one's own as ``task``."""
    if OWN_ARM not in gymnasium.registry:
        gymnasium.register(OWN_ARM, entry_point=ENTRY_POINT)
    for task, definition in TASKS.items():
        name = id_of(task)
        if name not in gymnasium.registry:
            gymnasium.register(
                name,
                entry_point=ENTRY_POINT,
                max_episode_steps=definition.horizon,
                kwargs={"task": task},
            )
