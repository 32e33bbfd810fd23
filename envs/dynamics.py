"""Every dynamics parameter of the tasks, as data.

The list `PARAMETERS` is the only place that knows them: the sampler, the writer into MuJoCo's model, the privileged
vector, the command line, the report's axes and the table in ``docs/dynamics.md`` are computed from it. Ranges are not
here but in the named sets, ``configs/dynamics/*.yaml``.

The choice of parameters follows Peng et al. 2017 (arXiv 1710.06537, table I) and OpenAI's robogym; differences are in
``docs/dynamics.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Operation = Literal["scale", "add", "set"]
"""How a drawn value meets the nominal one: multiplied by it, added to it, or instead of it."""
Feature = str
"""What only some tasks have: ``object``: something to push; ``table``: what it stands on; ``fetch``: the Fetch robot;
``weld``: a weld that pulls its gripper; ``joints``: that its seven joints are driven; ``joint_1`` and so on: a driven
joint of another arm. The empty one is had by all."""
MOST_JOINTS = 8
"""Driven joints that an arm other than Fetch's can have."""
Redraw = Literal["episode", "uniform", "exponential", "normal", "bernoulli"]
"""``episode``: the value itself holds for an episode. Otherwise the value is the level (maximum, mean, standard
deviation, probability) of a draw from that distribution in every control step."""


@dataclass(frozen=True)
class Write:
    """One group of numbers in MuJoCo's model that a parameter writes."""

    field: str
    """Field of ``mujoco.MjModel``, for example ``body_mass``; ``gravity`` is ``model.opt.gravity``."""
    where: str
    """Name of a selection of rows, see `sim2real.envs.model_names`."""
    column: int | None = None
    """Column of the field, None for all of a row."""


@dataclass(frozen=True)
class DynamicsParameter:
    """One thing about the world that can differ between two episodes."""

    name: str
    unit: str
    """Unit of the drawn value; ``x`` for a factor on the nominal value, ``std`` for a fraction of an element's
    reference standard deviation (`sim2real.envs.reference`)."""
    text: str
    operation: Operation = "scale"
    nominal: float = 1.0
    """The drawn value that changes nothing."""
    low: float = 0.0
    high: float = math.inf
    """Closed interval of values that make physical sense; a set outside it is refused."""
    writes: tuple[Write, ...] = ()
    """Empty for what is no part of MuJoCo's model: delays, noise, the clock, the action's gain."""
    redraw: Redraw = "episode"
    set_const: bool = False
    """Whether ``mj_setConst`` must recompute derived fields afterwards."""
    needs: Feature = ""
    """What a task must have for the parameter to exist there."""
    inert: bool = False
    """Whether it changes nothing that can be seen, as the mass of a link that is held: no critic and no report needs
    it."""


def exists(parameter: DynamicsParameter, features: frozenset[str]) -> bool:
    """Whether a task with ``features`` (see `sim2real.envs.task.Task`) has the parameter."""
    return not parameter.needs or parameter.needs in features


ARM = ("shoulder_pan", "shoulder_lift", "upperarm_roll", "elbow_flex", "forearm_roll", "wrist_flex", "wrist_roll")
"""Joints of the arm and the links that they move; ``robot0:{name}_joint`` and ``robot0:{name}_link`` in the model."""
LINKS = (*ARM, "gripper")
"""Links of the arm whose masses vary in every task, one factor each."""
FINGERS = ("r_gripper_finger", "l_gripper_finger")
HELD_LINKS = ("base", "torso_lift", "torso_fixed", "head_pan", "head_tilt", "estop", "laser")
"""Links that a robot with driven joints keeps where they are."""
HELD_JOINTS = ("slide0", "slide1", "slide2", "torso_lift", "head_pan", "head_tilt", *FINGERS)
"""Joints that such a robot holds; the slides are those of the base."""


