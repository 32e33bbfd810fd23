"""One simulated robot: writing dynamics into its own MuJoCo model, starting an episode, following a timetable."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs.dynamics import INDEX, PARAMETERS, DynamicsParameter, Write, exists
from sim2real.envs.model_names import ModelNames
from sim2real.envs.signals import Segment
from sim2real.envs.task import Initial

Array = NDArray[np.float64]
Play = Callable[[Array], Array]
"""Commanded target -> target that is acted on, both [M]."""

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


def field_view(model: mujoco.MjModel, field: str) -> Array:
    """The model's own memory of ``field``; gravity as one row."""
    view: Array = model.opt.gravity[None] if field == "gravity" else getattr(model, field)
    return view


class DynamicsWriter:
    """Writes dynamics values into one model, always starting from the compiled nominal model."""

    def __init__(
        self, model: mujoco.MjModel, nominal: mujoco.MjModel, names: ModelNames, features: frozenset[str]
    ) -> None:
        self.model, self._nominal, self._names = model, nominal, names
        self._parameters = [p for p in PARAMETERS if p.writes and exists(p, features)]
        fields = sorted({w.field for p in self._parameters for w in p.writes})
        self._restore = [(field_view(model, f), field_view(nominal, f).copy()) for f in (*fields, *DERIVED)]
        self._jobs = [(INDEX[p.name], p, [self._target(w) for w in p.writes]) for p in self._parameters]
        self._const = [INDEX[p.name] for p in self._parameters if p.set_const]
        self._nominal_const = np.array([PARAMETERS[i].nominal for i in self._const])
        self._written: Array | None = None

    def _target(self, write: Write) -> tuple[Array, Any]:
        rows = self._names.select(self.model, write.field, write.where)
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
            eq_data = self.model.eq_data.copy()  # a weld's pose was set after compilation; keep it whatever happens
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


class Robot(ABC):
    """One environment's model, data and cached views of them (valid as long as the data lives).

    What differs between robots is how a command takes effect, what is read, and what ends a control step.
    """

    def __init__(self, start: Initial, features: frozenset[str]) -> None:
        self.start = start
        self.model = model = copy.copy(start.model)
        self.data = data = mujoco.MjData(model)
        self.writer = DynamicsWriter(model, start.model, start.names, features)
        self._object_pos = data.qpos[-7:-4] if "object" in features else None
        self.play: Play | None = None
        """What comes between a commanded target and the one that is acted on; None: nothing."""
        self.rub: Callable[[], None] | None = None
        """Called before every stretch of simulation, to set friction that depends on speed; None: nothing."""
        self.stiffness: Array | None = None
        """Nominal, of the joints' position controllers (in N m/rad); None where there are none."""

    def reset(self, values: Array, object_start: Array | None, reading: Array) -> None:
        """Begin an episode with dynamics ``values``; fill ``reading``. The object lies at ``object_start`` [2] or, for
        None and where that is possible, is held."""
        model, data, start = self.model, self.data, self.start
        self.writer.write(values, data)
        mujoco.mj_resetData(model, data)
        data.time = start.time
        data.qpos[:] = start.qpos
        data.qvel[:] = start.qvel
        if object_start is None and start.held is not None:
            data.qpos[:], data.qvel[:] = start.held, 0.0
        elif self._object_pos is not None and object_start is not None:
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
            segments: the timetable's row. commands: [T+1, A] physical commands; the last row is `HOLD`, zeros.
            readings: [at least 2 (T+1), reading_size] of the episode; filled at ``end`` and for frames read in
            between. end: row of the reading at the end of the step.
        """
        model, data = self.model, self.data
        for segment in segments:
            if segment.command is not None:
                self._command(commands[segment.command])
            if self.rub is not None:
                self.rub()
            mujoco.mj_step(model, data, nstep=segment.substeps)
            if segment.frame is not None:
                self._read_between(readings[len(commands) + segment.frame])
        self._finish()
        self._read(readings[end])

    @abstractmethod
    def _command(self, command: Array) -> None:
        """Let a command [A] take effect: a displacement relative to where the robot is now."""

    @abstractmethod
    def _finish(self) -> None:
        """End a control step: bring up to date what `_read` needs."""

    @abstractmethod
    def _read(self, reading: Array) -> None:
        """Fill a reading from poses that are up to date."""

    def _read_between(self, reading: Array) -> None:
        """Read in the middle of a control step; unlike `_read` it has to bring positions up to date first."""
        self._refresh()
        self._read(reading)

    def _refresh(self) -> None:
        """Poses and Jacobians of the present joint positions. gymnasium-robotics calls ``mj_forward``, twelve times as
        long: the rest of it is done again by the next ``mj_step``, and it leaves the warm start alone."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
