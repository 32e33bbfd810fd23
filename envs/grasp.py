"""A state with the object in the gripper, for exploring starts: Andrychowicz et al. 2017 begin half of the training
episodes of pick-and-place in one, because random motions hardly ever close the fingers around the object."""

from __future__ import annotations

from typing import Any

import mujoco

from sim2real.envs.scripted import scripted
from sim2real.envs.task import Array, distance

STEPS = 30


def held(env: Any) -> Array:
    """Joint positions after the scripted policy has grasped the object under the gripper and lifted it to its height.

    Args:
        env: gymnasium-robotics' ``MujocoFetchPickAndPlaceEnv``; it is left somewhere in an episode.
    """
    obs, _ = env.reset(seed=0)
    place = env.initial_gripper_xpos
    env.data.qpos[-7:-5] = place[:2]
    mujoco.mj_forward(env.model, env.data)
    obs = env._get_obs()
    for _ in range(STEPS):
        row = {name: value[None] for name, value in obs.items()} | {"desired_goal": place[None]}
        obs = env.step(scripted("FetchPickAndPlace", row)[0])[0]
    off = distance(obs["achieved_goal"], place)
    if off > 0.02:
        raise RuntimeError(f"the object is {off:.3f} m from where the gripper should hold it")
    positions: Array = env.data.qpos.copy()
    return positions
