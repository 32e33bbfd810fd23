"""N environments in one call, on threads: the backend of training and evaluation.

MuJoCo releases the interpreter lock inside ``mj_step``, so Python threads with one model and one data each use all
cores, and the result does not depend on how many there are.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from sim2real.curriculum import TASK_ITSELF, Curriculum
from sim2real.envs.dynamics import INDEX, PARAMETERS, exists
from sim2real.envs.dynamics_sets import NOMINAL, DynamicsSet, load_dynamics
from sim2real.envs.privileged import privileged
from sim2real.envs.reference import reference_std
from sim2real.envs.render import Camera
from sim2real.envs.scripted import scripted
from sim2real.envs.signals import Signals, draw_signals
from sim2real.envs.spaces import observation_space
from sim2real.envs.surrogate import Surrogate
from sim2real.envs.task import compute_reward, is_success
from sim2real.envs.tasks import find
from sim2real.envs.threads import Threads
from sim2real.envs.variations import DynamicsChange
from sim2real.errors import UserError
from sim2real.types import FloatArray, Obs, State

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Independent streams of an episode's randomness: task, dynamics, signals. Start and goal have their own, so a seed
# means the same starts and goals under every set of dynamics, and so have the parameters, so it means the same
# quantiles of each. Exploring starts and a surrogate robot come last, so that episodes are the same without them.
STREAMS = range(5)


class FetchVectorEnv(VectorEnv[Any, Any, Any]):
    """N environments of one task whose episodes begin and end together.

    Episode k of a seed is the same whatever N, the number of threads and the history are: all its randomness comes from
    ``default_rng([seed, k, stream])``. The n-th `reset` after seeding starts episodes ``n N ... (n + 1) N - 1``.

    Args:
        task: one of `sim2real.envs.TASKS`, for example ``FetchPush``, or the YAML file of an arm of one's own.
        num_envs: N; each takes about 9 MiB of memory.
        dynamics: a set, the name of a packaged one (``nominal``, ``train``, ``unseen``, ...), or the path of a YAML
            file.
        seed: first seed of the sequence of episodes.
        threads: at most as many as there are cores.
        curriculum: how episodes differ from the task itself, for training.
        held_out: that nothing learns from the episodes. Only then ``dynamics`` may be a surrogate robot.

    Raises:
        UserError: unknown task or dynamics; a surrogate robot without ``held_out``.
    """

    change: DynamicsChange | None = None
    """A change of dynamics in the middle of the episodes that begin with the next `reset`."""
    imposed: Array | None = None
    """Dynamics [N, parameters] of the episodes that begin from now on, in the order and the units of `PARAMETERS`;
    None: drawn from the set for every episode."""
    metadata: dict[str, Any] = {  # noqa: RUF012 - gymnasium's own class attribute
        "render_modes": ["rgb_array"],
        "render_fps": 25,
        "autoreset_mode": AutoresetMode.DISABLED,
    }

    def __init__(
        self,
        task: str,
        num_envs: int,
        dynamics: str | DynamicsSet = "train",
        seed: int = 0,
        threads: int = 2,
        curriculum: Curriculum = TASK_ITSELF,
        held_out: bool = False,
    ) -> None:
        if num_envs < 1 or threads < 1:
            raise UserError(f"num_envs and threads must be at least 1, got {num_envs} and {threads}")
        self.definition = find(task)
        self._curriculum = curriculum
        self.dynamics = dynamics if isinstance(dynamics, DynamicsSet) else load_dynamics(dynamics)
        if not held_out:
            self.dynamics.check_trainable()
        self._drawn_from = self.dynamics.of(task)
        self.privileged = privileged(self.definition)
        self.task = self.definition.spec(self.privileged.names)
        self.num_envs, self.render_mode = num_envs, "rgb_array"
        self._initial = self.definition.initial(near_starts=curriculum.near_starts > 0)
        self._surrogate = Surrogate(self.definition, self.dynamics.effects, num_envs) if self.dynamics.effects else None
        if self._surrogate is not None:
            self._initial = self._surrogate.altered(self._initial)
        self._timestep = float(self._initial.model.opt.timestep)
        self._robots = [self.definition.robot(self._initial) for _ in range(num_envs)]
        if self._surrogate is not None:
            self._surrogate.equip(self._robots)
        self._reference_std = reference_std(self.definition)
        self._exists = np.array([exists(p, self.definition.features) for p in PARAMETERS])
        self.dynamics.check_named(task, [p.name for p, there in zip(PARAMETERS, self._exists, strict=True) if there])
        self._threads = Threads(threads, num_envs)
        self._camera: Camera | None = None
        self._seed, self._next_episode = int(seed), 0
        self._time = self.task.horizon  # nothing can be stepped before the first reset
        self._allocate()
        self._make_spaces()

    def _allocate(self) -> None:
        n, horizon, actions = self.num_envs, self.task.horizon, len(self.task.action)
        rows = (2 if self._surrogate is None else 3) * (horizon + 1)
        self._values = np.tile([p.nominal for p in PARAMETERS], (n, 1))
        self._later_values = self._values.copy()
        self._mu = np.zeros((n, len(self.privileged.names)))
        self._goals = np.zeros((n, 3))
        self._object_starts, self._held = np.zeros((n, 2)), np.zeros(n, np.bool_)
        self._readings = np.zeros((n, rows, self.definition.reading_size))
        self._commands = np.zeros((n, horizon + 1, actions))
        self._sources = np.zeros((n, horizon + 1), np.int64)
        self._pictures = np.zeros((n, horizon + 1), np.int64)
        self._observation_noise = np.zeros((n, horizon + 1, len(self._reference_std)))
        self._action_noise = np.zeros((n, horizon, actions))
        self._signals: list[Signals] = []

    def _make_spaces(self) -> None:
        sizes = self.task.sizes
        self.single_observation_space = observation_space(sizes)
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (sizes["action"],), np.float32)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, FloatArray], dict[str, Any]]:
        """Start the next N episodes; ``seed`` restarts the sequence of episodes at number 0.

        Returns:
            The observation (see ``observation_space``) and info with ``dynamics_values`` [N, P] in physical units and
            ``is_success`` [N]: whether the goal is fulfilled before the first action.
        """
        if isinstance(seed, list):
            raise ValueError("got a list of seeds; one seed gives all N episodes: reset(seed=0)")
        if options:
            raise ValueError(f"reset takes no options, got {options}; all N episodes start together")
        if seed is not None:
            self._seed, self._next_episode = int(seed), 0
        self._signals = [self._draw(i, self._next_episode + i) for i in range(self.num_envs)]
        self._next_episode += self.num_envs
        self._mu = self.privileged.scale(self._values)
        self._time = 0
        self._threads.each(self._reset_robot)
        success = is_success(self._achieved(), self._goals, self.definition.threshold)
        return self._observe(), {
            "dynamics_values": self._values[:, self.privileged.indices],
            "is_success": success,
        }

    def _draw(self, i: int, episode: int) -> Signals:
        """Everything random about an episode of environment ``i``."""
        streams = (np.random.default_rng([self._seed, episode, stream]) for stream in STREAMS)
        task, dynamics, signal, near, surrogate = streams
        values = self._drawn_from.sample(dynamics.random(len(PARAMETERS)))
        if self.imposed is not None:
            values = self.imposed[i]
        if (width := self._curriculum.width(episode)) < 1.0:
            values = NOMINAL_VALUES + width * (values - NOMINAL_VALUES)
        self._values[i] = np.where(self._exists, values, NOMINAL_VALUES)
        if "object" in self.definition.features:
            self._object_starts[i] = self.definition.sample_start(self._initial, task)
            is_near = near.random() < self._curriculum.near_starts
            self._held[i] = is_near and self._initial.held is not None and near.random() < 0.5
            if is_near:
                self._object_starts[i] = self.definition.sample_near_start(self._initial, near)
        height = float(self._values[i, INDEX["table_height"]])
        self._goals[i] = self.definition.sample_goal(self._initial, task, height)
        each_step = np.tile(self._values[i], (self.task.horizon + 1, 1))
        if self.change:
            later = self.change.values(self._values[i], self.task.name, self._seed, episode)
            self._later_values[i] = np.where(self._exists, later, NOMINAL_VALUES)
            each_step[self.change.step :] = self._later_values[i]
        signals = draw_signals(
            each_step,
            signal,
            reference_std=self._reference_std,
            actions=len(self.task.action),
            horizon=self.task.horizon,
            substeps=round(self.task.control_dt / self._timestep),
            timestep=self._timestep,
            disturbance=None if self._surrogate is None else self._surrogate.draw(i, surrogate),
        )
        self._sources[i] = signals.timetable.sources
        if signals.timetable.pictures is not None:
            self._pictures[i] = signals.timetable.pictures
        self._observation_noise[i] = signals.observation_noise
        self._action_noise[i] = signals.action_noise
        return signals

    def _reset_robot(self, i: int) -> None:
        start = None if self._held[i] else self._object_starts[i]
        self._robots[i].reset(self._values[i], start, self._readings[i, 0])

    def step(self, actions: Any) -> tuple[dict[str, FloatArray], FloatArray, Bools, Bools, dict[str, Any]]:
        """One control step of all N environments with ``actions`` [N, A], clipped to [-1, 1].

        The step after ``task.horizon`` needs a `reset`. ``truncated`` is true in an episode's last step, ``terminated``
        never. info has ``is_success`` [N].
        """
        horizon = self.task.horizon
        if self._time >= horizon:
            raise RuntimeError(f"the episodes are over ({horizon} steps) or were never begun: call reset() first")
        if self.change and self._time == self.change.step:
            self._change_dynamics()
        self._commands[:, self._time] = self._scale(actions)
        self._time += 1
        self._threads.each(self._step_robot)
        achieved = self._achieved()
        reward = self.compute_reward(achieved, self._goals)
        ended = np.full(self.num_envs, self._time == horizon)
        info = {"is_success": is_success(achieved, self._goals, self.definition.threshold)}
        return self._observe(), reward, np.zeros(self.num_envs, np.bool_), ended, info

    def _scale(self, actions: Any) -> Array:
        """Physical commands [N, A]. Clipping and scaling keep a float32 action's precision, as gymnasium-robotics
        does; noise and gain come after."""
        actions, shape = np.asarray(actions), (self.num_envs, len(self.task.action))
        if actions.shape != shape or not np.isfinite(actions).all():
            raise ValueError(f"actions must be finite and of shape {shape}, got shape {actions.shape}: {actions!r}")
        clipped = np.clip(actions, np.float32(-1), np.float32(1))
        command: Array = (clipped * np.asarray(self.task.action_scale, clipped.dtype)).astype(np.float64)
        command += self._action_noise[:, self._time] * self.task.action_scale
        command[:, : self.definition.gained] *= self._values[:, INDEX["action_gain"], None]
        return command

    def _change_dynamics(self) -> None:
        self._values[:] = self._later_values
        self._mu = self.privileged.scale(self._values)
        self._threads.each(lambda i: self._robots[i].change(self._values[i]))

    def _step_robot(self, i: int) -> None:
        segments = self._signals[i].timetable.steps[self._time - 1]
        self._robots[i].step(segments, self._commands[i], self._readings[i], self._time)

    def _achieved(self) -> Array:
        return self.definition.achieved_goal(self._readings[:, self._time])

    def _observe(self) -> dict[str, FloatArray]:
        state = self.definition.observation(self._readings[:, self._time])
        return {
            "observation": self._seen(state) + self._observation_noise[:, self._time],
            "achieved_goal": self._achieved(),
            "desired_goal": self._goals.copy(),
            "dynamics": self._mu.copy(),
            "state": state,
        }

    def _seen(self, state: Array) -> Array:
        """The observation without noise, as old as it is when it is seen."""
        envs, sources = np.arange(self.num_envs), self._sources[:, self._time]
        if self._surrogate is None:
            if (sources == self._time).all():
                return state
            return self.definition.observation(self._readings[envs, sources])
        pictures = self._readings[envs, self._pictures[:, self._time]]
        return self.definition.observation(self._surrogate.sense(self._readings[envs, sources], pictures))

    def demonstrate(self, obs: Obs) -> FloatArray:
        """What the task's hand-written policy does (`sim2real.envs.scripted`): [N, A], float32."""
        return scripted(self.task.name, obs).astype(np.float32)

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any = None) -> Any:
        """Sparse reward over the last axis, for numpy arrays and for torch tensors."""
        return compute_reward(achieved_goal, desired_goal, self._curriculum.tolerance * self.definition.threshold)

    def render(self, index: int = 0) -> NDArray[np.uint8]:  # type: ignore[override]  # gymnasium's takes no index and gives all
        """Picture ``[480, 480, 3]`` of one environment, its goal as a red ball. Does not disturb the simulation."""
        if self._camera is None:
            start = self._initial
            self._camera = Camera(start.model, start.look_at, start.camera_distance)
        robot = self._robots[index]
        return self._camera.picture(robot.model, robot.data, self._goals[index])

    def state_dict(self) -> State:
        """Where the sequence of episodes stands; taken between episodes."""
        return {"seed": self._seed, "next_episode": self._next_episode}

    def load_state_dict(self, state: State) -> None:
        """Continue a sequence of episodes with the next `reset`."""
        self._seed, self._next_episode = int(state["seed"]), int(state["next_episode"])
        self._time = self.task.horizon

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads and the renderer (called by ``close``)."""
        self._threads.close()
        if self._camera is not None:
            self._camera.close()


NOMINAL_VALUES = NOMINAL.sample(np.zeros(len(PARAMETERS)))


make_vec = FetchVectorEnv
"""The function-like name of the same, as gymnasium has one."""
