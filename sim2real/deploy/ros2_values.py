"""Values of the fields in `sim2real.deploy.ros2_elements`, computed from what messages hold. Plain arithmetic, no ROS.

Rotations follow the training side: matrices take the body's axes to the world's, as MuJoCo's do; of a quaternion and
its negative, which are one rotation, it is the one with w >= 0 (at w = 0, half a turn, the one that was sent).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sim2real.deploy.ros2_elements import ROTATION_FIELDS

UNIT_TOLERANCE = 0.01
"""By which the norm of a quaternion may differ from 1; tf2 refuses the same."""
_FUNCTIONS = {"sine": math.sin, "cosine": math.cos}


def joint_value(values: Mapping[str, float], field: str) -> float:
    """A field of a joint from the arrays' ``values``; nan, which the filter refuses, where the driver left it out."""
    array, _, function = field.partition(".")
    value = values.get(array, math.nan)
    if not function:
        return value
    return _FUNCTIONS[function](value) if math.isfinite(value) else math.nan


def pose_values(position: Any, orientation: Any) -> dict[str, float]:
    """All fields of a pose (position in m); those of a rotation are nan unless the quaternion has length 1, because the
    formulas would turn zeros, which some trackers send when they have no orientation, into no rotation."""
    values = {f"position.{axis}": float(getattr(position, axis)) for axis in "xyz"}
    x, y, z, w = (float(getattr(orientation, axis)) for axis in "xyzw")
    norm = math.hypot(x, y, z, w)
    if not abs(norm - 1) <= UNIT_TOLERANCE:
        return values | dict.fromkeys(ROTATION_FIELDS, math.nan)
    x, y, z, w = x / norm, y / norm, z / norm, w / norm
    sign = -1.0 if w < 0 else 1.0
    rotations = (*euler(x, y, z, w), *matrix(x, y, z, w), sign * w, sign * x, sign * y, sign * z)
    return values | dict(zip(ROTATION_FIELDS, rotations, strict=True))


def twist_values(twist: Any) -> dict[str, float]:
    """All fields of a twist (in m/s and rad/s)."""
    vectors = {"linear": twist.linear, "angular": twist.angular}
    return {f"{part}.{axis}": float(getattr(vector, axis)) for part, vector in vectors.items() for axis in "xyz"}


def matrix(x: float, y: float, z: float, w: float) -> tuple[float, ...]:
    """Rotation matrix of a unit quaternion, row by row; its columns are the body's axes in the world."""
    return (
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )


def euler(x: float, y: float, z: float, w: float) -> tuple[float, float, float]:
    """Euler angles (in rad) of a unit quaternion, in the convention of the training side: gymnasium-robotics'
    ``rotations.mat2euler``, which is not the roll, pitch, yaw of tf."""
    m00, m01, m02, m10, m11, m12, _, _, m22 = matrix(x, y, z, w)
    cosine = math.hypot(m22, m12)
    if cosine > 1e-15:
        return -math.atan2(m12, m22), math.atan2(m02, cosine), -math.atan2(m01, m00)
    return 0.0, math.atan2(m02, cosine), math.atan2(m10, m11)
