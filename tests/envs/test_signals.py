from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from sim2real.envs import INDEX, PARAMETERS
from sim2real.envs.signals import HOLD, Segment, Signals, Timetable, delivery, draw_signals, timetable


def table(periods: ArrayLike, delays: ArrayLike, frame_delay: int = 0, delivered: ArrayLike = (0, 1, 2)) -> Timetable:
    return timetable(np.array(periods), np.array(delays), frame_delay, np.array(delivered))


def test_without_delay_each_step_is_one_stretch() -> None:
    t = table([20, 20], [0, 0])
    assert t.steps == ((Segment(0, 20, None),), (Segment(1, 20, None),))
    assert t.sources.tolist() == [0, 1, 2]


def test_a_delayed_command_holds_the_gripper_until_it_arrives() -> None:
    # Sent at 0 and 20, effective 5 later: hold 0-5, command 0 5-25, command 1 from 25.
    t = table([20, 20], [5, 5])
    assert t.steps == (
        (Segment(HOLD, 5, None), Segment(0, 15, None)),
        (Segment(None, 5, None), Segment(1, 15, None)),
    )


def test_a_delay_beyond_the_period_queues_commands() -> None:
    # Effective at 25 and 45, the second after the end (40).
    t = table([20, 20], [25, 25])
    assert t.steps == ((Segment(HOLD, 20, None),), (Segment(None, 5, None), Segment(0, 15, None)))


def test_a_command_never_overtakes_an_earlier_one() -> None:
    # Command 0 would arrive at 30, command 1 at 20 + 2: it waits until 30, where it replaces command 0.
    t = table([20, 20], [30, 2])
    assert t.steps == ((Segment(HOLD, 20, None),), (Segment(None, 10, None), Segment(1, 10, None)))


def test_longer_periods_move_everything_after_them() -> None:
    t = table([23, 20], [4, 4])
    assert t.steps == (
        (Segment(HOLD, 4, None), Segment(0, 19, None)),
        (Segment(None, 4, None), Segment(1, 16, None)),
    )


def test_a_delayed_frame_is_read_in_the_middle_of_a_step() -> None:
    # Seen at 0, 20, 40; 6 old: read at 0 (nothing earlier), 14, 34. Three readings at ends, then one for each frame.
    t = table([20, 20], [0, 0], frame_delay=6)
    assert t.steps == (
        (Segment(0, 14, 1), Segment(None, 6, None)),
        (Segment(1, 14, 2), Segment(None, 6, None)),
    )
    assert t.sources.tolist() == [0, 3 + 1, 3 + 2]


def test_a_frame_one_period_old_is_the_last_end() -> None:
    assert table([20, 20], [0, 0], frame_delay=20).sources.tolist() == [0, 0, 1]
    assert table([20, 20], [0, 0], frame_delay=20).steps == table([20, 20], [0, 0]).steps


def test_commands_and_frames_at_one_moment() -> None:
    # The command of step 0 takes effect at 14, where frame 1 is read: one cut, the reading before the command.
    t = table([20, 20], [14, 14], frame_delay=6)
    assert t.steps[0] == (Segment(HOLD, 14, 1), Segment(0, 6, None))


def test_lost_frames_are_not_read_and_show_the_last_one() -> None:
    t = table([20, 20], [0, 0], frame_delay=6, delivered=[0, 0, 2])
    assert t.steps == ((Segment(0, 20, None),), (Segment(1, 14, 2), Segment(None, 6, None)))
    assert t.sources.tolist() == [0, 0, 5]


def test_delivery_by_hand() -> None:
    # t:      0     1     2     3      4     5; the first frame always arrives
    lost = [True, False, True, True, False, True]
    assert delivery(lost).tolist() == [0, 1, 1, 1, 4, 4]


@settings(max_examples=100, deadline=None)
@given(
    periods=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    frame_delay=st.integers(0, 60),
    data=st.data(),
)
def test_any_timetable_covers_its_time_and_keeps_order(
    periods: list[int], frame_delay: int, data: st.DataObject
) -> None:
    horizon = len(periods)
    delays = data.draw(st.lists(st.integers(0, 60), min_size=horizon, max_size=horizon))
    lost = data.draw(st.lists(st.booleans(), min_size=horizon + 1, max_size=horizon + 1))
    t = table(periods, delays, frame_delay, delivery(lost))
    assert [sum(s.substeps for s in step) for step in t.steps] == periods
    assert all(s.substeps > 0 for step in t.steps for s in step)
    commands = [s.command for step in t.steps for s in step if s.command is not None]
    assert commands == sorted(set(commands))
    assert t.steps[0][0].command is not None
    read = {s.frame for step in t.steps for s in step if s.frame is not None}
    assert read == {int(s) - horizon - 1 for s in t.sources if s > horizon}


