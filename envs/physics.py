"""One simulated robot: writing dynamics into its own MuJoCo model, starting an episode, following a timetable.

The sequence of MuJoCo calls is that of gymnasium-robotics' ``MujocoFetchEnv.step`` (but for `Robot._refresh`), so with
nominal timing the trajectory is the same to the last bit.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs import fetch
from sim2real.envs.dynamics import INDEX, LINKS, PARAMETERS, DynamicsParameter, Write
from sim2real.envs.fetch import FetchTask, Initial
from sim2real.envs.signals import Segment

Array = NDArray[np.float64]

# What mj_setConst recomputes after a change of mass, inertia, armature or a static body's place. dof_M0 among them:
# mj_crb takes the inertia of a "simple" body such as the free object from it.
DERIVED = (
    "body_subtreemass",
    "body_invweight0",
    "dof_invweight0",
    "dof_M0",
    "actuator_acc0",
    "tendon_invweight0",
    "tendon_length0",
    "cam_pos0",
    "cam_poscom0",
    "cam_mat0",
    "light_pos0",
    "light_poscom0",
    "light_dir0",
    "eq_data",
)
STATISTICS = ("meaninertia", "meanmass", "meansize", "extent")
ROTATION = np.array([1.0, 0.0, 1.0, 0.0])
"""gymnasium-robotics adds this to the mocap quaternion with every action; the sum is not normalised."""


def select(model: mujoco.MjModel, field: str, where: str) -> list[int]:
    """Rows of ``field`` that the selection ``where`` names."""
    if field == "gravity":
        return [0]
    bodies = {
        "object": ["object0"],
        "table": ["table0"],
        "fingers": ["robot0:r_gripper_finger_link", "robot0:l_gripper_finger_link"],
        **{link: [f"robot0:{link}_link"] for link in LINKS},
    }
    joints = [f"robot0:{name}_joint" for name in LINKS[:-1]]
    if field.startswith("eq_"):
        return [i for i in range(model.neq) if int(model.eq_type[i]) == int(mujoco.mjtEq.mjEQ_WELD)]
    if field.startswith("dof_"):
        names = joints if where == "arm" else ["object0:joint"]
        wanted = [model.joint(name).id for name in names]
        return [i for i in range(model.nv) if int(model.dof_jntid[i]) in wanted]
    ids = [model.body(name).id for name in bodies[where]]
    if field.startswith("geom_"):
        return [i for i in range(model.ngeom) if int(model.geom_bodyid[i]) in ids]
    return ids


def field_view(model: mujoco.MjModel, field: str) -> Array:
    """The model's own memory of ``field``; gravity as one row."""
    view: Array = model.opt.gravity[None] if field == "gravity" else getattr(model, field)
    return view


class DynamicsWriter:
    """Writes dynamics values into one model, always starting from the compiled nominal model."""

    def __init__(self, model: mujoco.MjModel, nominal: mujoco.MjModel, has_object: bool) -> None:
        self.model = model
        self._nominal = nominal
        self._parameters = [p for p in PARAMETERS if p.writes and (has_object or p.needs != "object")]
        fields = sorted({w.field for p in self._parameters for w in p.writes})
        self._restore = [(field_view(model, f), field_view(nominal, f).copy()) for f in (*fields, *DERIVED)]
        self._jobs = [(INDEX[p.name], p, [self._target(w) for w in p.writes]) for p in self._parameters]
        self._const = [INDEX[p.name] for p in self._parameters if p.set_const]
        self._nominal_const = np.array([PARAMETERS[i].nominal for i in self._const])
        self._written: Array | None = None

    def _target(self, write: Write) -> tuple[Array, Any]:
        rows = select(self.model, write.field, write.where)
        view = field_view(self.model, write.field)
        return view, rows if write.column is None else (rows, write.column)

    def write(self, values: Array, data: mujoco.MjData) -> None:
        """Write ``values`` [len(PARAMETERS)] into the model. ``data`` is scratch memory: reset it afterwards."""
        if self._written is not None and np.array_equal(values, self._written):
            return
        for view, nominal in self._restore:
            view[...] = nominal
        for name in STATISTICS:
            setattr(self.model.stat, name, getattr(self._nominal.stat, name))
        for index, parameter, targets in self._jobs:
            if values[index] != parameter.nominal:
                for view, rows in targets:
                    _apply(parameter, view, rows, values[index])
        if not np.array_equal(values[self._const], self._nominal_const):
            eq_data = self.model.eq_data.copy()  # the weld's pose was set after compilation; keep it whatever happens
            mujoco.mj_setConst(self.model, data)
            self.model.eq_data[:] = eq_data
        self._written = values.copy()


def _apply(parameter: DynamicsParameter, view: Array, rows: Any, value: float) -> None:
    if parameter.operation == "scale":
        view[rows] *= value
    elif parameter.operation == "add":
        view[rows] += value
    else:
        view[rows] = value


