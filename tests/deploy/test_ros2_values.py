from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim2real.deploy.ros2_values import euler, joint_value, pose_values
from sim2real.envs.fetch import euler as training_euler
from tests.deploy.fake_ros import Quaternion, Vector

HALF = math.sqrt(0.5)


def rotations(x: float, y: float, z: float, w: float) -> dict[str, float]:
    return pose_values(Vector(x=1.0, y=2.0, z=3.0), Quaternion(x=x, y=y, z=z, w=w))


def test_a_third_of_a_turn_about_the_diagonal() -> None:
    values = rotations(0.5, 0.5, 0.5, 0.5)
    assert [values[f"position.{axis}"] for axis in "xyz"] == [1, 2, 3]
    # x goes to y, y to z, z to x: the first column is y.
    ones = {"rotation.yx", "rotation.zy", "rotation.xz"}
    matrix_ = {name: value for name, value in values.items() if name.startswith("rotation.")}
    assert matrix_ == pytest.approx({name: float(name in ones) for name in matrix_})
    assert len(matrix_) == 9


def test_of_a_quaternion_and_its_negative_the_one_with_positive_w() -> None:
    # 120 degrees about x: w = cos 60, x = sin 60.
    sine = math.sqrt(0.75)
    for sign in (1, -1):
        values = rotations(sign * sine, 0.0, 0.0, sign * 0.5)
        assert [values[f"quaternion.{part}"] for part in "wxyz"] == pytest.approx([0.5, sine, 0, 0])
        assert values["rotation.zy"] == pytest.approx(sine)
    # Half a turn: both have w = 0, and there is nothing to choose by.
    assert rotations(-1.0, 0.0, 0.0, 0.0)["quaternion.x"] == -1
    assert rotations(1.0, 0.0, 0.0, -0.0)["quaternion.x"] == 1


def test_a_quaternion_that_is_none_gives_no_rotation_but_a_position() -> None:
    for broken in ((0, 0, 0, 0), (0, 0, 0, 1.02), (0, math.nan, 0, 1), (math.inf, 0, 0, 0)):
        values = rotations(*broken)
        assert values["position.y"] == 2
        assert all(math.isnan(value) for name, value in values.items() if not name.startswith("position."))
    rounded = rotations(0, 0, 0, 1.009)  # rounding is divided out
    assert (rounded["quaternion.w"], rounded["rotation.xx"]) == (1, 1)


def test_sine_and_cosine_of_a_joint() -> None:
    values = {"position": math.pi / 6, "velocity": 2.0}
    assert joint_value(values, "position.sine") == pytest.approx(0.5)
    assert joint_value(values, "position.cosine") == pytest.approx(math.sqrt(0.75))
    assert joint_value(values, "velocity") == 2
    assert math.isnan(joint_value(values, "effort"))
    for broken in (math.inf, math.nan):
        assert math.isnan(joint_value({"position": broken}, "position.sine"))


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_euler_angles_are_those_of_training(quaternion: list[float]) -> None:
    x, y, z, w = np.array(quaternion) / np.linalg.norm(quaternion)
    matrix = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    np.testing.assert_allclose(euler(x, y, z, w), training_euler(matrix.reshape(1, 9))[0], atol=1e-9)


def test_euler_of_quarter_turns() -> None:
    assert euler(0, 0, HALF, HALF) == pytest.approx((0, 0, math.pi / 2))
    assert euler(HALF, 0, 0, HALF) == pytest.approx((math.pi / 2, 0, 0))
    assert euler(0, HALF, 0, HALF) == pytest.approx((0, math.pi / 2, 0))
