from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.collect import rollout
from sim2real.replay import (
    EpisodeBatch,
    EpisodeReplay,
    Strategy,
    energy,
    hindsight_index,
    relabel,
    relabelled_return,
    relabelled_reward,
)
from tests.toys import Counting, CountingPolicy, toy_task

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def counting_replay(num_envs: int = 3, rounds: int = 2, capacity: int = 8) -> tuple[Counting, EpisodeReplay]:
    env = Counting(num_envs)
    replay = EpisodeReplay(capacity, env.task, priority="uniform", device=CPU)
    for _ in range(rounds):
        replay.add(rollout(env, CountingPolicy(), deterministic=True))
    return env, replay


def test_samples_are_whole_aligned_episodes() -> None:
    _, replay = counting_replay()
    batch = replay.sample(32, generator())
    observation = batch.whole("observation")
    assert observation.shape == (32, 6, 3)
    torch.testing.assert_close(observation[:, :, 1], torch.arange(6.0).expand(32, 6))
    # the observation's third element is the action before it
    torch.testing.assert_close(batch.whole("previous_action")[..., 0], observation[..., 2])
    t = torch.tensor([[0, 3]] * 32)
    torch.testing.assert_close(batch.action(t)[..., 0], torch.tensor([[0.1, 0.4]] * 32))
    torch.testing.assert_close(batch.at("observation", t)[..., 1], t.float())


def test_ring_overwrites_the_oldest() -> None:
    _, replay = counting_replay(num_envs=3, rounds=4, capacity=8)
    assert len(replay) == 8
    episodes = sorted(set(replay.sample(200, generator()).whole("observation")[:, 0, 0].tolist()))
    # 12 episodes of 4 rounds went through 8 places: all of round 0 and one episode of round 1 are gone
    assert episodes == [1.0, 2.0, 3.0]


def test_too_many_episodes_for_the_replay() -> None:
    env = Counting(9)
    replay = EpisodeReplay(8, env.task, priority="uniform", device=CPU)
    with pytest.raises(ValueError, match="9 episodes do not fit a replay of 8"):
        replay.add(rollout(env, CountingPolicy(), deterministic=True))


def test_energy_is_the_clipped_displacement_ahead() -> None:
    still = torch.zeros(1, 4, 3)
    there_and_back = torch.zeros(1, 4, 3)
    there_and_back[0, 1, 0] = 0.1
    far = torch.zeros(1, 4, 3)
    far[0, 3, 2] = 9.0
    weights = energy(torch.cat([still, there_and_back, far]), lookahead=2)
    # displacement over the next two steps: 0; then 0 - 0, 0.1 - 0, 0 - 0; then 0, 9, 9 clipped to 0.15
    expected = [[0.002, 0.002, 0.002], [0.002, 0.102, 0.002], [0.002, 0.152, 0.152]]
    torch.testing.assert_close(weights, torch.tensor(expected))


def test_priority_follows_energy() -> None:
    env = Counting(2)
    replay = EpisodeReplay(8, env.task, priority="energy", device=CPU)
    episodes = rollout(env, CountingPolicy(), deterministic=True)
    episodes.achieved_goal[0] = 0.0  # stays; the other one moves 0.1 m a step: at the ceiling but for the last
    replay.add(episodes)
    goal = replay.sample(2_000, generator()).whole("desired_goal")[:, 0]
    # weights 5 * 0.002 and 4 * 0.152 + 0.102: share of the one that stayed = 0.014, standard deviation 0.003
    assert float((goal == 0).float().mean()) == pytest.approx(0.01 / 0.72, abs=0.01)