def _friction() -> list[DynamicsParameter]:
    """Three groups of geoms times MuJoCo's three coefficients.

    MuJoCo takes the element-wise maximum of the two geoms in contact, so lowering the object's alone changes nothing:
    ``object_friction_*`` scales the object and everything it can touch, the others are further factors on one side.
    """
    groups = {
        "object": ("object, table and fingers together", ("object", "table", "fingers")),
        "table": ("table alone, on top of object_friction", ("table",)),
        "finger": ("fingers alone, on top of object_friction", ("fingers",)),
    }
    kinds = {"slide": "sliding", "spin": "torsional", "roll": "rolling"}
    return [
        DynamicsParameter(
            name=f"{group}_friction_{kind}",
            unit="x",
            text=f"{word} friction of {what}",
            low=1e-3,
            writes=tuple(Write("geom_friction", where, column) for where in selections),
            needs="object",
        )
        for column, (kind, word) in enumerate(kinds.items())
        for group, (what, selections) in groups.items()
    ]


def _contact(name: str, text: str, field: str, column: int, high: float = math.inf) -> DynamicsParameter:
    """A property of the soft contacts of object, table and fingers; MuJoCo mixes the two geoms by ``solmix``."""
    writes = tuple(Write(field, where, column) for where in ("object", "table", "fingers"))
    return DynamicsParameter(name, "x", text, low=1e-2, high=high, writes=writes, needs="object")


def _mass(name: str, text: str, where: str, needs: Feature = "", inert: bool = False) -> DynamicsParameter:
    """Mass and inertia by the same factor, which keeps the pseudo-inertia matrix physical."""
    writes = (Write("body_mass", where), Write("body_inertia", where))
    return DynamicsParameter(name, "x", text, low=1e-2, writes=writes, set_const=True, needs=needs, inert=inert)


def _joint_damping(joint: str, needs: Feature = "joints", inert: bool = False) -> DynamicsParameter:
    text = f"viscous damping of the {joint} joint" + (", which is held" if inert else "")
    writes = (Write("dof_damping", joint),)
    return DynamicsParameter(f"joint_damping_{joint}", "x", text, writes=writes, needs=needs, inert=inert)


def _controller_gain(joint: str, needs: Feature = "joints") -> DynamicsParameter:
    """Stiffness and damping of the position controller by the same factor."""
    places = (("actuator_gainprm", 0), ("actuator_biasprm", 1), ("actuator_biasprm", 2))
    writes = tuple(Write(field, joint, column) for field, column in places)
    text = f"gains of the {joint} joint's position controller"
    return DynamicsParameter(f"controller_gain_{joint}", "x", text, low=0.1, writes=writes, needs=needs)


def _of_joint(k: int) -> tuple[DynamicsParameter, ...]:
    """The k-th driven joint of an arm other than Fetch's, what it moves up to the next one, and its controller."""
    joint, needs = str(k), f"joint_{k}"
    mass = f"mass and inertia of all that joint {k} carries before the next"
    return (
        _mass(f"link_mass_{k}", mass, joint, needs),
        _joint_damping(joint, needs),
        _controller_gain(joint, needs),
    )


