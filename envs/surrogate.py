"""A robot that no one trained on: effects that no set of dynamics has, for evaluation where no real robot is at hand.

Each effect has a name and can be had alone: a set of dynamics lists them under ``effects``. They are of a kind that
the parameters of `sim2real.envs.dynamics` cannot imitate: the equations are solved otherwise, actuators have play and
stick, latency comes in bursts, sensors are quantised, slow, and calibrated wrongly, and the table gives way. The sizes
are those of a worn mid-range arm, guessed and fixed before any policy was evaluated on them.

`sim2real.envs.make_vec` refuses a set with effects unless it is told that nothing learns from the episodes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim2real.envs.physics import Robot
from sim2real.envs.signals import Disturbance
from sim2real.envs.task import Array, Initial, Task

EFFECTS: dict[str, str] = {
    "solver": "conjugate gradients, elliptic cones, implicit integrator, steps of 2.5 ms",
    "backlash": "play between a commanded target and the one that is followed",
    "stiction": "dry friction of the arm's joints, 2.5 times as strong at rest as in motion",
    "latency": "bursts in which commands come up to 120 ms late and the robot's state up to 80 ms",
    "encoders": "positions in whole ticks, velocities in ticks per control period",
    "camera": "the object is seen at 15 Hz with jittered exposures, 40 ms late",
    "soft_contact": "what stands on the table stands on a cushion (a bag of chips)",
    "calibration": "the object is seen 1 cm beside where it is, in a frame turned by up to 1.5 degrees",
}
"""Name of an effect -> what it is, in the order in which they apply."""

TIMESTEP = 0.0025
JOINT_PLAY, WELD_PLAY = 0.008, 0.004
"""Width of the play: of a joint (in rad), and along each axis where a weld pulls the gripper (in metres)."""
RESTING_FRICTION, MOVING_FRICTION, STICK_SPEED = 30.0, 12.0, 0.02
"""In N m, N m and rad/s: friction falls from the first to the second around that speed (Stribeck)."""
STIFFNESS = 4000.0
"""Of the joints with that friction (in N m/rad); joints of another stiffness have it in proportion."""
FRICTION_INTERVAL = 5.0
"""Time between two updates of that friction (in ms)."""
ENTER_BURST, LEAVE_BURST = 0.03, 0.3
"""Probabilities in each control step: a burst lasts 3.3 steps on average, 9 % of the time is in one."""
CALM_DELAY, BURST_COMMAND_DELAY, BURST_FRAME_DELAY = (0.0, 10.0), (40.0, 120.0), (20.0, 80.0)
"""Uniform delays (in ms)."""
CAMERA_PERIOD, CAMERA_JITTER, CAMERA_DELAY = 1000.0 / 15, 12.0, 40.0
"""Time between exposures, largest delay of one, and age of a picture when it is seen first (in ms)."""
CUSHION_SOLREF, CUSHION_SOLIMP = (0.04, 0.7), (0.4, 0.9, 0.01)
"""MuJoCo's contact parameters of the cushion: a resting object sinks in by some millimetres."""
SHIFT, LIFT, TURN = 0.01, 0.004, np.deg2rad(1.5)
"""Error of the calibration: horizontal (its direction is random), vertical (either sign), about the vertical axis."""


def altered(start: Initial, effects: tuple[str, ...], control_dt: float) -> Initial:
    """The initial state in a model as the effects change it. A control period of ``control_dt`` s stays a whole number
    of the model's steps: the longest ones up to `TIMESTEP`."""
    model = copy.copy(start.model)
    if "solver" in effects:
        model.opt.solver = mujoco.mjtSolver.mjSOL_CG
        model.opt.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        model.opt.timestep = control_dt / math.ceil(control_dt / TIMESTEP - 1e-9)
    if "soft_contact" in effects and "object0" in _bodies(model):
        for geom in range(model.ngeom):
            if int(model.geom_bodyid[geom]) == model.body("table0").id:
                model.geom_priority[geom] = 1  # its parameters then count alone, not mixed with the other geom's
                model.geom_solref[geom] = CUSHION_SOLREF
                model.geom_solimp[geom, :3] = CUSHION_SOLIMP
    return replace(start, model=model)


def _bodies(model: mujoco.MjModel) -> set[str]:
    return {model.body(i).name for i in range(model.nbody)}


def disturbance(effects: tuple[str, ...], rng: np.random.Generator, horizon: int, duration: float) -> Disturbance:
    """Draw what the effects do to the timing of an episode of ``horizon`` steps and ``duration`` ms. The same numbers
    are drawn whatever the effects are."""
    burst = _bursts(rng, horizon + 1)
    calm, late = rng.uniform(*CALM_DELAY, horizon + 1), rng.uniform(*BURST_COMMAND_DELAY, horizon + 1)
    frame = np.where(burst, rng.uniform(*BURST_FRAME_DELAY, horizon + 1), calm)
    command = np.where(burst, late, calm)
    on = 1.0 if "latency" in effects else 0.0
    count = int(duration / CAMERA_PERIOD) + 2
    phase, jitter = rng.uniform(0, CAMERA_PERIOD), rng.uniform(0, CAMERA_JITTER, count)
    exposures = np.arange(count) * CAMERA_PERIOD - phase + jitter
    return Disturbance(
        command_delays=on * command[:-1],
        frame_delays=on * frame,
        exposures=exposures if "camera" in effects else None,
        picture_delay=CAMERA_DELAY,
        longest=FRICTION_INTERVAL if "stiction" in effects else None,
    )