def draw(seed: int = 0, **values: float) -> Signals:
    array = np.array([p.nominal for p in PARAMETERS])
    for name, value in values.items():
        array[INDEX[name]] = value
    std = np.array([1.0, 2.0])
    rng = np.random.default_rng(seed)
    return draw_signals(array, rng, reference_std=std, actions=4, horizon=500, substeps=20, timestep=0.002)


def test_nominal_values_draw_silence() -> None:
    signals = draw()
    assert not signals.observation_noise.any() and not signals.action_noise.any()
    assert all(step == (Segment(t, 20, None),) for t, step in enumerate(signals.timetable.steps))


def test_milliseconds_are_rounded_to_substeps() -> None:
    # 11 ms are 5.5 substeps, rounded to 6 (half to even); 9 ms are 4.5, rounded to 4.
    assert draw(action_delay=11.0).timetable.steps[0][0] == Segment(HOLD, 6, None)
    assert draw(action_delay=9.0).timetable.steps[0][0] == Segment(HOLD, 4, None)


def test_levels_of_what_is_drawn_in_every_step() -> None:
    signals = draw(
        observation_noise=0.1,
        action_noise=0.3,
        control_period_jitter=8.0,
        action_delay_jitter=8.0,
        observation_drop=0.25,
    )
    noise = signals.observation_noise
    assert noise.std(0) == pytest.approx([0.1, 0.2], rel=0.15)
    assert signals.action_noise.std() == pytest.approx(0.3, rel=0.05)
    extra = [sum(s.substeps for s in step) - 20 for step in signals.timetable.steps]
    assert np.mean(extra) == pytest.approx(4.0, rel=0.15)  # 8 ms are 4 substeps
    assert min(extra) == 0
    repeated = np.mean(np.diff(signals.timetable.sources) == 0)
    assert repeated == pytest.approx(0.25, abs=0.06)
    same = np.flatnonzero(np.diff(signals.timetable.sources) == 0)
    np.testing.assert_array_equal(noise[same], noise[same + 1])  # a repeated frame repeats its noise


def test_bias_is_constant_over_the_episode() -> None:
    bias = draw(observation_bias=0.5).observation_noise
    assert (bias == bias[0]).all() and bias[0].all()
    many = np.array([draw(seed, observation_bias=0.5).observation_noise[0] for seed in range(200)])
    assert many.std(0) == pytest.approx([0.5, 1.0], rel=0.15)


def test_levels_do_not_change_which_numbers_are_drawn() -> None:
    one, two = draw(observation_noise=0.1), draw(observation_noise=0.2, control_period_jitter=5.0)
    np.testing.assert_allclose(2 * one.observation_noise, two.observation_noise)


def test_a_growing_delay_shows_one_moment_twice_and_none_goes_back() -> None:
    # Seen at 0, 20, 40, 60; no age, 6 and then 30 old: read at 0, 14, 14 (not 10), 30.
    t = timetable(np.array([20] * 3), np.array([0] * 3), np.array([0, 6, 30, 30]), np.arange(4))
    assert t.sources.tolist() == [0, 4 + 1, 4 + 1, 4 + 3]
    assert t.steps[0] == (Segment(0, 14, 1), Segment(None, 6, None))


def test_values_may_differ_between_steps() -> None:
    values = np.tile([p.nominal for p in PARAMETERS], (501, 1))
    values[250:, INDEX["observation_noise"]] = 0.1
    values[250:, INDEX["action_noise"]] = 0.1
    values[250:, INDEX["action_delay"]] = 20.0
    std = np.array([1.0, 2.0])
    signals = draw_signals(
        values, np.random.default_rng(0), reference_std=std, actions=4, horizon=500, substeps=20, timestep=0.002
    )
    whole = draw(observation_noise=0.1, action_noise=0.1, action_delay=20.0)
    assert not signals.observation_noise[:250].any() and not signals.action_noise[:250].any()
    np.testing.assert_array_equal(signals.observation_noise[250:], whole.observation_noise[250:])
    np.testing.assert_array_equal(signals.action_noise[250:], whole.action_noise[250:])
    assert signals.timetable.steps[249] == (Segment(249, 20, None),)
    assert signals.timetable.steps[260] == whole.timetable.steps[260] != signals.timetable.steps[249]
