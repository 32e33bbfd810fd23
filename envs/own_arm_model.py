"""The MuJoCo model of an arm of one's own, made ready for a task: servos on its joints, a table, a puck, a target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from sim2real.envs.dynamics import MOST_JOINTS
from sim2real.envs.model_names import ModelNames
from sim2real.errors import UserError, unknown


@dataclass(frozen=True)
class Controller:
    """Position controller of every joint: torque = kp (target - angle) - kd speed."""

    kp: tuple[float, ...]
    """Stiffness, one number a joint (in N m/rad)."""
    kd: tuple[float, ...]
    """Damping, one number a joint (in N m s/rad)."""

    def __post_init__(self) -> None:
        if min(self.kp, default=1.0) <= 0 or min(self.kd, default=0.0) < 0:
            raise ValueError(f"kp has to be above 0 and kd at least 0, got {self.kp} and {self.kd}")


@dataclass(frozen=True)
class Region:
    """A box of goals and, in the plane, of the puck's starts."""

    centre: tuple[float, float, float]
    """In the model's world (in metres)."""
    half: tuple[float, float, float]
    """Half of its sides (in metres)."""

    def __post_init__(self) -> None:
        if min(self.half) < 0:
            raise ValueError(f"half has to be at least 0, got {list(self.half)}")


@dataclass(frozen=True)
class Puck:
    """A disc that lies on the table at the bottom of the region, to be pushed."""

    radius: float = 0.04
    half_height: float = 0.02
    """In metres, as the radius."""
    mass: float = 0.2
    """In kg."""
    friction: float = 0.8
    """Sliding friction, of the table too."""
    damping: float = 0.05
    """In N s/m."""

    def __post_init__(self) -> None:
        if min(self.radius, self.half_height, self.mass) <= 0:
            raise ValueError("radius, half_height and mass have to be above 0")


def load(path: Path) -> mujoco.MjSpec:
    """The user's model. Raises ``UserError`` where there is none or MuJoCo refuses it."""
    if not path.is_file():
        raise UserError(f"there is no model {str(path)!r}; its path counts from the file that names it")
    try:
        return mujoco.MjSpec.from_file(str(path))
    except (ValueError, mujoco.FatalError) as error:
        raise UserError(f"MuJoCo does not read {str(path)!r}: {error}") from error


def driven(spec: mujoco.MjSpec, names: tuple[str, ...]) -> list[Any]:
    """The joints to drive. Raises ``UserError`` for unknown ones, too many, and those that do not turn."""
    if not 1 <= len(names) <= MOST_JOINTS:
        raise UserError(f"joints: 1 to {MOST_JOINTS} can be driven, got {len(names)}")
    known = {joint.name: joint for joint in spec.joints}
    for name in names:
        if name not in known:
            raise UserError(f"joints: {unknown('joint', name, known)}")
        if known[name].type != mujoco.mjtJoint.mjJNT_HINGE:
            raise UserError(f"joints: {name} does not turn; only hinges can be driven")
    return [known[name] for name in names]


