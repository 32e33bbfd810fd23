"""Options of the recurrent agent; what they do is explained here and nowhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim2real.agents.networks import MemoryKind
from sim2real.replay import Priority, Strategy


@dataclass(frozen=True)
class RDPGConfig:
    """Settings of the recurrent deterministic policy gradient. The defaults solve FetchPush."""

    memory: MemoryKind = "lstm"
    """What the policy remembers: ``lstm``, ``gru``, the last inputs (``history``), or nothing (``none``)."""
    critic_memory: MemoryKind = "lstm"
    """The critic's own memory y_t."""
    omniscient: bool = True
    """Whether the critic sees the dynamics parameters mu and the noise-free state."""
    history: int = 8
    """Inputs that a ``history`` memory keeps."""
    embedding: int = 64
    """Units of the embedding in front of a recurrent memory."""
    memory_units: int = 64
    """Units of the LSTM or GRU."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of the heads' hidden layers."""
    twin_critics: bool = True
    """Two critic heads, the smaller one as target (TD3); false: one, as in the paper."""
    critic_layer_norm: bool = False
    """Layer normalisation in the critic's heads, before every ReLU."""
    policy_delay: int = 1
    """Critic updates for every update of the policy."""
    target_noise: float = 0.0
    """Standard deviation of the noise on target actions (TD3)."""
    target_noise_clip: float = 0.5
    """Largest noise on target actions."""
    gamma: float = 0.98
    """Discount per control step."""
    n_step: int = 1
    """Rewards that a target adds up before it asks the target critic; what the policy of then did in between is taken
    as it was, without correction."""
    tau: float = 0.05
    """Share of the online weights that enters the target networks at each of their updates."""
    target_interval: int = 40
    """Critic updates between updates of the target networks."""
    learning_rate: float = 1e-3
    """Adam's step for heads and embeddings."""
    memory_learning_rate: float = 5e-4
    """Adam's step for the recurrent weights."""
    anneal_samples: int = 0
    """Samples over which both steps fall to a hundredth along half a cosine; 0: they stay. Worth most where a
    centimetre decides (FetchSlide)."""
    max_grad_norm: float = 10.0
    """Largest norm of a network's gradient."""
    action_l2: float = 1.0
    """Weight of the mean squared action in the policy's loss."""
    batch_episodes: int = 20
    """Episodes of a batch, B."""
    steps_per_episode: int | None = None
    """Transitions taken from each episode of a batch, K; null takes all of them, whatever their priority."""
    num_goals: int = 1
    """Goals for every transition, from one unroll of the memories."""
    relabel_strategy: Strategy = "future"
    """Where hindsight goals come from: later in the episode, its end, or anywhere in it."""
    per_step: bool = True
    """A goal of its own for every transition; false: one goal an episode (Peng)."""
    relabel_probability: float = 0.8
    """Probability k that a hindsight goal replaces the one asked for."""
    keep_fulfilled: float = 1.0
    """Share of hindsight goals kept that are fulfilled before the transition already; the goal that was asked for
    replaces the others. Below 1 where the arm can leave the object behind."""
    priority: Priority = "energy"
    """Steps drawn in proportion to how far the achieved goal is about to move (``energy``), or uniformly."""
    capacity: int = 20_000
    """Episodes in the replay."""
    updates_per_collect: int = 40
    """Critic updates after each round of N episodes."""
    demonstrations: int = 0
    """Episodes of the task's hand-written policy, with noise, in the replay before anything is learned. They count as
    samples. For tasks that chance hardly ever solves."""
    noise: float = 0.2
    """Standard deviation of the exploration noise."""
    random_probability: float = 0.3
    """Probability of a uniformly random action while exploring."""
    overlap: bool = True
    """Gather the next episodes in a thread while learning from the last; they come from the policy as it was before
    the update. Runs stay reproducible either way."""

    def __post_init__(self) -> None:
        counts = ("history", "embedding", "memory_units", "policy_delay", "target_interval", "batch_episodes")
        for name in (*counts, "num_goals", "n_step", "capacity", "updates_per_collect"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("tau", "relabel_probability", "keep_fulfilled", "random_probability"):
            self._check(name, 0.0 <= getattr(self, name) <= 1.0, "in [0, 1]")
        self._check("demonstrations", 0 <= self.demonstrations <= self.capacity, "from 0 to the replay's capacity")
        self._check("anneal_samples", self.anneal_samples >= 0, "at least 0")
        for name in ("learning_rate", "memory_learning_rate", "max_grad_norm"):
            self._check(name, 0.0 < getattr(self, name) < math.inf, "above 0")
        self._check("noise", 0.0 <= self.noise < math.inf, "at least 0")
        self._check("gamma", 0.0 <= self.gamma < 1.0, "in [0, 1)")
        self._check("hidden", len(self.hidden) >= 1 and min(self.hidden) >= 1, "at least one layer of at least 1 unit")
        self._check("steps_per_episode", self.steps_per_episode is None or self.steps_per_episode >= 1, "at least 1")

    def _check(self, name: str, fine: bool, allowed: str) -> None:
        if not fine:
            raise ValueError(f"{name} has to be {allowed}, got {getattr(self, name)}")
