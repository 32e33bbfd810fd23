"""Recurrent deterministic policy gradient with an omniscient critic and hindsight goals.

Peng et al. 2017, "Sim-to-Real Transfer of Robotic Control with Dynamics Randomization", algorithm 1 and figure 4, on
Heess et al. 2015 (RDPG) and Andrychowicz et al. 2017 (HER).

Deviations from Peng et al., each an option:
  * twin critic heads over one critic memory, the smaller one as target (`twin_critics`; TD3, Fujimoto et al. 2018);
  * several goals for every unroll of the memory, relabelled step by step (`num_goals`, `per_step`), instead of one
    goal for the whole episode; legal because the memory reads neither goal nor reward;
  * the critic also sees the noise-free state, not only the dynamics mu (`omniscient`);
  * hindsight goals that are fulfilled already give way to the goal that was asked for (`keep_fulfilled`);
  * episodes and steps are drawn in proportion to how far the object is about to move (`priority`);
  * the replay may begin with episodes of a hand-written policy (`demonstrations`);
  * a lower learning rate for the memory (`memory_learning_rate`), clipped gradients, an L2 penalty on actions.
What the paper leaves open (gamma, target rate, target clipping, buffer, strategy) follows Plappert et al. 2018.
"""

from __future__ import annotations

import copy
import math
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from sim2real.agents.descent import annealed, descend
from sim2real.agents.exploration import DemonstratedPolicy, ExploringPolicy
from sim2real.agents.losses import actor_loss, critic_loss, polyak_, smoothed_action, td_target
from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.agents.rdpg_networks import Actor, Critic, RDPGPolicy
from sim2real.collect import rollout
from sim2real.errors import UserError
from sim2real.replay import EpisodeBatch, EpisodeReplay, relabel, relabelled_return
from sim2real.seeding import numpy_generator, seeded_weights, torch_generator
from sim2real.types import Demonstrator, Episodes, GoalVectorEnv, Metrics, Policy, State


