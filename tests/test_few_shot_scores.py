from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sim2real.few_shot_scores import score_tasks
from sim2real.few_shot_types import Examples
from tests.agents.clusters import Clusters

CPU = torch.device("cpu")


class FirstClass:
    """Answers class 0 before adapting, and the class of the nearest support example after."""

    def adapt(self, support: Examples) -> FirstClass:
        self.support = support
        return self

    def predict(self, inputs: Tensor) -> dict[str, Tensor]:
        first = torch.zeros(*inputs.shape[:2], 3)
        first[..., 0] = 1
        nearest = torch.cdist(inputs, self.support.inputs).argmin(-1)
        labels = self.support.targets.gather(1, nearest)
        return {"step_0": first, "step_1": torch.nn.functional.one_hot(labels, 3).float()}


def test_accuracy_of_every_setting_and_task() -> None:
    values = score_tasks(FirstClass(), Clusters(), 60, device=CPU)
    assert list(values) == ["step_0", "step_1"]
    np.testing.assert_allclose(values["step_0"]["accuracy"], np.full(60, 1 / 3))
    assert values["step_1"]["accuracy"].mean() > 0.9


def test_more_tasks_begin_with_the_same_ones() -> None:
    few, many = (score_tasks(FirstClass(), Clusters(), n, device=CPU)["step_1"]["accuracy"] for n in (70, 110))
    assert len(few) == 70 and len(many) == 110
    np.testing.assert_array_equal(few[:50], many[:50])


def test_progress_is_told_what_is_done() -> None:
    told: list[int] = []
    score_tasks(FirstClass(), Clusters(), 70, device=CPU, progress=told.append)
    assert told == [50, 70]


class Constant:
    """Predicts 2 always."""

    def adapt(self, support: Examples) -> Constant:
        return self

    def predict(self, inputs: Tensor) -> dict[str, Tensor]:
        return {"adapted": torch.full((*inputs.shape[:2], 1), 2.0)}


def test_error_is_the_mean_square_over_a_tasks_queries() -> None:
    from sim2real.envs.fewshot import SinusoidSource

    values = score_tasks(Constant(), SinusoidSource(1, 7, seed=1), 3, device=CPU)
    batch = SinusoidSource(1, 7, seed=1).sample(3)
    expected = (2 - batch.query.targets).square().mean((1, 2))
    np.testing.assert_allclose(values["error"]["error"], expected, rtol=1e-6)
