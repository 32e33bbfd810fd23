from __future__ import annotations

from typing import Any

import pytest
import torch

import meta_rl
from sim2real.envs.navigation import Navigation


def test_both_forms_of_adaptation_give_the_same_numbers() -> None:
    figures = meta_rl.adaptation(tasks=5, rollouts=2, horizon=7, rounds=1)
    assert figures["largest_difference"] < 1e-6
    assert figures["loop_over_vectorized"] == pytest.approx(figures["looped_ms"] / figures["vectorized_ms"], rel=1e-2)


def test_a_difference_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = meta_rl.looped

    def wrong(*args: Any) -> dict[str, torch.Tensor]:
        return {name: p + 1e-3 for name, p in right(*args).items()}

    monkeypatch.setattr(meta_rl, "looped", wrong)
    assert meta_rl.adaptation(tasks=2, rollouts=2, horizon=3, rounds=1)["largest_difference"] > 1e-4


def test_steps_of_the_whole_batch_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meta_rl, "_seconds", lambda work: work() or 2.0)
    assert meta_rl.steps_per_second(Navigation(horizon=3), tasks=4, rollouts=5, steps=10) == 100
