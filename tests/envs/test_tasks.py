from __future__ import annotations

import numpy as np
import pytest

from sim2real.envs import TASKS, make_vec


@pytest.mark.parametrize("name", TASKS)
def test_the_measured_goal_is_the_achieved_one_without_noise(name: str) -> None:
    env = make_vec(name, 3, "nominal", seed=4, threads=1)
    seen = [env.reset()[0], env.step(np.full((3, env.task.sizes["action"]), 0.3))[0]]
    for obs in seen:
        np.testing.assert_allclose(obs["state"][:, TASKS[name].measured_goal], obs["achieved_goal"], atol=1e-12)
    env.close()