def _bursts(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
    """Whether each of n steps lies in a burst: a Markov chain that starts outside (Gilbert 1960)."""
    inside, steps = False, []
    for u in rng.random(n).tolist():
        inside = u >= LEAVE_BURST if inside else u < ENTER_BURST
        steps.append(inside)
    return np.array(steps)


class Backlash:
    """Play in the drive: the target that is followed stays where it is until the commanded one has crossed the gap."""

    def __init__(self, width: float, tick: float) -> None:
        self._half, self._tick = width / 2, tick
        self._followed: Array | None = None

    def reset(self) -> None:
        """The gap is in the middle at the first target."""
        self._followed = None

    def __call__(self, target: Array) -> Array:
        """Commanded -> followed target."""
        if self._tick:
            target = np.round(target / self._tick) * self._tick
        before = target if self._followed is None else self._followed
        self._followed = np.clip(before, target - self._half, target + self._half)
        return self._followed


class Stiction:
    """Friction of the arm's joints that depends on their speed (Stribeck): kept in the model's ``dof_frictionloss``."""

    def __init__(self, robot: Robot) -> None:
        places = [int(robot.model.joint(name).dofadr[0]) for name in robot.start.names.joints["arm"]]
        arm = slice(places[0], places[-1] + 1)
        self._speed, self._friction = robot.data.qvel[arm], robot.model.dof_frictionloss[arm]
        share = 1.0 if robot.stiffness is None else robot.stiffness / STIFFNESS
        self._resting, self._moving = share * RESTING_FRICTION, share * MOVING_FRICTION

    def __call__(self) -> None:
        """Set the friction for the speeds of this moment."""
        stick = np.exp(-((self._speed / STICK_SPEED) ** 2))
        self._friction[:] = self._moving + (self._resting - self._moving) * stick


def miscalibration(rng: np.random.Generator) -> tuple[Array, float]:
    """Shift [3] (in metres) and turn (in rad) of one episode."""
    direction = rng.uniform(-np.pi, np.pi)
    lift, turn = rng.uniform(-1, 1, 2)
    return np.array([SHIFT * np.cos(direction), SHIFT * np.sin(direction), LIFT * np.sign(lift)]), float(TURN * turn)


class Surrogate:
    """The effects as N robots of one task have them."""

    def __init__(self, task: Task, effects: tuple[str, ...], num_envs: int) -> None:
        self._task, self._effects = task, effects
        self._backlash: list[Backlash] = []
        self._shift, self._turn, self._centre = np.zeros((num_envs, 3)), np.zeros(num_envs), np.zeros(2)

    def altered(self, start: Initial) -> Initial:
        """The state that episodes start from in a model as the effects change it."""
        self._centre = start.gripper[:2]
        return altered(start, self._effects, self._task.control_dt)

    def equip(self, robots: Sequence[Robot]) -> None:
        """Give N robots the drives that the effects mean."""
        play = WELD_PLAY if "weld" in self._task.features else JOINT_PLAY
        width = play if "backlash" in self._effects else 0.0
        tick = self._task.encoders[0].resolution if "encoders" in self._effects else 0.0
        for robot in robots:
            if "stiction" in self._effects:
                robot.rub = Stiction(robot)
            if width or tick:
                robot.play = Backlash(width, tick)
                self._backlash.append(robot.play)

    def draw(self, i: int, rng: np.random.Generator) -> Callable[[float], Disturbance]:
        """Begin an episode of environment ``i``: draws everything random of it, the timing once its length is known."""
        if self._backlash:
            self._backlash[i].reset()
        self._shift[i], self._turn[i] = miscalibration(rng)
        return lambda duration: disturbance(self._effects, rng, self._task.horizon, duration)

    def sense(self, reading: Array, picture: Array) -> Array:
        """What N robots' sensors make of readings ``[N, reading_size]``: those of the robot itself, and those that show
        what a camera sees (used if there is one)."""
        seen, columns = reading.copy(), self._task.seen
        if "camera" in self._effects:
            seen[:, columns] = picture[:, columns]
        if "encoders" in self._effects:
            for encoder in self._task.encoders:
                tick, speed = encoder.resolution, encoder.resolution / self._task.control_dt
                seen[:, encoder.position] = np.round(seen[:, encoder.position] / tick) * tick
                seen[:, encoder.velocity] = np.round(seen[:, encoder.velocity] / speed) * speed
        if "calibration" in self._effects and len(columns):
            self._misplace(seen, columns[:3])
        return seen

    def _misplace(self, seen: Array, place: NDArray[np.int64]) -> None:
        x, y = (seen[:, place[:2]] - self._centre).T
        cosine, sine = np.cos(self._turn), np.sin(self._turn)
        seen[:, place[0]] = self._centre[0] + cosine * x - sine * y
        seen[:, place[1]] = self._centre[1] + sine * x + cosine * y
        seen[:, place] += self._shift