def drive(spec: mujoco.MjSpec, joints: list[Any], controller: Controller | None) -> list[str]:
    """Names of the joints' position controllers: those of the model, or ``controller`` instead of them.

    Raises:
        UserError: no controller given, and a joint has none that follows positions; a wrong number of gains.
    """
    own = {joint.name: [a for a in spec.actuators if a.target == joint.name] for joint in joints}
    if controller is None:
        return [_servo(name, found) for name, found in own.items()]
    if not len(controller.kp) == len(controller.kd) == len(joints):
        raise UserError(f"controller: give kp and kd as lists of {len(joints)} numbers, one a joint")
    names = []
    for joint, kp, kd in zip(joints, controller.kp, controller.kd, strict=True):
        for actuator in own[joint.name]:
            spec.delete(actuator)
        servo = spec.add_actuator(name=f"servo:{joint.name}", target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.gainprm[0] = kp
        servo.biastype = mujoco.mjtBias.mjBIAS_AFFINE
        servo.biasprm[:3] = 0.0, -kp, -kd
        names.append(servo.name)
    return names


def _servo(joint: str, found: list[Any]) -> str:
    """The joint's own actuator, if it is one and follows positions."""
    if len(found) != 1 or found[0].gainprm[0] <= 0 or found[0].biasprm[1] != -found[0].gainprm[0]:
        what = "none" if not found else "one that follows no positions" if len(found) == 1 else f"{len(found)}"
        raise UserError(f"joint {joint} needs one position actuator, the model has {what}; give a controller: kp, kd")
    found[0].name = found[0].name or f"servo:{joint}"
    return str(found[0].name)


def gripper_site(spec: mujoco.MjSpec, name: str) -> tuple[str, str]:
    """Names of the gripper's site and of the body it is on; a body's name stands for a site at its origin."""
    for site in spec.sites:
        if site.name == name:
            return name, site.parent.name
    for body in spec.bodies:
        if body.name == name:
            return str(body.add_site(name=f"grip:{name}").name), name
    raise UserError(f"gripper: {unknown('site or body', name, _names(spec))}")


def _names(spec: mujoco.MjSpec) -> list[str]:
    return [thing.name for thing in (*spec.sites, *spec.bodies) if thing.name]


def check_region(model: mujoco.MjModel, data: mujoco.MjData, joint: str, site: str, region: Region) -> None:
    """Raise ``UserError`` where no point of the region is within the arm's reach, however it stretches."""
    chain, first = [int(model.site(site).bodyid[0])], int(model.joint(joint).bodyid[0])
    while chain[-1] not in (first, 0):
        chain.append(int(model.body_parentid[chain[-1]]))
    turned = model.jnt_pos[np.isin(model.jnt_bodyid, chain)]  # a body turns about its joint, not about its origin
    lengths = (model.site(site).pos[None], model.body_pos[chain[:-1]], 2 * turned)
    reach = sum(float(np.linalg.norm(offsets, axis=1).sum()) for offsets in lengths)
    start, centre, half = data.joint(joint).xanchor, np.array(region.centre), np.array(region.half)
    nearest = float(np.linalg.norm(start - np.clip(start, centre - half, centre + half)))
    if nearest > reach:
        raise UserError(
            f"region: its nearest point is {nearest:.2f} m from {joint}, and the arm reaches {reach:.2f} m at most; "
            "centre and half are in metres, in the model's world"
        )


def furnish(spec: mujoco.MjSpec, region: Region, puck: Puck | None) -> None:
    """Add the target that pictures show and, for a puck, the puck and its table."""
    for key in list(spec.keys):
        spec.delete(key)  # their sizes would no longer fit, and nothing reads them
    world = spec.worldbody
    world.add_site(name="target0", size=[0.02, 0.02, 0.02], rgba=[1, 0, 0, 1])
    if puck is None:
        return
    top = region.centre[2]
    table = world.add_body(name="table0", pos=[*region.centre[:2], top - 0.02])
    size = [half + 0.15 for half in region.half[:2]]
    box, disc = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
    table.add_geom(type=box, size=[*size, 0.02], friction=[puck.friction, 0.005, 0.0001], rgba=[0.8, 0.8, 0.75, 1])
    thing = world.add_body(name="object0", pos=[*region.centre[:2], top + puck.half_height])
    free = thing.add_freejoint(name="object0:joint")
    free.damping[0] = puck.damping
    thing.add_geom(
        type=disc,
        size=[puck.radius, puck.half_height, 0],
        mass=puck.mass,
        friction=[puck.friction, 0.005, 0.0001],
        rgba=[0.2, 0.3, 0.7, 1],
    )


def model_names(
    model: mujoco.MjModel, joints: tuple[str, ...], actuators: list[str], gripper: str, fingers: tuple[str, ...]
) -> ModelNames:
    """What dynamics parameters write in the compiled model. Raises ``UserError`` where joints are not neighbours."""
    places = [int(model.joint(name).dofadr[0]) for name in joints]
    if places != list(range(places[0], places[0] + len(places))):
        order = [model.joint(i).name for i in range(model.njnt) if model.joint(i).name in joints]
        raise UserError(f"joints have to be neighbours in the model and in its order, which is {', '.join(order)}")
    bodies = [model.body(i).name for i in range(model.nbody)]
    for finger in fingers:
        if finger not in bodies:
            raise UserError(f"fingers: {unknown('body', finger, bodies)}")
    links = {f"{k}": _carried(model, name) for k, name in enumerate(joints, 1)}
    return ModelNames(
        bodies={"object": ("object0",), "table": ("table0",), "fingers": fingers or (gripper,), **links},
        joints={"arm": joints, "object": ("object0:joint",), **{f"{k}": (name,) for k, name in enumerate(joints, 1)}},
        actuators={f"{k}": name for k, name in enumerate(actuators, 1)},
    )


def _carried(model: mujoco.MjModel, joint: str) -> tuple[str, ...]:
    """Bodies that a joint moves and that no later joint moves."""
    first = int(model.joint(joint).bodyid[0])
    inside = {first}
    for body in range(first + 1, model.nbody):  # parents come before their children
        if int(model.body_parentid[body]) in inside and model.body_jntnum[body] == 0:
            inside.add(body)
    return tuple(model.body(body).name for body in sorted(inside))
