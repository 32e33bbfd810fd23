"""What a policy reads in a trial and how long it remembers, proven by an environment and a policy that count."""

from __future__ import annotations

import torch

from sim2real.agents.trials import Encoder, Trials, play
from sim2real.seeding import torch_generator
from tests.agents.counting_family import Counting, CountingPolicy

FAMILY = Counting()


def trials(policy: CountingPolicy, ends: list[int], episodes: int = 3, transition: bool = False) -> Trials:
    env = FAMILY.batch(torch.tensor(ends), 1, torch_generator(0, "unused"))
    return play(policy, env, Encoder(FAMILY.task, transition), episodes, lambda outputs: outputs[:, 0].long() % 3)


def test_memory_runs_through_all_episodes_of_a_trial_and_begins_anew_with_the_next() -> None:
    policy = CountingPolicy()
    for n in (1, 2):
        remembered = trials(policy, [4, 4]).outputs[..., 0]
        assert policy.begun == n
        assert remembered.tolist() == [list(range(12))] * 2


def test_what_is_read_is_the_step_before_across_episodes_too() -> None:
    # An episode that is over only because its time is up (the task's end is at 9) counts as ended, too.
    read = trials(CountingPolicy(), [9]).inputs[0]
    episode, step, action, reward, done = read[:, 0], read[:, 1], read[:, 2:5], read[:, 5], read[:, 6]
    assert episode.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and step.tolist() == [0, 1, 2, 3] * 3
    # A reward of 100 * episode + step + 1 is read one step after it was paid; nothing is read first.
    assert reward.tolist() == [0, 1, 2, 3, 4, 101, 102, 103, 104, 201, 202, 203]
    assert done.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]
    assert action[0].tolist() == [0, 0, 0]
    assert action[1:].argmax(-1).tolist() == [k % 3 for k in range(11)] and bool((action[1:].sum(-1) == 1).all())


def test_the_observation_before_is_read_on_request() -> None:
    plain, whole = (trials(CountingPolicy(), [4], transition=flag).inputs[0] for flag in (False, True))
    assert torch.equal(whole[:, :7], plain)
    # The last that was seen in an episode before its last step: (episode, 3).
    assert whole[:6, 7:].tolist() == [[0, 0], [0, 0], [0, 1], [0, 2], [0, 3], [1, 0]]


def test_an_episode_that_ends_early_stays_where_it_is() -> None:
    played = trials(CountingPolicy(), [2, 4])
    assert played.mask[0].tolist() == [1, 1, 0, 0] * 3 and bool(played.mask[1].all())
    assert played.reward[0].tolist() == [1, 2, 0, 0, 101, 102, 0, 0, 201, 202, 0, 0]
    assert played.inputs[0, :, 6].tolist() == [0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1]
    assert played.returns(3)[0].tolist() == [3, 203, 403]


def test_a_trial_may_be_longer_or_shorter_than_the_family_says() -> None:
    assert trials(CountingPolicy(), [4], episodes=5).reward.shape == (1, 20)


class JudgedBatch:
    """The counting environments, whose goal is fulfilled at the end of every second episode."""

    def __init__(self) -> None:
        self._env, self._episode = FAMILY.batch(torch.tensor([4, 4]), 1, torch_generator(0, "unused")), 0

    def reset(self) -> torch.Tensor:
        self._episode += 1
        return self._env.reset()

    def step(self, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self._env.step(actions)

    def success(self) -> torch.Tensor:
        return torch.full((2, 1), self._episode % 2 == 0)


def test_success_is_judged_at_the_end_of_each_episode_where_the_family_knows_it() -> None:
    def draw(outputs: torch.Tensor) -> torch.Tensor:
        return outputs[:, 0].long() % 3

    played = play(CountingPolicy(), JudgedBatch(), Encoder(FAMILY.task, False), 3, draw)
    outcomes = played.outcomes(3)
    assert [outcomes[f"episode_{k}"]["success"].tolist() for k in (1, 2, 3)] == [[0, 0], [1, 1], [0, 0]]
    assert torch.allclose(outcomes["trial"]["success"], torch.full((2,), 1 / 3))
    assert "success" not in trials(CountingPolicy(), [4]).outcomes(3)["trial"]