class Robot:
    """One environment's model, data and cached views of them (valid as long as the data lives)."""

    def __init__(self, task: FetchTask, start: Initial) -> None:
        self.task, self.start = task, start
        self.model = model = copy.copy(start.model)
        self.data = data = mujoco.MjData(model)
        self.writer = DynamicsWriter(model, start.model, task.has_object)
        self._grip = model.site("robot0:grip").id
        self._object = model.site("object0").id if task.has_object else -1
        gripper = model.body("robot0:gripper_link").id
        fingers = [model.joint(f"robot0:{side}_gripper_finger_joint") for side in "rl"]
        qpos, dofs = int(fingers[0].qposadr[0]), int(fingers[0].dofadr[0])
        assert [int(f.qposadr[0]) for f in fingers] == [qpos, qpos + 1]
        self._finger_pos = data.qpos[qpos : qpos + 2]
        self._finger_vel = data.qvel[dofs : dofs + 2]
        self._object_pos = data.qpos[-7:-4] if task.has_object else None
        self._gripper_pos, self._gripper_quat = data.xpos[gripper], data.xquat[gripper]
        self._mocap_pos, self._mocap_quat = data.mocap_pos[0], data.mocap_quat[0]
        self._grip_pos = data.site_xpos[self._grip]
        if task.has_object:
            self._site_pos, self._site_mat = data.site_xpos[self._object], data.site_xmat[self._object]
        self._qvel, self._ctrl, self._has_ctrl = data.qvel, data.ctrl, model.nu > 0
        if self._has_ctrl:  # the model lists the fingers' joints right, left and their actuators left, right
            assert [int(j) for j in model.actuator_trnid[:, 0]] == [fingers[1].id, fingers[0].id]
        self._actuated_pos = self._finger_pos[::-1]
        self._linear, self._angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))

    def reset(self, values: Array, object_start: Array | None, reading: Array) -> None:
        """Begin an episode with dynamics ``values`` and the object at ``object_start`` [2]; fill ``reading``."""
        model, data, start = self.model, self.data, self.start
        self.writer.write(values, data)
        mujoco.mj_resetData(model, data)
        data.time = start.time
        data.qpos[:] = start.qpos
        data.qvel[:] = start.qvel
        if self._object_pos is not None and object_start is not None:
            self._object_pos[:2] = object_start
            self._object_pos[2] += values[INDEX["table_height"]]
        mujoco.mj_forward(model, data)
        self._read(reading)

    def change(self, values: Array) -> None:
        """Go on with dynamics ``values`` from the present state: positions, velocities and targets stay."""
        self.writer.write(values, mujoco.MjData(self.model))

    def step(self, segments: Sequence[Segment], commands: Array, readings: Array, end: int) -> None:
        """One control step.

        Args:
            segments: the timetable's row. commands: [T+1, 4] displacement of gripper (m) and fingers (m) of each
            command; the last row is `HOLD`, zeros. readings: [2 (T+1), READING_SIZE] of the episode; filled at
            ``end`` and for frames read in between. end: row of the reading at the end of the step.
        """
        model, data = self.model, self.data
        for segment in segments:
            if segment.command is not None:
                self._command(commands[segment.command])
            mujoco.mj_step(model, data, nstep=segment.substeps)
            if segment.frame is not None:
                self._read_between(readings[len(readings) // 2 + segment.frame])
        if self.task.block_gripper:
            self._finger_pos[:] = 0.0
            self._refresh()
        self._read(readings[end])

    def _command(self, command: Array) -> None:
        """gymnasium-robotics' ``ctrl_set_action`` and ``mocap_set_action``: the target is set relative to the gripper
        as last computed, which is one substep old where the step did not end with ``mj_forward``."""
        if self._has_ctrl:
            np.add(self._actuated_pos, command[3], out=self._ctrl)
        np.add(self._gripper_pos, command[:3], out=self._mocap_pos)
        np.add(self._gripper_quat, ROTATION, out=self._mocap_quat)

    def _read(self, reading: Array) -> None:
        linear, qvel = self._linear, self._qvel
        reading[fetch.GRIP_POS] = self._grip_pos
        reading[fetch.FINGER_POS] = self._finger_pos
        reading[fetch.FINGER_VEL] = self._finger_vel
        mujoco.mj_jacSite(self.model, self.data, linear, None, self._grip)
        reading[fetch.GRIP_VEL] = linear @ qvel
        if self._object >= 0:
            reading[fetch.OBJECT_POS] = self._site_pos
            reading[fetch.OBJECT_ROT] = self._site_mat
            mujoco.mj_jacSite(self.model, self.data, linear, self._angular, self._object)
            reading[fetch.OBJECT_VEL] = linear @ qvel
            reading[fetch.OBJECT_SPIN] = self._angular @ qvel

    def _refresh(self) -> None:
        """Poses and Jacobians of the present joint positions. gymnasium-robotics calls ``mj_forward``, twelve times as
        long: the rest of it is done again by the next ``mj_step``, and it leaves the warm start alone."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)

    def _read_between(self, reading: Array) -> None:
        """Read in the middle of a control step; unlike `_read` it has to bring positions up to date first."""
        self._refresh()
        self._read(reading)
        if self.task.block_gripper:
            reading[fetch.FINGER_POS] = 0.0
