from __future__ import annotations

import numpy as np

from untrained import untrained

SMALL = ["env.options={horizon: 3}", "agent.network.hidden=[4]", "agent.test.rollouts=2"]


def test_the_mean_over_random_weights_task_by_task() -> None:
    one, two = (untrained("maml_nav2d", SMALL, tasks=3, seed=7, weights=n).values for n in (1, 2))
    assert list(one) == ["step_0", "step_1", "step_2", "step_3"]
    assert one["step_1"]["return"].shape == (3,)
    assert not np.array_equal(one["step_1"]["return"], two["step_1"]["return"])
    again = untrained("maml_nav2d", SMALL, tasks=3, seed=7, weights=2).values
    np.testing.assert_array_equal(two["step_3"]["return"], again["step_3"]["return"])
