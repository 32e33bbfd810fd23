"""Options of RL²."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sim2real.agents.trpo import TrustRegionConfig
from sim2real.errors import at_least


@dataclass(frozen=True)
class RL2Config:
    """Networks, batches and the outer learner."""

    embedding: int = 64
    """Units of the ReLU layer before the memory."""
    hidden: int = 128
    """Units of the memory."""
    normalize: bool = False
    """Whether observations are standardised with running statistics; for families whose observations have units."""
    transition: bool = False
    """Whether the observation before is read, too, so that one input holds a whole transition (s, a, r, done, s')."""
    init_std: float = 1.0
    """Standard deviation of Gaussian actions before training."""
    trials: int = 2_000
    """Trials played between two updates, each in a new task."""
    batch_trials: int = 500
    """Trials of a gradient step."""
    discount: float = 0.99
    """Of rewards, through the whole trial."""
    trace: float = 0.3
    """Lambda of the generalised advantages."""
    outer: Literal["ppo", "trpo"] = "ppo"
    """What improves the policy."""
    learning_rate: float = 1e-3
    """Of the policy, with PPO (Adam)."""
    epochs: int = 4
    """Passes of PPO over the trials."""
    clip: float = 0.2
    """PPO's limit for the ratio of probabilities."""
    entropy: float = 0.0
    """Weight of the entropy bonus, with PPO."""
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    """The step of TRPO."""
    baseline_learning_rate: float = 1e-3
    """Of the baseline (Adam)."""
    baseline_epochs: int = 2
    """Passes of the baseline over the trials."""
    anneal_samples: int = 0
    """Learning rates and the entropy bonus fall to a hundredth along half a cosine over this many samples, and stay
    there; 0: they do not fall."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are shortened."""
    evaluate: Literal["sample", "mode"] = "sample"
    """How actions are chosen in an evaluation: drawn as in training, or the most likely one."""

    def __post_init__(self) -> None:
        at_least(self, 1, "embedding", "hidden", "trials", "batch_trials", "epochs", "baseline_epochs")
        if not (0 < self.discount <= 1 and 0 <= self.trace <= 1):
            raise ValueError("discount has to be in (0, 1] and trace in [0, 1]")