@given(
    strategy=st.sampled_from(["future", "final", "episode"]),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    num_goals=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_hindsight_index_is_never_in_the_past_nor_beyond_the_end(
    strategy: Strategy, lengths: list[int], num_goals: int, seed: int
) -> None:
    length = torch.tensor(lengths)
    t = torch.arange(12).expand(len(lengths), 12)
    index = hindsight_index(t, length, strategy=strategy, num_goals=num_goals, generator=generator(seed))
    assert index.shape == (len(lengths), 12, num_goals)
    assert bool((index <= length[:, None, None]).all()) and bool((index >= 0).all())
    happened = (t < length[:, None])[..., None].expand_as(index)
    if strategy == "future":
        assert bool((index > t[..., None])[happened].all())
    if strategy == "final":
        assert bool((index == length[:, None, None]).all())


def test_future_is_uniform_over_what_is_left() -> None:
    t = torch.full((1, 1), 2)
    index = hindsight_index(t, torch.tensor([5]), strategy="future", num_goals=9_000, generator=generator())
    counts = torch.bincount(index.flatten(), minlength=6)
    assert counts[:3].sum() == 0
    assert [round(float(c) / 9_000, 1) for c in counts[3:]] == [0.3, 0.3, 0.3]


def within_two_steps(achieved: torch.Tensor, desired: torch.Tensor) -> torch.Tensor:
    return -((achieved - desired).abs().squeeze(-1) > 0.25).float()


def relabelled(
    batch: EpisodeBatch,
    t: torch.Tensor,
    draws: torch.Generator,
    *,
    strategy: Strategy = "final",
    per_step: bool = True,
    probability: float = 1.0,
    num_goals: int = 2,
    keep_fulfilled: float = 1.0,
) -> torch.Tensor:
    """`relabel` with hindsight everywhere, fulfilled goals included, unless a test asks for something else."""
    return relabel(
        batch,
        t,
        strategy=strategy,
        per_step=per_step,
        probability=probability,
        num_goals=num_goals,
        keep_fulfilled=keep_fulfilled,
        reward=within_two_steps,
        generator=draws,
    )


@pytest.mark.parametrize("per_step", [True, False])
def test_relabelled_goals_come_from_the_same_episode(per_step: bool) -> None:
    env, replay = counting_replay()
    batch = replay.sample(16, generator())
    t = torch.arange(5).expand(16, 5)
    goals = relabelled(batch, t, generator(1), strategy="future", per_step=per_step, num_goals=3)
    assert goals.shape == (16, 5, 3, 1)
    # achieved_goal = env number + 0.1 step: the whole part names the episode's environment
    own = batch.whole("desired_goal")[:, None, None]
    step = ((goals - own) * 10).round()
    assert bool((step >= 1).all()) and bool((step <= 5).all())
    if per_step:
        assert bool((step[..., 0] > t[..., None]).all())
    else:
        assert bool((goals == goals[:, :1]).all())
    reward = relabelled_reward(batch, t, goals, env.compute_reward)
    expected = torch.where(step[..., 0] == t[..., None] + 1, 0.0, -1.0)
    torch.testing.assert_close(reward, expected.to(reward.dtype))


def test_rewards_of_several_steps_by_hand() -> None:
    env, replay = counting_replay()  # achieves 0.1 more in every one of its 5 steps
    batch = replay.sample(3, generator())
    t = torch.tensor([0, 2, 4]).expand(3, 3)
    goals = (batch.whole("desired_goal") + 0.3)[:, None, None].expand(3, 3, 1, 1)  # what is achieved after 3 steps
    total, end = relabelled_return(batch, t, goals, env.compute_reward, steps=3, gamma=0.5)
    # from 0: -1 - 0.5 and 0 at the third step; from 2: 0 at once, then -0.5 - 0.25; from 4: one step is left, -1
    torch.testing.assert_close(total[..., 0], torch.tensor([-1.5, -0.75, -1.0]).expand(3, 3))
    assert end.tolist() == [[3, 5, 5]] * 3


def test_rewards_of_one_step_are_those_of_the_transition() -> None:
    env, replay = counting_replay()
    batch = replay.sample(4, generator())
    t = torch.arange(5).expand(4, 5)
    goals = relabelled(batch, t, generator(1), strategy="future")
    total, end = relabelled_return(batch, t, goals, env.compute_reward, steps=1, gamma=0.5)
    assert torch.equal(total, relabelled_reward(batch, t, goals, env.compute_reward)) and torch.equal(end, t + 1)


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.8, 0.8), (1.0, 1.0)])
def test_share_of_hindsight_goals(probability: float, share: float) -> None:
    _, replay = counting_replay()
    batch = replay.sample(200, generator())
    t = torch.arange(5).expand(200, 5)
    goals = relabelled(batch, t, generator(2), probability=probability)
    changed = (goals != batch.whole("desired_goal")[:, None, None]).float().mean()
    assert float(changed) == pytest.approx(share, abs=0.04)


