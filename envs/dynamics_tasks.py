"""Few-shot dynamics regression: how does this robot move? One task is one draw of the dynamics.

An episode of random actions gives the transitions of a task. From K of them a learner has to predict the others: by how
much the gripper's position and velocity change over a control step, given state, action and the action before (which
may still be on its way). Nagabandi et al. 2019 adapt a robot's model so.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sim2real.envs.vector import FetchVectorEnv, make_vec
from sim2real.errors import UserError
from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch
from sim2real.types import State

TOGETHER = 16
"""Episodes simulated at once. A constant: the random actions of an episode depend on it."""
REFERENCE = 64
"""Episodes that say what a usual state and a usual change are."""
CLIP = 5.0
"""Largest input, in deviations, as for policies: fingers that hardly move now and then do, and one gradient step on
such an example throws a network away."""
PREDICTED = ("gripper_position", "gripper_velocity")


class Rollouts:
    """Episodes of uniformly random actions under a set of dynamics; as many as are asked for, each once.

    Args:
        task: FetchReach, FetchPuck or another name in ``TASKS``.
        dynamics: set that every episode's dynamics are drawn from.
        seed: the k-th episode is a function of it and of k.
    """

    def __init__(self, task: str, dynamics: str, *, seed: int) -> None:
        self._env: FetchVectorEnv = make_vec(task, TOGETHER, dynamics, seed, 1)
        self._random = np.random.default_rng(seed)
        elements = self._env.task.observation
        self.predicted = [i for i, element in enumerate(elements) if element.name.startswith(PREDICTED)]
        self.horizon = self._env.task.horizon

    def next(self) -> tuple[Tensor, Tensor, Tensor]:
        """The next 16 episodes: inputs (state, action, action before) [16, T, I], changes [16, T, O] in the units of
        the observation, and the privileged vector mu of each [16, P]."""
        obs, _ = self._env.reset()
        shape = (self.horizon, TOGETHER, len(self._env.task.action))
        actions = self._random.uniform(-1, 1, shape).astype(np.float32)
        states, mu = [obs["state"]], obs["dynamics"]
        states += [self._env.step(action)[0]["state"] for action in actions]
        state = np.stack(states).astype(np.float32)
        before = np.concatenate([np.zeros_like(actions[:1]), actions[:-1]])
        inputs = np.concatenate([state[:-1], actions, before], -1)
        changes = (state[1:] - state[:-1])[..., self.predicted]
        inputs_first, changes_first = (torch.as_tensor(x.swapaxes(0, 1).copy()) for x in (inputs, changes))
        return inputs_first, changes_first, torch.as_tensor(np.asarray(mu, np.float32))


class Episodes(Protocol):
    """What `DynamicsSource` needs of `Rollouts`."""

    horizon: int

    def next(self) -> tuple[Tensor, Tensor, Tensor]: ...


class DynamicsSource:
    """Tasks from rollouts, standardised by those of ``reference`` so that every source has the same units.

    Args:
        rollouts: where episodes come from.
        reference: others, of which the first 64 say what mean and deviation are.
        shots, queries: transitions of a task.
        seed: of the choice of transitions.
        pool: reuse that many episodes, for training; None: every task is a new episode.
    """

    def __init__(
        self, rollouts: Episodes, reference: Episodes, shots: int, queries: int, *, seed: int, pool: int | None
    ) -> None:
        if shots + queries > rollouts.horizon:
            raise UserError(
                f"an episode has {rollouts.horizon} transitions; {shots} shots and {queries} queries are too many"
            )
        self._rollouts, self._pool = rollouts, pool
        inputs, changes, mu = (torch.cat(parts) for parts in zip(*_batches(reference), strict=True))
        self._mean, self._std = inputs.mean((0, 1)), inputs.std((0, 1)).clamp(min=1e-4)
        self._change_std = changes.std((0, 1))
        self._inputs, self._changes, self._mu = inputs[:0], changes[:0], mu[:0]
        sizes = (inputs.shape[-1],), changes.shape[-1]
        self.task = FewShotSpec("dynamics", "regression", *sizes, shots, queries, parameter_size=mu.shape[-1])
        self._draw = torch.Generator().manual_seed(seed)
        self._next = 0
        self._device = torch.device("cpu")

    def sample(self, tasks: int) -> TaskBatch:
        """The next tasks. Errors are in units of a change's deviation; ``parameters`` is the privileged vector mu."""
        numbers = torch.arange(self._next, self._next + tasks)
        self._next += tasks
        if self._pool is not None:
            # Shuffled, or batches would be the same ones in every round.
            numbers = (numbers % self._pool)[torch.randperm(tasks, generator=self._draw)]
        self._simulate(int(numbers.max()) + 1)
        t = self.task
        order = torch.rand(tasks, self._inputs.shape[1], generator=self._draw).argsort(1)[:, : t.shots + t.queries]
        inputs, changes = self._inputs[numbers[:, None], order], self._changes[numbers[:, None], order]
        support = Examples(inputs[:, : t.shots], changes[:, : t.shots])
        query = Examples(inputs[:, t.shots :], changes[:, t.shots :])
        return TaskBatch(support, query, self._mu[numbers]).to(self._device)

    def to(self, device: torch.device) -> None:
        """Give tasks on ``device``; the episodes stay where they were simulated."""
        self._device = device

    def _simulate(self, episodes: int) -> None:
        while len(self._inputs) < episodes:
            inputs, changes, mu = self._rollouts.next()
            standardised = ((inputs - self._mean) / self._std).clamp(-CLIP, CLIP)
            self._inputs = torch.cat([self._inputs, standardised])
            self._changes = torch.cat([self._changes, changes / self._change_std])
            self._mu = torch.cat([self._mu, mu])

    def state_dict(self) -> State:
        """The episodes are not in it: they come again as they were."""
        return {"draw": self._draw.get_state(), "next": self._next}

    def load_state_dict(self, state: State) -> None:
        self._draw.set_state(state["draw"].cpu())
        self._next = int(state["next"])


def _batches(rollouts: Episodes) -> list[tuple[Tensor, Tensor, Tensor]]:
    return [rollouts.next() for _ in range(REFERENCE // TOGETHER)]
