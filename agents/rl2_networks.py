"""Policy and baseline of RL²: the same recurrent form twice, with weights of their own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sim2real.agents.heads import head_of
from sim2real.agents.networks import MemoryState, Normalizer, RecurrentMemory
from sim2real.agents.rl2_config import RL2Config
from sim2real.agents.trials import Encoder, Trials, play
from sim2real.meta_rl_types import FamilySpec, TaskFamily


class RL2Network(nn.Module):
    """Inputs of a trial -> ``outputs`` numbers a step, through an embedding and a GRU that begins empty."""

    def __init__(self, config: RL2Config, task: FamilySpec, outputs: int) -> None:
        super().__init__()
        self.normalize = Normalizer(task.observation) if config.normalize else None
        self.encode = Encoder(task, config.transition)
        self.memory = RecurrentMemory(self.encode.size, config.embedding, config.hidden, "gru")
        self.last = nn.Linear(config.hidden, outputs)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)

    def observe(self, inputs: Tensor) -> None:
        """Count the observations in ``inputs [B, L, I]`` in."""
        if self.normalize is not None:
            self.normalize.update(inputs[..., : len(self.normalize.mean)])

    def unroll(self, inputs: Tensor) -> Tensor:
        """Whole trials: [B, L, I] -> [B, L, H]."""
        outputs: Tensor = self.last(self.memory.unroll(self._normalized(inputs)))
        return outputs

    def initial_state(self, n: int) -> MemoryState:
        """Memory before the first step of n trials: zeros."""
        return self.memory.initial_state(n)

    def advance(self, inputs: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """One step: [B, I] and memory -> [B, H] and memory."""
        features, state = self.memory.step(self._normalized(inputs), state)
        return self.last(features), state

    def _normalized(self, inputs: Tensor) -> Tensor:
        if self.normalize is None:
            return inputs
        size = len(self.normalize.mean)
        parts = list(torch.tensor_split(inputs, (size, inputs.shape[-1] - size * self.encode.transition), -1))
        parts[0] = self.normalize(parts[0])
        if self.encode.transition:
            parts[2] = self.normalize(parts[2])
        return torch.cat(parts, -1)


class RL2Policy(RL2Network):
    """What describes the distribution over actions, from all that happened in the trial so far."""

    headline = "trial"
    """The setting that picks the best policy."""

    def __init__(self, config: RL2Config, task: FamilySpec) -> None:
        super().__init__(config, task, task.action)
        self.config, self.task, self.head = config, task, head_of(task)
        gaussian = task.action_kind == "gaussian"
        self.log_std = nn.Parameter(torch.full((task.action,), config.init_std).log()) if gaussian else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Whole trials: [B, L, I] -> [B, L, H], see `heads`."""
        return self._described(self.unroll(inputs))

    def step(self, inputs: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        """One step: [B, I] and memory -> [B, H] and memory."""
        outputs, state = self.advance(inputs, state)
        return self._described(outputs), state

    def _described(self, outputs: Tensor) -> Tensor:
        return outputs if self.log_std is None else torch.cat([outputs, self.log_std.expand_as(outputs)], -1)

    def play(
        self,
        family: TaskFamily,
        tasks: Tensor,
        generator: torch.Generator,
        *,
        episodes: int | None = None,
        mode: bool = False,
    ) -> Trials:
        """A trial in each of ``tasks [B, ...]``, of as many episodes as the family says unless told."""
        device = self.last.weight.device

        def draw(outputs: Tensor) -> Tensor:
            outputs = outputs.cpu()
            return self.head.mode(outputs) if mode else self.head.sample(outputs, generator)

        env = family.batch(tasks, 1, generator)
        return play(_On(self, device), env, self.encode, episodes or family.task.episodes, draw)

    def meet(
        self, family: TaskFamily, tasks: Tensor, generator: torch.Generator, *, episodes: int | None = None
    ) -> Mapping[str, Mapping[str, Tensor]]:
        """The whole trial and each of its episodes: see `Trials.outcomes`."""
        count = episodes or family.task.episodes
        trials = self.play(family, tasks, generator, episodes=count, mode=self.config.evaluate == "mode")
        return trials.outcomes(count)


class _On:
    """A policy on another device than the environments."""

    def __init__(self, policy: RL2Policy, device: torch.device) -> None:
        self.policy, self.device = policy, device

    def initial_state(self, n: int) -> MemoryState:
        return self.policy.initial_state(n)

    def step(self, inputs: Tensor, state: MemoryState) -> tuple[Tensor, MemoryState]:
        outputs, state = self.policy.step(inputs.to(self.device), state)
        return outputs.cpu(), state


class RL2Baseline(RL2Network):
    """Expected discounted return of the rest of a trial."""

    def __init__(self, config: RL2Config, task: FamilySpec) -> None:
        super().__init__(config, task, 1)
        self.scale = Normalizer(1, clip=float("inf"))

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, L, I] -> [B, L]."""
        return self.raw(inputs) * self.scale.std + self.scale.mean

    def raw(self, inputs: Tensor) -> Tensor:
        """The same in units of the returns' running deviation: [B, L]."""
        return self.unroll(inputs)[..., 0]

    def standardized(self, returns: Tensor) -> Tensor:
        """What `raw` has to predict, after counting ``returns [B, L]`` in."""
        self.scale.update(returns[..., None])
        target: Tensor = self.scale(returns[..., None])[..., 0]
        return target
