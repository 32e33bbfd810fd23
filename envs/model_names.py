"""What a robot's MuJoCo model calls the things that dynamics parameters write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco

from sim2real.envs.dynamics import ARM, FINGERS, HELD_JOINTS, HELD_LINKS, LINKS


@dataclass(frozen=True)
class ModelNames:
    """The ``where`` of a `sim2real.envs.dynamics.Write` -> names in the model."""

    bodies: Mapping[str, tuple[str, ...]]
    joints: Mapping[str, tuple[str, ...]]
    """``arm``: all that are driven, which are neighbours in the model."""
    actuators: Mapping[str, str]

    def select(self, model: mujoco.MjModel, field: str, where: str) -> list[int]:
        """Rows of ``field`` that the selection ``where`` names."""
        if field == "gravity":
            return [0]
        if field.startswith("eq_"):
            return [i for i in range(model.neq) if int(model.eq_type[i]) == int(mujoco.mjtEq.mjEQ_WELD)]
        if field.startswith("actuator_"):
            return [model.actuator(self.actuators[where]).id]
        if field.startswith("dof_"):
            wanted = [model.joint(name).id for name in self.joints[where]]
            return [i for i in range(model.nv) if int(model.dof_jntid[i]) in wanted]
        ids = [model.body(name).id for name in self.bodies[where]]
        if field.startswith("geom_"):
            return [i for i in range(model.ngeom) if int(model.geom_bodyid[i]) in ids]
        return ids


def joint_name(name: str) -> str:
    """Fetch's name of a joint: the slides of the base are ``robot0:slide0``, all others ``robot0:..._joint``."""
    return f"robot0:{name}" if name.startswith("slide") else f"robot0:{name}_joint"


FETCH = ModelNames(
    bodies={
        "object": ("object0",),
        "table": ("table0",),
        "fingers": tuple(f"robot0:{name}_link" for name in FINGERS),
        **{name: (f"robot0:{name}_link",) for name in (*LINKS, *FINGERS, *HELD_LINKS)},
    },
    joints={
        "arm": tuple(map(joint_name, ARM)),
        "object": ("object0:joint",),
        **{name: (joint_name(name),) for name in (*ARM, *HELD_JOINTS)},
    },
    actuators={name: f"robot0:{name}" for name in ARM},
)
"""gymnasium-robotics' Fetch."""