class RDPG:
    """Algorithm: collect N episodes, add them to the replay, update the networks from whole episodes."""

    def __init__(self, config: RDPGConfig, env: GoalVectorEnv, *, seed: int, device: str) -> None:
        if config.demonstrations and not isinstance(env, Demonstrator):
            raise UserError(f"agent.demonstrations: there is no hand-written policy for {env.task.name}; set it to 0")
        self.config, self.env, self.device = config, env, torch.device(device)
        with seeded_weights(seed):
            self._policy = RDPGPolicy(config, env.task).to(self.device)
            self.critic = Critic(config, env.task.sizes).to(self.device)
        self.target_actor = copy.deepcopy(self._policy.actor).requires_grad_(False)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.actor_optimizer = _adam(self._policy.actor, config)
        self.critic_optimizer = _adam(self.critic, config)
        self.replay = EpisodeReplay(config.capacity, env.task, priority=config.priority, device=self.device)
        self._explore = numpy_generator(seed, "exploration")
        self._draw = torch_generator(seed, "replay", device=self.device)
        self._samples = self._updates = 0
        # A new thread forgets torch's number of threads: its OpenMP calls would take every core and spin.
        threads = torch.get_num_threads()
        self._thread = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))
        self._pending: Future[Episodes] | None = None

    @property
    def policy(self) -> RDPGPolicy:
        """The policy learned so far."""
        return self._policy

    # ---- experience ----------------------------------------------------------------------------------------------

    def collect(self) -> tuple[int, Metrics]:
        """Add the next N episodes to the replay; with `overlap`, start gathering those after them. First of all, the
        demonstrations."""
        if self.config.demonstrations and not len(self.replay):
            return self._demonstrations()
        episodes = self._pending.result() if self._pending else self._gather(self._policy)
        self._pending = None
        cost, metrics = self._store(episodes)
        if self.config.overlap:
            self._pending = self._thread.submit(self._gather, copy.deepcopy(self._policy))
        return cost, metrics

    def _demonstrations(self) -> tuple[int, Metrics]:
        """Add episodes of the environment's hand-written policy, with noise: what surrounds a good path is seen too."""
        assert isinstance(self.env, Demonstrator)
        teacher = DemonstratedPolicy(self.env)
        rounds = math.ceil(self.config.demonstrations / self.env.num_envs)
        stored = [self._store(self._gather(teacher, random_probability=0.0)) for _ in range(rounds)]
        means = {name: float(np.mean([metrics[name] for _, metrics in stored])) for name in stored[0][1]}
        return sum(cost for cost, _ in stored), means

    def _store(self, episodes: Episodes) -> tuple[int, Metrics]:
        """Add episodes to the replay and to the normalisers; their steps, and what to log of them."""
        self.replay.add(episodes)
        self._policy.normalize_obs.update(torch.as_tensor(episodes.observation, device=self.device))
        self._policy.normalize_goal.update(torch.as_tensor(episodes.achieved_goal, device=self.device))
        self._policy.normalize_goal.update(torch.as_tensor(episodes.desired_goal, device=self.device))
        moved = np.linalg.norm(episodes.achieved_goal[:, -1] - episodes.achieved_goal[:, 0], axis=-1) > 0.02
        cost = int(episodes.mask.sum())
        self._samples += cost
        return cost, {
            "collect/success": float(episodes.success[:, -1].mean()),
            "collect/moved": float(moved.mean()),
        }

    def _gather(self, policy: Policy, *, random_probability: float | None = None) -> Episodes:
        c = self.config
        share = c.random_probability if random_probability is None else random_probability
        exploring = ExploringPolicy(policy, noise=c.noise, random_probability=share, generator=self._explore)
        return rollout(self.env, exploring, deterministic=False, bootstrapped=True)

    # ---- learning ------------------------------------------------------------------------------------------------

    def update(self) -> Metrics:
        """`updates_per_collect` updates; metrics of the last one, as tensors."""
        metrics: Metrics = {}
        self._anneal()
        for _ in range(self.config.updates_per_collect):
            metrics |= self._update_once(self.replay.sample(self.config.batch_episodes, self._draw))
        return metrics

    def _anneal(self) -> None:
        """Set the learning rates of heads and embeddings, and of recurrent weights (`_adam`)."""
        c = self.config
        factor = annealed(self._samples, c.anneal_samples)
        for optimizer in self._optimizers().values():
            for group, rate in zip(optimizer.param_groups, (c.learning_rate, c.memory_learning_rate), strict=False):
                group["lr"] = rate * factor

    def _update_once(self, batch: EpisodeBatch) -> Metrics:
        """One step of the critic and, every `policy_delay`, one of the policy."""
        c = self.config
        t = self._times(batch)
        goals = relabel(
            batch,
            t,
            strategy=c.relabel_strategy,
            per_step=c.per_step,
            probability=c.relabel_probability,
            num_goals=c.num_goals,
            keep_fulfilled=c.keep_fulfilled,
            reward=self.env.compute_reward,
            generator=self._draw,
        )
        reward, end = relabelled_return(batch, t, goals, self.env.compute_reward, steps=c.n_step, gamma=c.gamma)
        goals = self._policy.normalize_goal(goals)
        mask = batch.at("mask", t)[..., None]
        sequence = self._sequence(batch)
        target = self._target(batch, sequence, end, goals, reward, steps=(end - t)[..., None])
        context = self._critic_context(self.critic, batch, sequence, t)
        actions = batch.action(t)[:, :, None].expand(*goals.shape[:3], -1)
        loss = critic_loss(self.critic(context, goals, actions), target, mask)
        descend(self.critic_optimizer, loss, max_norm=c.max_grad_norm)
        metrics: Metrics = {"loss/critic": loss.detach(), "loss/target": target.mean(), "loss/reward": reward.mean()}
        self._updates += 1
        if self._updates % c.policy_delay == 0:
            metrics |= self._update_actor(batch, sequence, t, goals, context.detach(), mask)
        if self._updates % c.target_interval == 0:
            polyak_(self.target_actor, self._policy.actor, tau=c.tau)
            polyak_(self.target_critic, self.critic, tau=c.tau)
        return metrics

    def _update_actor(
        self, batch: EpisodeBatch, sequence: Tensor, t: Tensor, goals: Tensor, context: Tensor, mask: Tensor
    ) -> Metrics:
        """One step along the deterministic policy gradient, through the first critic head."""
        actor = self._policy.actor
        action = self._act(actor, batch, sequence, t, goals)
        q = self.critic(context, goals, action, heads=1)[0]
        loss = actor_loss(q, action, mask, action_l2=self.config.action_l2)
        descend(self.actor_optimizer, loss, max_norm=self.config.max_grad_norm)
        return {"loss/actor": loss.detach(), "loss/q": q.detach().mean(), "loss/action": action.detach().abs().mean()}

    def _times(self, batch: EpisodeBatch) -> Tensor:
        """Transitions of each episode that this update uses: [B, K]."""
        steps = self.config.steps_per_episode
        if steps is None:
            return torch.arange(self.env.task.horizon, device=self.device).expand(len(batch.index), -1)
        return self.replay.sample_steps(batch, steps, self._draw)

    def _sequence(self, batch: EpisodeBatch) -> Tensor:
        """What the memories read, (s_t, a_{t-1}) at every step: [B, T+1, D+A]; nothing if there is no memory."""
        if self.config.memory == "none" and self.config.critic_memory == "none":
            return batch.whole("mask").new_zeros((len(batch.index), self.env.task.horizon + 1, 0))
        obs = self._policy.normalize_obs(batch.whole("observation"))
        return torch.cat([obs, batch.whole("previous_action")], -1)

    def _act(self, actor: Actor, batch: EpisodeBatch, sequence: Tensor, t: Tensor, goals: Tensor) -> Tensor:
        """pi(s_t, z_t, g) at the times ``t [B, K]`` for normalised goals [B, K, n, G]: [B, K, n, A]."""
        z = _at(actor.memory.unroll(sequence), t)
        return actor(z, self._policy.normalize_obs(batch.at("observation", t)), goals)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _target(
        self, batch: EpisodeBatch, sequence: Tensor, t: Tensor, goals: Tensor, reward: Tensor, *, steps: Tensor
    ) -> Tensor:
        """``r + gamma^steps min_i Q_i'(s', pi'(s', z', g), y', g, mu)`` at the times ``t`` then, clipped: [B, K, n]."""
        c = self.config
        action = self._act(self.target_actor, batch, sequence, t, goals)
        if c.target_noise > 0:
            noise = torch.randn(action.shape, generator=self._draw, device=self.device) * c.target_noise
            action = smoothed_action(action, noise, clip=c.target_noise_clip)
        context = self._critic_context(self.target_critic, batch, sequence, t)
        return td_target(reward, self.target_critic(context, goals, action), gamma=c.gamma, steps=steps)

    def _critic_context(self, critic: Critic, batch: EpisodeBatch, sequence: Tensor, t: Tensor) -> Tensor:
        """[B, K, C]: memory y_t, input (s_t, a_{t-1}) and, if omniscient, noise-free state and mu."""
        normalize = self._policy.normalize_obs
        y = _at(critic.memory.unroll(sequence), t)
        parts = [y, normalize(batch.at("observation", t)), batch.at("previous_action", t)]
        if critic.omniscient:
            mu = batch.whole("dynamics")[:, None]
            parts += [normalize(batch.at("state", t)), mu.expand(*t.shape, mu.shape[-1])]
        return torch.cat(parts, -1)

    # ---- checkpoint ----------------------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """Everything a bit-exact continuation needs. Waits for episodes that are being gathered and stores them."""
        return {
            "modules": {name: module.state_dict() for name, module in self._modules().items()},
            "optimizers": {name: o.state_dict() for name, o in self._optimizers().items()},
            "pending": vars(self._pending.result()) if self._pending else None,
            "env": self.env.state_dict(),
            "replay": self.replay.state_dict(),
            "explore": self._explore.bit_generator.state,
            "draw": self._draw.get_state(),
            "updates": self._updates,
            "samples": self._samples,
        }

    def load_state_dict(self, state: State) -> None:
        """Continue from `state_dict`, the episodes that were in flight included."""
        for name, module in self._modules().items():
            module.load_state_dict(state["modules"][name])
        for name, optimizer in self._optimizers().items():
            optimizer.load_state_dict(state["optimizers"][name])
        self._pending = None
        if state["pending"] is not None:
            self._pending = Future()
            self._pending.set_result(Episodes(**state["pending"]))
        self.env.load_state_dict(state["env"])
        self.replay.load_state_dict(state["replay"])
        self._explore.bit_generator.state = state["explore"]
        self._draw.set_state(state["draw"].cpu())
        self._updates, self._samples = int(state["updates"]), int(state["samples"])

    def _modules(self) -> dict[str, nn.Module]:
        return {
            "policy": self._policy,
            "critic": self.critic,
            "target_actor": self.target_actor,
            "target_critic": self.target_critic,
        }

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"actor": self.actor_optimizer, "critic": self.critic_optimizer}


def _at(x: Tensor, t: Tensor) -> Tensor:
    """``x[b, t[b, k]]``: [B, T, D], [B, K] -> [B, K, D]."""
    return x.gather(1, t[..., None].expand(*t.shape, x.shape[-1]))


def _adam(network: nn.Module, config: RDPGConfig) -> torch.optim.Adam:
    """Adam with the memory's recurrent weights in a group of their own."""
    recurrent = [p for name, p in network.named_parameters() if ".rnn." in name]
    others = [p for name, p in network.named_parameters() if ".rnn." not in name]
    groups = [{"params": others, "lr": config.learning_rate}]
    if recurrent:
        groups.append({"params": recurrent, "lr": config.memory_learning_rate})
    return torch.optim.Adam(groups, fused=True)
