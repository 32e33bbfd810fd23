"""A toy family of few-shot tasks: lines through the origin whose slope only the support set tells."""

from __future__ import annotations

import torch

from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch


class Lines:
    """Regression on ``y = a x`` with a slope a in [-2, 2], drawn anew a task."""

    def __init__(self, seed: int) -> None:
        self.task = FewShotSpec("lines", "regression", (1,), 1, 4, 8, parameter_size=1)
        self._draw = torch.Generator().manual_seed(seed)

    def sample(self, tasks: int) -> TaskBatch:
        slope = torch.rand((tasks, 1, 1), generator=self._draw) * 4 - 2
        x = torch.rand((tasks, 12, 1), generator=self._draw) * 2 - 1
        y = slope * x
        return TaskBatch(Examples(x[:, :4], y[:, :4]), Examples(x[:, 4:], y[:, 4:]), slope[:, 0])

    def to(self, device: torch.device) -> None: ...

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {"draw": self._draw.get_state()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self._draw.set_state(state["draw"])
