"""Actor, critic and policy of the recurrent agent (Peng et al. 2017, figure 4)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sim2real.agents.networks import Head, MemoryState, Normalizer, make_memory
from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.operations import Operation, operation
from sim2real.types import FloatArray, Obs, TaskSpec, Term


class Actor(nn.Module):
    """pi(s_t, z_t, g) = tanh(head([z_t, s_t], g)), with z_t = memory(s_t, a_{t-1}, z_{t-1}). Inputs are normalised."""

    def __init__(self, config: RDPGConfig, sizes: dict[str, int]) -> None:
        super().__init__()
        inputs = sizes["observation"] + sizes["action"]
        self.memory = make_memory(
            config.memory, inputs, embedding=config.embedding, hidden=config.memory_units, history=config.history
        )
        context = self.memory.output_size + sizes["observation"]
        self.head = Head(context, sizes["goal"], config.hidden, sizes["action"])

    def forward(self, z: Tensor, obs: Tensor, goals: Tensor) -> Tensor:
        """[..., H], [..., D], [..., n, G] -> actions [..., n, A] in [-1, 1]."""
        return torch.tanh(self.head(torch.cat([z, obs], -1), goals))


class Critic(nn.Module):
    """Q(s_t, a_t, y_t, g, mu): heads over one memory y_t and, if omniscient, the noise-free state and mu."""

    def __init__(self, config: RDPGConfig, sizes: dict[str, int]) -> None:
        super().__init__()
        inputs = sizes["observation"] + sizes["action"]
        self.memory = make_memory(
            config.critic_memory, inputs, embedding=config.embedding, hidden=config.memory_units, history=config.history
        )
        self.omniscient = config.omniscient
        privileged = sizes["observation"] + sizes["dynamics"] if config.omniscient else 0
        context = self.memory.output_size + inputs + privileged
        heads = 2 if config.twin_critics else 1
        query = sizes["goal"] + sizes["action"]
        self.heads = nn.ModuleList(
            Head(context, query, config.hidden, 1, layer_norm=config.critic_layer_norm) for _ in range(heads)
        )

    def forward(self, context: Tensor, goals: Tensor, actions: Tensor, *, heads: int | None = None) -> Tensor:
        """[B, K, C], [B, K, n, G], [B, K, n, A] -> [heads, B, K, n]."""
        query = torch.cat([goals, actions], -1)
        return torch.stack([head(context, query).squeeze(-1) for head in self.heads[:heads]])


class RDPGPolicy(nn.Module):
    """The deterministic policy with its normalisers: raw observation in, action in [-1, 1] out."""

    def __init__(self, config: RDPGConfig, task: TaskSpec) -> None:
        super().__init__()
        self.spec = task
        self.normalize_obs = Normalizer(task.sizes["observation"])
        self.normalize_goal = Normalizer(task.sizes["goal"])
        self.actor = Actor(config, task.sizes)

    def input_terms(self) -> tuple[Term, ...]:
        """The arguments of `step` before the state, by name."""
        return self.spec.input_terms

    def export_state_names(self) -> tuple[str, ...]:
        """Names of the state tensors: ``("h", "c")`` for an LSTM, ``("h",)`` for GRU and history, else none."""
        return ("h", "c")[: len(self.actor.memory.initial_state(1))]

    def zero_state_tensors(self, n: int) -> MemoryState:
        """State of N environments at the start of an episode, each [1, n, H]."""
        return self.actor.memory.initial_state(n)

    def initial_state(self, n: int) -> MemoryState:
        return self.zero_state_tensors(n)

    def step(
        self, observation: Tensor, desired_goal: Tensor, previous_action: Tensor, state: MemoryState
    ) -> tuple[Tensor, MemoryState]:
        """[n, D], [n, G], [n, A] and state -> action [n, A] in [-1, 1] and the next state. Traceable."""
        obs, goal = self.normalize_obs(observation), self.normalize_goal(desired_goal)
        z, state = self.actor.memory.step(torch.cat([obs, previous_action], -1), state)
        return self.actor(z, obs, goal[:, None]).squeeze(1), state

    def network(self) -> list[Operation]:
        """`step` as a list of operations, for the NumPy backend."""
        memory = self.actor.memory
        remembered = ["z"] if memory.output_size else []
        return [
            *self.normalize_obs.operations("normalize_obs", "observation", "obs"),
            *self.normalize_goal.operations("normalize_goal", "desired_goal", "goal"),
            operation("concat", ["obs", "previous_action"], ["seen"]),
            *memory.operations("actor.memory", "seen", "z"),
            operation("concat", [*remembered, "obs"], ["context"]),
            *self.actor.head.operations("actor.head", "context", "goal", "squashed"),
            operation("tanh", ["squashed"], ["action"]),
        ]

    @torch.no_grad()
    def act(self, obs: Obs, state: MemoryState, *, deterministic: bool) -> tuple[FloatArray, MemoryState]:
        """See `Policy.act`; this policy has no randomness of its own."""
        device = self.normalize_obs.mean.device
        keys = ("observation", "desired_goal", "previous_action")
        inputs = [torch.as_tensor(np.asarray(obs[key], np.float32), device=device) for key in keys]
        action, state = self.step(inputs[0], inputs[1], inputs[2], state)
        return action.cpu().numpy(), state