PARAMETERS: tuple[DynamicsParameter, ...] = (
    _mass("object_mass", "mass and inertia of the object", "object", "object"),
    DynamicsParameter(
        "object_damping",
        "x",
        "linear and angular damping of the free object",
        writes=(Write("dof_damping", "object"),),
        needs="object",
    ),
    *_friction(),
    _contact("contact_time_constant", "time constant of the soft contacts (solref 0)", "geom_solref", 0),
    _contact("contact_damping_ratio", "damping ratio of the soft contacts (solref 1)", "geom_solref", 1),
    _contact("contact_impedance", "impedance of the contacts at zero depth (solimp 0)", "geom_solimp", 0, high=1.0),
    _contact("contact_width", "depth over which the impedance rises (solimp 2)", "geom_solimp", 2),
    DynamicsParameter(
        "weld_time_constant",
        "x",
        "time constant of the weld that pulls the gripper to its target: the servos' softness",
        low=0.3,
        writes=(Write("eq_solref", "weld", 0),),
        needs="weld",
    ),
    DynamicsParameter(
        "arm_joint_damping",
        "x",
        "viscous damping of the seven arm joints",
        writes=(Write("dof_damping", "arm"),),
    ),
    DynamicsParameter(
        "arm_armature",
        "x",
        "rotor inertia of the seven arm joints",
        writes=(Write("dof_armature", "arm"),),
        set_const=True,
    ),
    DynamicsParameter(
        "arm_friction_loss",
        "N m",
        "dry friction of the seven arm joints",
        operation="set",
        nominal=0.0,
        writes=(Write("dof_frictionloss", "arm"),),
    ),
    *(_mass(f"link_mass_{link}", f"mass and inertia of the {link} link", link, "fetch") for link in LINKS),
    _mass("link_mass_fingers", "mass and inertia of both fingers", "fingers", "weld"),
    DynamicsParameter("action_gain", "x", "gain from the commanded to the targeted displacement", low=0.1),
    DynamicsParameter("gravity", "x", "vertical gravity", writes=(Write("gravity", "all", 2),)),
    DynamicsParameter(
        "table_height",
        "m",
        "height of the table's top; the object's start and the goals on the table move with it",
        operation="add",
        nominal=0.0,
        low=-0.05,
        high=0.05,
        writes=(Write("body_pos", "table", 2),),
        set_const=True,
        needs="table",
    ),
    DynamicsParameter(
        "action_delay",
        "ms",
        "time from a command to its effect",
        operation="set",
        nominal=0.0,
        high=400.0,
    ),
    DynamicsParameter(
        "action_delay_jitter",
        "ms",
        "largest further delay of one command",
        operation="set",
        nominal=0.0,
        high=400.0,
        redraw="uniform",
    ),
    DynamicsParameter(
        "action_noise",
        "1",
        "standard deviation of the noise on the normalised action",
        operation="set",
        nominal=0.0,
        redraw="normal",
    ),
    DynamicsParameter(
        "observation_delay",
        "ms",
        "age of the observation when the policy sees it",
        operation="set",
        nominal=0.0,
        high=400.0,
    ),
    DynamicsParameter(
        "observation_drop",
        "1",
        "probability that an observation is lost and the last one is seen again",
        operation="set",
        nominal=0.0,
        high=1.0,
        redraw="bernoulli",
    ),
    DynamicsParameter(
        "observation_noise",
        "std",
        "standard deviation of the white noise on each element",
        operation="set",
        nominal=0.0,
        redraw="normal",
    ),
    DynamicsParameter(
        "observation_bias",
        "std",
        "standard deviation of the constant offset of each element",
        operation="set",
        nominal=0.0,
    ),
    DynamicsParameter(
        "control_period_jitter",
        "ms",
        "mean time by which a control period exceeds the nominal one",
        operation="set",
        nominal=0.0,
        high=100.0,
        redraw="exponential",
    ),
    # New ones go to the end: an episode draws one number for each in this order, and committed results rest on them.
    *(_mass(f"link_mass_{link}", f"mass and inertia of the {link} link", link, "joints") for link in FINGERS),
    *(
        _mass(f"link_mass_{k}", f"mass and inertia of the {k} link, which is held", k, "joints", True)
        for k in HELD_LINKS
    ),
    *(_joint_damping(joint) for joint in ARM),
    *(_joint_damping(joint, inert=True) for joint in HELD_JOINTS),
    *(_controller_gain(joint) for joint in ARM),
    *(parameter for k in range(1, MOST_JOINTS + 1) for parameter in _of_joint(k)),
)

INDEX: dict[str, int] = {parameter.name: i for i, parameter in enumerate(PARAMETERS)}
"""Place of a parameter in every array of values, by name."""