@pytest.mark.parametrize(("keep", "share"), [(0.0, 0.0), (0.2, 0.2), (1.0, 1.0)])
def test_goals_that_are_fulfilled_already_give_way_to_the_one_asked_for(keep: float, share: float) -> None:
    _, replay = counting_replay()  # achieves 0.1 more in every step
    batch = replay.sample(200, generator())
    t = torch.arange(5).expand(200, 5)
    goals = relabelled(batch, t, generator(3), keep_fulfilled=keep)
    hindsight = (goals != batch.whole("desired_goal")[:, None, None]).float().mean((0, 2, 3))
    # The last goal is 0.5 away at t = 0 and within 0.25 from t = 3 on.
    assert hindsight[:3].tolist() == [1.0, 1.0, 1.0]
    assert hindsight[3:].tolist() == pytest.approx([share, share], abs=0.06)


def test_short_episodes_keep_to_their_mask() -> None:
    task = toy_task(horizon=5, observation=3, goal=1, action=1, dynamics=1)
    env = Counting(1)
    replay = EpisodeReplay(4, task, priority="uniform", device=CPU)
    episodes = rollout(env, CountingPolicy(), deterministic=True)
    episodes.mask[:, 2:] = 0.0  # two steps happened
    replay.add(episodes)
    batch = replay.sample(50, generator())
    assert batch.length().tolist() == [2] * 50
    goals = relabelled(batch, torch.zeros(50, 1, dtype=torch.long), generator(), strategy="future", num_goals=4)
    assert sorted({round(float(g), 1) for g in goals.flatten()}) == [0.1, 0.2]


@pytest.mark.parametrize("priority", ["uniform", "energy"])
def test_state_round_trip(priority: Literal["uniform", "energy"]) -> None:
    env = Counting(3)
    first = EpisodeReplay(8, env.task, priority=priority, device=CPU)
    first.add(rollout(env, CountingPolicy(), deterministic=True))
    second = EpisodeReplay(8, env.task, priority=priority, device=CPU)
    second.load_state_dict(first.state_dict())
    more = rollout(env, CountingPolicy(), deterministic=True)
    first.add(more)
    second.add(more)
    a, b = first.sample(20, generator(5)), second.sample(20, generator(5))
    np.testing.assert_array_equal(a.whole("observation"), b.whole("observation"))


def test_steps_are_drawn_by_priority_and_never_from_the_padding() -> None:
    env = Counting(1)
    replay = EpisodeReplay(4, env.task, priority="energy", device=CPU)
    episodes = rollout(env, CountingPolicy(), deterministic=True)
    episodes.mask[:, 4:] = 0.0  # four of the five steps happened
    episodes.achieved_goal[:] = 0.0
    episodes.achieved_goal[:, 3:] = 0.048  # moves in step 2: the steps 0 to 2 see it coming
    replay.add(episodes)
    batch = replay.sample(1, generator())
    t = replay.sample_steps(batch, 10_000, generator())
    counts = torch.bincount(t[0], minlength=5)
    # weights 0.05, 0.05, 0.05, 0.002, 0: shares 0.329, 0.329, 0.329, 0.013, 0
    assert [round(float(c) / 10_000, 1) for c in counts] == [0.3, 0.3, 0.3, 0.0, 0.0]
    assert counts[3] > 0 and counts[4] == 0
