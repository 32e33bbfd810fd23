"""Options of model-agnostic meta-learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sim2real.agents.few_shot_networks import Statistics
from sim2real.errors import at_least


@dataclass(frozen=True)
class MAMLConfig:
    """MAML (Finn et al. 2017) and what differs from it in one respect."""

    meta_batch: int = 25
    """Tasks of a meta-update, B."""
    updates_per_collect: int = 10
    """Meta-updates between two looks at budget and clock."""
    inner_steps: int = 1
    """Gradient steps on the support set while training, k. 0: the network is trained on all tasks alike, and only
    fine-tuned at test (the pretrained baseline; with ``env.reveal``, the oracle)."""
    inner_rate: float = 0.01
    """Their size alpha."""
    query_steps: Literal["last", "all"] = "last"
    """After which inner steps the query loss counts: the last one, or all of them alike (Antoniou et al. 2019,
    multi-step loss), so that few steps do well as many do. Not with ``order: hessian_vector``."""
    order: Literal["second", "first", "hessian_vector"] = "second"
    """first: the inner gradient counts as a constant (FOMAML). hessian_vector: the second-order gradient by products of
    Hessian and vector, step by step; memory does not grow with ``inner_steps``, time does."""
    learn_rates: bool = False
    """Learn a rate for every single parameter, from ``inner_rate`` on (Li et al. 2017, Meta-SGD)."""
    adapted: Literal["all", "head"] = "all"
    """What the inner loop changes. head: the last layer alone (Raghu et al. 2020, ANIL)."""
    test_steps: int = 10
    """Gradient steps at test; a prediction after each is scored."""
    test_rate: float | None = None
    """Their size; null: ``inner_rate``, or what was learned."""
    learning_rate: float = 1e-3
    """Adam's, in the outer loop."""
    anneal_samples: int = 0
    """Tasks over which the outer learning rate falls to a hundredth, along half a cosine; 0: it stays."""
    max_grad: float | None = None
    """Meta-gradients are clipped to this, element by element; null: they are not."""
    hidden: tuple[int, ...] = (40, 40)
    """Layers of the network for vector inputs."""
    weight_std: float | None = 0.01
    """Deviation that its weights start with; null: He et al. 2015."""
    filters: int = 64
    """Channels of the network for images."""
    statistics: Statistics = "transductive"
    """What batch normalisation normalises a query with: the queries' statistics, or the support set's."""
    form: Literal["auto", "vmap", "loop"] = "auto"
    """How the tasks of a batch are computed: auto is the fastest for the network, loop one after the other."""

    def __post_init__(self) -> None:
        at_least(self, 1, "meta_batch", "updates_per_collect", "filters")
        at_least(self, 0, "inner_steps", "test_steps", "anneal_samples")
        if self.query_steps == "all" and (self.order == "hessian_vector" or self.inner_steps == 0):
            raise ValueError("query_steps all needs inner_steps of at least 1, and order second or first")
        if self.learn_rates and self.inner_steps == 0:
            raise ValueError("learn_rates needs inner_steps of at least 1: rates are learned from what they do")
