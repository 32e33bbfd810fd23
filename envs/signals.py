"""Time and noise of an episode, drawn before it starts: when commands arrive, when frames are read, what is added to
them.

Because nothing of it depends on what the policy does, the whole episode's timetable is made at reset, and the simulator
only follows it. Time is counted in simulation steps of 2 ms ("substeps") since reset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sim2real.envs.dynamics import INDEX

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

HOLD = -1
"""The command before the first one has arrived: stay where you are."""


@dataclass(frozen=True)
class Segment:
    """A stretch of simulation without events inside."""

    command: int | None
    """Control step whose command takes effect at the beginning, `HOLD`, or None for no change."""
    substeps: int
    frame: int | None
    """Place of the reading that is made at the end, after those of the ends of control steps: the number of the frame,
    T + 1 more for a picture. None if none is made or if the control step ends there."""


@dataclass(frozen=True)
class Timetable:
    """Everything that happens in an episode of T control steps, apart from physics."""

    steps: tuple[tuple[Segment, ...], ...]
    """Segments of each of T control steps."""
    sources: Ints
    """[T+1] reading that frame t shows: t' <= T is the end of control step t' - 1 (0: the start), T + 1 + j the
    reading made for frame j in the middle of a control step."""
    pictures: Ints | None = None
    """[T+1] the same for what a camera sees; None: the frame shows that too. A picture has a reading of its own in
    2 (T + 1) + j."""


def timetable(
    periods: Ints,
    command_delays: Ints,
    frame_delay: int | Ints,
    delivered: Ints,
    *,
    exposed: Ints | None = None,
    longest: int | None = None,
) -> Timetable:
    """The timetable of an episode.

    Args:
        periods: [T] length of each control step (in substeps).
        command_delays: [T] time from sending a command to its effect (in substeps). A command never overtakes an
            earlier one: it waits for it, and where two arrive together the later one counts.
        frame_delay: age of a frame when the policy sees it (in substeps), one for all or [T+1]; before the start it
            shows the start, and where a later frame is older than the one before, that one is seen again.
        delivered: [T+1] number of the frame that is seen at time t: t, or less where frames are lost.
        exposed: [T+1] when the picture seen at time t was taken (in substeps since reset).
        longest: largest length of a segment (in substeps).
    """
    horizon = len(periods)
    starts = np.concatenate([[0], np.cumsum(periods)])
    arrivals = np.maximum.accumulate(starts[:-1] + command_delays)
    reads = np.maximum.accumulate(np.maximum(starts - frame_delay, 0))
    ends = {time: number for number, time in enumerate(starts.tolist())}
    commands = {time: number for number, time in enumerate(arrivals.tolist()) if time < starts[-1]}
    commands.setdefault(0, HOLD)
    rows = dict(ends)
    for number in np.unique(delivered).tolist():
        rows.setdefault(int(reads[number]), horizon + 1 + number)
    for number, time in enumerate([] if exposed is None else exposed.tolist()):
        rows.setdefault(time, 2 * (horizon + 1) + number)
    cuts = sorted({*rows, *commands})
    if longest is not None:
        cuts = sorted({*cuts, *(time for a, b in pairwise(cuts) for time in range(a, b, longest))})
    steps: list[list[Segment]] = [[] for _ in range(horizon)]
    step = -1
    for left, right in pairwise(cuts):
        step = ends.get(left, step)
        frame = None if right in ends or right not in rows else rows[right] - (horizon + 1)
        steps[step].append(Segment(commands.get(left), right - left, frame))
    sources = np.array([rows[int(reads[number])] for number in delivered.tolist()])
    pictures = None if exposed is None else np.array([rows[time] for time in exposed.tolist()])
    return Timetable(tuple(map(tuple, steps)), sources, pictures)


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


@dataclass(frozen=True)
class Disturbance:
    """What a surrogate robot does to the timing of an episode (in ms); see `sim2real.envs.surrogate`."""

    command_delays: Array
    """[T] further delay of each command."""
    frame_delays: Array
    """[T+1] further age of each frame."""
    exposures: Array | None
    """[any] rising times at which a camera takes pictures of the object; None: it is seen as the robot itself is."""
    picture_delay: float
    """Age of a picture when it can be seen first."""
    longest: float | None
    """Largest length of a segment."""


def draw_signals(
    values: Array,
    rng: np.random.Generator,
    *,
    reference_std: Array,
    actions: int,
    horizon: int,
    substeps: int,
    timestep: float,
    disturbance: Callable[[float], Disturbance] | None = None,
) -> Signals:
    """Draw an episode's time and noise.

    The same numbers are drawn whatever the levels are, so that episodes under two sets of dynamics can be compared.

    Args:
        values: [len(PARAMETERS)] dynamics of the episode, or [T+1, len(PARAMETERS)], those of each control step.
        rng: generator of this episode and of nothing else.
        reference_std: [D] what noise and bias of 1 mean for each element.
        actions: A.
        horizon: T.
        substeps: length of a nominal control step.
        timestep: length of a substep (in seconds).
        disturbance: what comes on top, for an episode of that many ms.
    """
    each_step = np.broadcast_to(values, (horizon + 1, values.shape[-1]))

    def value(name: str) -> Array:
        """[T+1]"""
        return each_step[:, INDEX[name]]

    extra = rng.exponential(size=horizon) * value("control_period_jitter")[:-1]
    late = rng.random(size=horizon) * value("action_delay_jitter")[:-1]
    lost = rng.random(size=horizon + 1) < value("observation_drop")
    action_noise = rng.standard_normal((horizon, actions)) * value("action_noise")[:-1, None]
    white = rng.standard_normal((horizon + 1, len(reference_std))) * value("observation_noise")[:, None]
    bias = rng.standard_normal(len(reference_std)) * value("observation_bias")[:, None]
    delivered = delivery(lost)
    periods = substeps + in_substeps(extra, timestep)
    command_delays, frame_delays = value("action_delay")[:-1] + late, value("observation_delay")
    table = _disturbed(periods, command_delays, frame_delays, delivered, timestep, disturbance)
    return Signals(table, (white[delivered] + bias) * reference_std, action_noise)


def _disturbed(
    periods: Ints,
    command_delays: Array,
    frame_delays: Array,
    delivered: Ints,
    timestep: float,
    disturbance: Callable[[float], Disturbance] | None,
) -> Timetable:
    """`timetable` with delays in ms and what a surrogate robot adds to them."""
    exposed: Ints | None = None
    longest: int | None = None
    if disturbance is not None:
        d = disturbance(float(periods.sum()) * 1000 * timestep)
        command_delays, frame_delays = command_delays + d.command_delays, frame_delays + d.frame_delays
        longest = None if d.longest is None else int(in_substeps(d.longest, timestep))
        if d.exposures is not None:
            exposed = shown(periods, in_substeps(d.exposures, timestep), in_substeps(d.picture_delay, timestep))
    commands, frames = in_substeps(command_delays, timestep), in_substeps(frame_delays, timestep)
    return timetable(periods, commands, frames, delivered, exposed=exposed, longest=longest)


def in_substeps(milliseconds: Array | float, timestep: float) -> Ints:
    """Nearest numbers of substeps of ``timestep`` (in seconds)."""
    return np.rint(np.asarray(milliseconds) / (1000 * timestep)).astype(np.int64)


def shown(periods: Ints, exposures: Ints, delay: Ints) -> Ints:
    """[T+1] when the newest picture that is visible at each time was taken; at first that of the start (in substeps).

    Args:
        periods: [T] length of each control step. exposures: [any] rising times. delay: from exposure to visibility.
    """
    starts = np.concatenate([[0], np.cumsum(periods)])
    newest = np.searchsorted(exposures + delay, starts, side="right") - 1
    return np.maximum(np.where(newest < 0, 0, exposures[np.maximum(newest, 0)]), 0)
