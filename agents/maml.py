"""Model-agnostic meta-learning: initial parameters from which few gradient steps on few examples go far.

Finn et al. 2017, algorithms 1 and 2, with its first-order form; options: Meta-SGD (Li et al. 2017), ANIL (Raghu et al.
2020), the multi-step loss of Antoniou et al. 2019. All tasks of a meta-batch are computed at once, or as many as the
cache holds. Deviations: the meta-gradient is the mean over tasks and not the sum, as in the authors' code; in
classification, losses are means over all examples (`few_shot_losses`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sim2real.agents.descent import annealed
from sim2real.agents.few_shot_losses import LOSSES
from sim2real.agents.few_shot_networks import make_network
from sim2real.agents.functional import (
    Form,
    Parameters,
    Rates,
    for_tasks,
    hessian_vector_meta_gradient,
    sgd_steps,
    task_losses,
)
from sim2real.agents.maml_config import MAMLConfig
from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch, TaskSource
from sim2real.seeding import seeded_weights
from sim2real.types import Metrics, State


class MAMLPolicy(nn.Module):
    """Initial parameters, the rates of the inner steps, and how they are used: a `MetaLearner`."""

    def __init__(self, config: MAMLConfig, task: FewShotSpec) -> None:
        super().__init__()
        self.config = config
        self.network = make_network(
            task,
            hidden=config.hidden,
            weight_std=config.weight_std,
            filters=config.filters,
            statistics=config.statistics,
        )
        start = dict(self.network.named_parameters())
        adapted = self.network.head if config.adapted == "head" else tuple(start)
        self.adapted = tuple(name for name in adapted if name not in self.network.fixed)
        learned = self.adapted if config.learn_rates else ()
        self.learned_rates = nn.ParameterDict({n: torch.full_like(start[n], config.inner_rate) for n in learned})
        self.form: Form = self.network.form if config.form == "auto" else config.form
        loss = LOSSES[task.kind]
        self.support_loss = task_losses(lambda p, x, y: loss(self.network.compute(p, x), y), self.form)
        self.query_loss = task_losses(lambda p, x, y, seen: loss(self.network.compute(p, x, seen), y), self.form)
        self._outputs = task_losses(self.network.compute, self.form)

    def start(self, tasks: int) -> Parameters:
        """The initial parameters with an axis of ``tasks`` copies."""
        return for_tasks(dict(self.network.named_parameters()), tasks)

    def rates(self) -> Rates:
        """Sizes of the inner steps in training."""
        return (
            dict(self.learned_rates) if self.config.learn_rates else dict.fromkeys(self.adapted, self.config.inner_rate)
        )

    def adapt(self, support: Examples) -> AdaptedNetworks:
        """``test_steps`` gradient steps for each of the tasks."""
        c = self.config
        rates = self.rates() if c.test_rate is None else dict.fromkeys(self.adapted, c.test_rate)
        with torch.no_grad():
            path = sgd_steps(
                lambda p: self.support_loss(p, support.inputs, support.targets),
                self.start(len(support)),
                rates,
                c.test_steps,
            )
        return AdaptedNetworks(self, path, support.inputs)

    @torch.no_grad()
    def outputs(self, parameters: Parameters, inputs: Tensor, reference: Tensor) -> Tensor:
        """[B, n, O] of ``inputs [B, n, ...]`` with the parameters of each task."""
        return self._outputs(parameters, inputs, reference)


class AdaptedNetworks:
    """The networks of B tasks after each step of their adaptation: a `Predictor`."""

    def __init__(self, policy: MAMLPolicy, path: list[Parameters], reference: Tensor) -> None:
        self.policy, self.path, self.reference = policy, path, reference

    def predict(self, inputs: Tensor) -> Mapping[str, Tensor]:
        """Outputs [B, n, O] after 0, 1, ... steps."""
        return {
            f"step_{k}": self.policy.outputs(parameters, inputs, self.reference)
            for k, parameters in enumerate(self.path)
        }


class MAML:
    """Algorithm: collect draws tasks, update takes meta-gradient steps on them. A sample is a task."""

    def __init__(self, config: MAMLConfig, source: TaskSource, *, seed: int, device: str) -> None:
        self.config, self.source, self.device = config, source, torch.device(device)
        source.to(self.device)
        with seeded_weights(seed):
            self._policy = MAMLPolicy(config, source.task).to(self.device)
        self.optimizer = torch.optim.Adam(self._policy.parameters(), lr=config.learning_rate, fused=True)
        self._tasks: TaskBatch | None = None
        self._samples = 0

    @property
    def policy(self) -> MAMLPolicy:
        """The meta-learner as it is now."""
        return self._policy

    def collect(self) -> tuple[int, Metrics]:
        """Draw the tasks of the next meta-updates."""
        c = self.config
        self._tasks = self.source.sample(c.meta_batch * c.updates_per_collect)
        return len(self._tasks), {}

    def update(self) -> Metrics:
        """A meta-update for every ``meta_batch`` of the tasks; metrics of the last one, as tensors."""
        if self._tasks is None:
            raise RuntimeError("update() uses the tasks that collect() draws; call that first")
        size, metrics = self.config.meta_batch, Metrics()
        for begin in range(0, len(self._tasks), size):
            metrics = self.meta_update(self._tasks[begin : begin + size])
        self._tasks = None
        return metrics

    def meta_update(self, tasks: TaskBatch) -> Metrics:
        """One step of Adam along the mean of the tasks' meta-gradients."""
        c = self.config
        self.optimizer.zero_grad(set_to_none=True)
        gradient = self._by_products if c.order == "hessian_vector" else self._by_backpropagation
        size = self._policy.network.together if self.device.type == "cpu" else None
        size = len(tasks) if size is None else size
        share = 1 / len(tasks)
        losses = [gradient(tasks[begin : begin + size], share) for begin in range(0, len(tasks), size)]
        if c.max_grad is not None:
            nn.utils.clip_grad_value_(self._policy.parameters(), c.max_grad)
        self._samples += len(tasks)
        for group in self.optimizer.param_groups:
            group["lr"] = c.learning_rate * annealed(self._samples, c.anneal_samples)
        self.optimizer.step()
        return {"loss/query": torch.cat(losses).mean()}

    def _by_backpropagation(self, tasks: TaskBatch, share: float) -> Tensor:
        """Add ``share`` times the tasks' meta-gradients to ``grad``; their query losses [B]."""
        policy, s, q = self._policy, tasks.support, tasks.query
        path = sgd_steps(
            lambda p: policy.support_loss(p, s.inputs, s.targets),
            policy.start(len(tasks)),
            policy.rates(),
            self.config.inner_steps,
            first_order=self.config.order == "first",
        )
        counted = path[1:] if self.config.query_steps == "all" else path[-1:]
        losses = torch.stack([policy.query_loss(p, q.inputs, q.targets, s.inputs) for p in counted]).mean(0)
        (share * losses.sum()).backward()  # type: ignore[no-untyped-call]
        return losses.detach()

    def _by_products(self, tasks: TaskBatch, share: float) -> Tensor:
        """As `_by_backpropagation`, with Hessian-vector products."""
        policy, s, q = self._policy, tasks.support, tasks.query
        losses, in_parameters, in_rates = hessian_vector_meta_gradient(
            lambda p: policy.support_loss(p, s.inputs, s.targets),
            lambda p: policy.query_loss(p, q.inputs, q.targets, s.inputs),
            policy.start(len(tasks)),
            policy.rates(),
            self.config.inner_steps,
        )
        found = [(p, in_parameters[n]) for n, p in policy.network.named_parameters()]
        for parameter, grads in found + [(rate, in_rates[n]) for n, rate in policy.learned_rates.items()]:
            mean = share * grads.sum(0)
            parameter.grad = mean if parameter.grad is None else parameter.grad + mean
        return losses

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs; tasks are drawn and used within one iteration."""
        return {
            "policy": self._policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "source": self.source.state_dict(),
            "samples": self._samples,
        }

    def load_state_dict(self, state: State) -> None:
        self._policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.source.load_state_dict(state["source"])
        self._samples = int(state["samples"])
