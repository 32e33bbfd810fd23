"""RL²: a recurrent policy that learns within a trial, because its memory runs through all episodes of one.

Duan et al. 2016, "RL²: Fast Reinforcement Learning via Slow Reinforcement Learning". The objective is the return of the
whole trial; what the policy learned of a task is in its memory, and nothing but the memory changes when it meets one.

Deviations from the paper:
  * PPO in place of TRPO by default (`outer`); TRPO takes the paper's step, on the whole batch;
  * on request (`transition`) the observation before is an input, too, which the memory need not keep then;
  * one ReLU layer before the GRU; no weight normalisation; the last layer begins near zero;
  * the baseline is fitted to returns that are standardised with running statistics;
  * smaller networks and batches (presets say which), and an entropy bonus for PPO.
As in the paper: separate GRU baseline of the same form, orthogonal recurrent weights, zero biases, generalised
advantages over the whole trial, inputs (s, a, r, done) of the step before, memory reset between trials only.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.func import functional_call

from sim2real.agents.advantages import discounted_returns, generalized_advantages, standardize
from sim2real.agents.descent import annealed, descend
from sim2real.agents.ppo import clipped_surrogate, over_tasks, surrogate, value_loss
from sim2real.agents.rl2_config import RL2Config
from sim2real.agents.rl2_networks import RL2Baseline, RL2Policy
from sim2real.agents.trials import Trials
from sim2real.agents.trpo import trust_region_step
from sim2real.meta_rl_types import TaskFamily
from sim2real.seeding import seeded_weights, torch_generator
from sim2real.types import Metrics, State


class RL2:
    """Algorithm: play a batch of trials in new tasks, improve the policy from whole trials. Samples are env steps."""

    def __init__(self, config: RL2Config, source: TaskFamily, *, seed: int, device: str) -> None:
        self.config, self.family, self.device = config, source, torch.device(device)
        with seeded_weights(seed):
            self._policy = RL2Policy(config, source.task).to(self.device)
            self.baseline = RL2Baseline(config, source.task).to(self.device)
        self.policy_optimizer = torch.optim.Adam(self._policy.parameters(), config.learning_rate, foreach=True)
        self.baseline_optimizer = torch.optim.Adam(
            self.baseline.parameters(), config.baseline_learning_rate, foreach=True
        )
        # Environments are on the CPU: so is what is drawn in them.
        self._tasks, self._luck = (torch_generator(seed, name) for name in ("tasks", "rollouts"))
        self._draw = torch_generator(seed, "batches")
        self._trials: Trials | None = None
        self._samples = 0

    @property
    def policy(self) -> RL2Policy:
        """The policy learned so far."""
        return self._policy

    # ---- experience ----------------------------------------------------------------------------------------------

    def collect(self) -> tuple[int, Metrics]:
        """A trial in each of `trials` new tasks."""
        tasks = self.family.sample(self.config.trials, self._tasks)
        self._trials = self._policy.play(self.family, tasks, self._luck)
        returns = self._trials.returns(self.family.task.episodes)
        cost = int(self._trials.mask.sum())
        self._samples += cost
        return cost, {
            "collect/return": returns.sum(1).mean(),
            "collect/first_episode": returns[:, 0].mean(),
            "collect/last_episode": returns[:, -1].mean(),
        }

    # ---- learning ------------------------------------------------------------------------------------------------

    def update(self) -> Metrics:
        """Improve policy and baseline from the trials that were played last."""
        assert self._trials is not None, "collect first"
        trials = self._trials.to(self.device)
        factor = self._annealed()
        self.policy_optimizer.param_groups[0]["lr"] = factor * self.config.learning_rate
        self.baseline_optimizer.param_groups[0]["lr"] = factor * self.config.baseline_learning_rate
        advantage, returns = self._advantages(trials)
        step = self._proximal if self.config.outer == "ppo" else self._trust_region
        metrics = step(trials, advantage)
        metrics["loss/baseline"] = self._fit_baseline(trials, returns)
        self._policy.observe(trials.inputs)
        self.baseline.observe(trials.inputs)
        return metrics

    def _annealed(self) -> float:
        """What is left of learning rates and entropy bonus after the samples so far."""
        return annealed(self._samples, self.config.anneal_samples)

    @torch.no_grad()
    def _advantages(self, trials: Trials) -> tuple[Tensor, Tensor]:
        """Standardised advantages, and what the baseline has to predict: [B, L] each.

        Steps in an absorbing state count as any other here, so that what a later episode brings reaches back over them.
        """
        c = self.config
        value = self.baseline(trials.inputs)
        advantage = generalized_advantages(trials.reward, value, discount=c.discount, trace=c.trace)
        returns = discounted_returns(trials.reward, discount=c.discount)
        return standardize(advantage, trials.mask, dims=(0, 1)), returns

    def _proximal(self, trials: Trials, advantage: Tensor) -> Metrics:
        """Epochs of clipped steps over batches of whole trials; metrics of the last one."""
        c, head = self.config, self._policy.head
        old, bonus = head.log_prob(trials.outputs, trials.action), self._annealed() * c.entropy
        kl = entropy = loss = advantage.new_zeros(())
        for _ in range(c.epochs):
            for i in self._batches(len(old)):
                outputs, mask = self._policy(trials.inputs[i]), trials.mask[i]
                log_prob = head.log_prob(outputs, trials.action[i])
                loss = clipped_surrogate(*_single(log_prob, old[i], advantage[i], mask), clip=c.clip)
                entropy = over_tasks(*_single(head.entropy(outputs), mask))
                descend(self.policy_optimizer, loss - bonus * entropy, max_norm=c.max_grad_norm)
                kl = over_tasks(*_single(head.kl(trials.outputs[i], outputs.detach()), mask))
        return {"loss/policy": loss.detach(), "loss/entropy": entropy.detach(), "loss/kl": kl}

    def _trust_region(self, trials: Trials, advantage: Tensor) -> Metrics:
        """One step of TRPO on all trials."""
        head, old = self._policy.head, self._policy.head.log_prob(trials.outputs, trials.action)

        def objective(parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
            with torch.backends.cudnn.flags(enabled=False):  # its recurrent layers can't be differentiated twice
                outputs: Tensor = functional_call(self._policy, dict(parameters), (trials.inputs,))
            loss = surrogate(*_single(head.log_prob(outputs, trials.action), old, advantage, trials.mask))
            return loss, over_tasks(*_single(head.kl(trials.outputs, outputs), trials.mask))

        step = trust_region_step(dict(self._policy.named_parameters()), objective, self.config.trust_region)
        self._policy.load_state_dict(step.params, strict=False)
        entropy = over_tasks(*_single(head.entropy(trials.outputs), trials.mask))
        return {"loss/policy": -step.improvement, "loss/entropy": entropy, "loss/kl": step.kl}

    def _fit_baseline(self, trials: Trials, returns: Tensor) -> Tensor:
        """`baseline_epochs` of regression on the returns; the last batch's error over the variance of the returns."""
        target = self.baseline.standardized(returns)
        loss = returns.new_zeros(())
        for _ in range(self.config.baseline_epochs):
            for i in self._batches(len(returns)):
                value = self.baseline.raw(trials.inputs[i])
                loss = value_loss(*_single(value, target[i], torch.ones_like(value)))
                descend(self.baseline_optimizer, loss, max_norm=self.config.max_grad_norm)
        return loss.detach()

    def _batches(self, trials: int) -> tuple[Tensor, ...]:
        """Trials of an epoch in random order, cut into batches."""
        order = torch.randperm(trials, generator=self._draw).to(self.device)
        return torch.split(order, self.config.batch_trials)

    # ---- checkpoint ----------------------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs; trials are over when it is asked for."""
        return {
            "policy": self._policy.state_dict(),
            "baseline": self.baseline.state_dict(),
            "policy_optimizer": self.policy_optimizer.state_dict(),
            "baseline_optimizer": self.baseline_optimizer.state_dict(),
            "samples": self._samples,
            "generators": {name: g.get_state() for name, g in self._generators().items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`."""
        self._policy.load_state_dict(state["policy"])
        self.baseline.load_state_dict(state["baseline"])
        self.policy_optimizer.load_state_dict(state["policy_optimizer"])
        self.baseline_optimizer.load_state_dict(state["baseline_optimizer"])
        self._samples = int(state["samples"])
        for name, generator in self._generators().items():
            generator.set_state(state["generators"][name].cpu())

    def _generators(self) -> dict[str, torch.Generator]:
        return {"tasks": self._tasks, "rollouts": self._luck, "batches": self._draw}


def _single(*tensors: Tensor) -> list[Tensor]:
    """[B, L] -> [B, 1, L]: one rollout of each task, as the losses that are shared with other learners have it."""
    return [x[:, None] for x in tensors]
