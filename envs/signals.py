"""Time and noise of an episode, drawn before it starts: when commands arrive, when frames are read, what is added to
them.

Because nothing of it depends on what the policy does, the whole episode's timetable is made at reset, and the simulator
only follows it. Time is counted in simulation steps of 2 ms ("substeps") since reset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sim2real.envs.dynamics import INDEX

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

HOLD = -1
"""The command before the first one has arrived: keep the gripper where it is."""


@dataclass(frozen=True)
class Segment:
    """A stretch of simulation without events inside."""

    command: int | None
    """Control step whose command takes effect at the beginning, `HOLD`, or None for no change."""
    substeps: int
    frame: int | None
    """Number of the frame that is read at the end, None if none is or if the control step ends there."""


@dataclass(frozen=True)
class Timetable:
    """Everything that happens in an episode of T control steps, apart from physics."""

    steps: tuple[tuple[Segment, ...], ...]
    """Segments of each of T control steps."""
    sources: Ints
    """[T+1] reading that frame t shows: t' <= T is the end of control step t' - 1 (0: the start), T + 1 + j the
    reading made for frame j in the middle of a control step."""


def timetable(periods: Ints, command_delays: Ints, frame_delay: int | Ints, delivered: Ints) -> Timetable:
    """The timetable of an episode.

    Args:
        periods: [T] length of each control step (in substeps).
        command_delays: [T] time from sending a command to its effect (in substeps). A command never overtakes an
            earlier one: it waits for it, and where two arrive together the later one counts.
        frame_delay: age of a frame when the policy sees it (in substeps), one number or [T+1]; before the start it
            shows the start, and no frame is older than the one before it.
        delivered: [T+1] number of the frame that is seen at time t: t, or less where frames are lost.
    """
    horizon = len(periods)
    starts = np.concatenate([[0], np.cumsum(periods)])
    arrivals = np.maximum.accumulate(starts[:-1] + command_delays)
    reads = np.maximum.accumulate(np.maximum(starts - frame_delay, 0))
    ends = {time: number for number, time in enumerate(starts.tolist())}
    commands = {time: number for number, time in enumerate(arrivals.tolist()) if time < starts[-1]}
    commands.setdefault(0, HOLD)
    seen = np.unique(delivered).tolist()
    frames = {time: number for number in seen if (time := int(reads[number])) not in ends}
    steps: list[list[Segment]] = [[] for _ in range(horizon)]
    step = -1
    for left, right in pairwise(sorted({*ends, *commands, *frames})):
        step = ends.get(left, step)
        steps[step].append(Segment(commands.get(left), right - left, frames.get(right)))
    # By time: where a growing delay shows one moment twice, it is read once.
    sources = [ends.get(time, horizon + 1 + frames.get(time, 0)) for time in reads.tolist()]
    return Timetable(tuple(map(tuple, steps)), np.array(sources)[delivered])


def delivery(lost: Sequence[bool] | NDArray[np.bool_]) -> Ints:
    """[T+1] frame seen at each time when frames are ``lost`` [T+1]; the first always arrives."""
    numbers = np.arange(len(lost))
    return np.maximum.accumulate(np.where(np.asarray(lost) & (numbers > 0), 0, numbers))


@dataclass(frozen=True)
class Signals:
    """Time and noise of one episode."""

    timetable: Timetable
    observation_noise: Array
    """[T+1, D] what is added to the frame seen at each time, in the elements' units."""
    action_noise: Array
    """[T, A] what is added to the normalised action."""


def draw_signals(
    values: Array, rng: np.random.Generator, *, reference_std: Array, horizon: int, substeps: int, timestep: float
) -> Signals:
    """Draw an episode's time and noise.

    The same numbers are drawn whatever the levels are, so that episodes under two sets of dynamics can be compared.

    Args:
        values: [len(PARAMETERS)] dynamics of the episode, or [T+1, len(PARAMETERS)], those of each control step.
        rng: generator of this episode and of nothing else.
        reference_std: [D] what noise and bias of 1 mean for each element.
        horizon: T.
        substeps: length of a nominal control step.
        timestep: length of a substep (in seconds).
    """

    each_step = np.broadcast_to(values, (horizon + 1, values.shape[-1]))

    def value(name: str) -> Array:
        """[T+1]"""
        return each_step[:, INDEX[name]]

    def in_substeps(milliseconds: Array | float) -> Ints:
        return np.rint(np.asarray(milliseconds) / (1000 * timestep)).astype(np.int64)

    extra = rng.exponential(size=horizon) * value("control_period_jitter")[:-1]
    late = rng.random(size=horizon) * value("action_delay_jitter")[:-1]
    lost = rng.random(size=horizon + 1) < value("observation_drop")
    action_noise = rng.standard_normal((horizon, 4)) * value("action_noise")[:-1, None]
    white = rng.standard_normal((horizon + 1, len(reference_std))) * value("observation_noise")[:, None]
    bias = rng.standard_normal(len(reference_std)) * value("observation_bias")[:, None]
    delivered = delivery(lost)
    table = timetable(
        periods=substeps + in_substeps(extra),
        command_delays=in_substeps(value("action_delay")[:-1] + late),
        frame_delay=in_substeps(value("observation_delay")),
        delivered=delivered,
    )
    return Signals(table, (white[delivered] + bias) * reference_std, action_noise)
