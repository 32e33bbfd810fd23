from __future__ import annotations

from typing import Any

import pytest

from sim2real.curriculum import TASK_ITSELF, Curriculum


def test_dynamics_are_nominal_and_widen_afterwards() -> None:
    curriculum = Curriculum(nominal_episodes=4, widen_episodes=8)
    assert [curriculum.width(episode) for episode in (0, 3, 4, 6, 11, 12, 99)] == [0, 0, 0, 0.25, 0.875, 1, 1]


def test_dynamics_change_at_once_without_widening() -> None:
    assert [Curriculum(nominal_episodes=2).width(episode) for episode in (0, 1, 2)] == [0, 0, 1]
    assert TASK_ITSELF.width(0) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"near_starts": 1.1}, "near_starts is a share"),
        ({"tolerance": 0.0}, "tolerance has to be above 0"),
        ({"nominal_episodes": -1}, "nominal_episodes has to be at least 0"),
        ({"widen_episodes": -1}, "widen_episodes has to be at least 0"),
    ],
)
def test_what_is_out_of_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Curriculum(**options)
