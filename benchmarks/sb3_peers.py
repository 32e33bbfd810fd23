"""Trains one stable-baselines3 learner with hindsight replay on one of our tasks, and writes its learning curve.

Environments are our gymnasium ids, so that it sees the task that our learners see; evaluation is our evaluator on our
training-time episodes of the same seed, so that success is counted on the same starts and goals. The clock stands still
while it evaluates. `benchmarks/time_to_solve.py` runs this in a process of its own:

    python benchmarks/sb3_peers.py sac_her FetchPush --seed 0 --minutes 150 --out curve.json

SAC and DDPG learn to the mark or the time limit; the curve is written after every evaluation. How many steps they need
does not depend on what else the machine does; how long a step takes does. So a curve made beside other work is laid on
a clock of its own: ``--steps-of curve.json`` trains nothing, measures the milliseconds of a step (with replay and
updates, after a warm-up) and multiplies. TQC with the zoo's settings would take hours: the steps of its published run
are taken.

    python benchmarks/sb3_peers.py ddpg_her FetchPush --minutes 600 --threads 1 --out results/curves/steps.json   # busy
    python benchmarks/sb3_peers.py ddpg_her FetchPush --steps-of results/curves/steps.json --out curve.json      # quiet
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.wrappers import FilterObservation
from stable_baselines3 import DDPG, SAC, HerReplayBuffer
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

from publishing import described, write_json
from sim2real.envs import id_of  # registers the ids, too
from sim2real.evaluate import evaluate
from sim2real.provenance import version_of
from sim2real.seeding import component_seed
from sim2real.sources import make_env
from sim2real.types import FloatArray, Obs

KEYS = ("observation", "achieved_goal", "desired_goal")
"""What the learners read; our ids also give privileged entries."""
WARM_UP = 20
"""Updates before a step is timed."""


@dataclass(frozen=True)
class Peer:
    """A learner and its settings."""

    algorithm: str
    options: Mapping[str, Any]
    """Arguments of its class, beside those that all have."""
    reach: Mapping[str, Any] = field(default_factory=dict)
    """What differs on FetchReach."""
    envs: int = 2
    """Environments, one process each (one: in the learner's process). One update for each step of each of them."""
    noise: float = 0.0
    """Standard deviation of Gaussian exploration noise; 0 for learners that explore by themselves."""
    published: Mapping[str, Mapping[float, int]] = field(default_factory=dict)
    """Task -> success -> steps of a published run; where there are some, only the time of a step is measured."""


HINDSIGHT = {"n_sampled_goal": 4, "goal_selection_strategy": "future"}
# rl-baselines3-zoo's settings of hindsight learners (tqc.yml), at batch 256 and with the networks of Andrychowicz et
# al. 2017; on FetchReach those that its SAC was published with (her/FetchReach-v1).
ZOO = {"batch_size": 256, "gamma": 0.95, "learning_rate": 1e-3, "tau": 0.05, "learning_starts": 1000}
LAYERS = {"policy_kwargs": {"net_arch": [256, 256, 256]}}
REACH = {"tau": 0.005, "policy_kwargs": {"net_arch": [256, 256]}}
PEERS = {
    "sac_her": Peer("SAC", {**ZOO, **LAYERS}, REACH),
    "ddpg_her": Peer("DDPG", {**ZOO, **LAYERS}, REACH, noise=0.2),
    # Settings and steps of rl-trained-agents tqc/: training success in a window of 100 episodes (monitor.csv). Left
    # out is its TimeFeatureWrapper, one more input.
    "tqc_her": Peer(
        "TQC",
        {
            "batch_size": 512,
            "gamma": 0.98,
            "learning_rate": 1e-3,
            "tau": 0.005,
            "policy_kwargs": {"net_arch": [512, 512, 512], "n_critics": 2},
        },
        {"batch_size": 256, "gamma": 0.95, "policy_kwargs": {"net_arch": [64, 64], "n_critics": 1}},
        envs=1,
        published={
            "FetchReach": {0.5: 5_000, 0.8: 5_500, 0.9: 5_600, 0.95: 5_800},
            "FetchPush": {0.5: 88_000, 0.8: 180_000, 0.9: 197_000, 0.95: 254_000},
            "FetchPickAndPlace": {0.5: 109_000, 0.8: 140_000, 0.9: 231_000, 0.95: 254_000},
            "FetchSlide": {0.5: 333_000, 0.8: 2_440_000},
        },
    ),
}


def learner_env(task: str, dynamics: str) -> gymnasium.Env[Any, Any]:
    """One environment, without what a policy on a robot would not have."""
    return FilterObservation(gymnasium.make(id_of(task), dynamics=dynamics), KEYS)


def build(peer: Peer, task: str, dynamics: str, seed: int) -> OffPolicyAlgorithm:
    """The learner with its environments."""
    makers: list[Callable[[], gymnasium.Env[Any, Any]]] = [partial(learner_env, task, dynamics)] * peer.envs
    env: VecEnv = SubprocVecEnv(makers, start_method="spawn") if peer.envs > 1 else DummyVecEnv(makers)
    if task == "FetchReach":  # as published
        env = VecNormalize(env, norm_reward=False)
    options = copy.deepcopy(settings(peer, task))  # stable-baselines3 writes into policy_kwargs
    if peer.noise:
        size = env.action_space.shape or (0,)
        one = NormalActionNoise(np.zeros(size), np.full(size, peer.noise))
        options["action_noise"] = VectorizedActionNoise(one, peer.envs)
    model: OffPolicyAlgorithm = algorithm(peer.algorithm)(
        "MultiInputPolicy",
        env,
        buffer_size=1_000_000,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs=HINDSIGHT,
        gradient_steps=-1,  # as many as environment steps
        seed=component_seed(seed, "training") % 2**31,
        device="cpu",
        **options,
    )
    return model


def settings(peer: Peer, task: str) -> dict[str, Any]:
    """The learner's own arguments on ``task``."""
    return {**peer.options, **(peer.reach if task == "FetchReach" else {})}


def algorithm(name: str) -> Any:
    """The class; TQC is in a package of its own."""
    if name == "TQC":
        from sb3_contrib import TQC

        return TQC
    return {"SAC": SAC, "DDPG": DDPG}[name]


class PeerPolicy:
    """The deterministic policy of a stable-baselines3 model, for our evaluator."""

    def __init__(self, model: BaseAlgorithm) -> None:
        self._model = model
        self._normalize = model.get_vec_normalize_env()

    def initial_state(self, n: int) -> tuple[()]:
        return ()

    def act(self, obs: Obs, state: Any, *, deterministic: bool) -> tuple[FloatArray, Any]:
        """[N, A] in [-1, 1], float32."""
        read: Any = {key: np.asarray(obs[key]) for key in KEYS}
        if self._normalize is not None:
            read = self._normalize.normalize_obs(read)
        action, _ = self._model.predict(read, deterministic=deterministic)
        return action.astype(np.float32), state


class Scoring(BaseCallback):
    """Evaluates every so many steps with the clock stopped; ends training at the mark or the time limit."""

    def __init__(self, args: argparse.Namespace, write: Callable[[Mapping[str, Any]], None]) -> None:
        """``write`` is given the curve so far after every evaluation: a training of hours may be killed."""
        super().__init__()
        self.args, self._write = args, write
        self.points: list[dict[str, float]] = []
        self.evaluation_seconds = 0.0
        self._env = make_env(args.task, args.dynamics, args.episodes, held_out=False)

    def _on_training_start(self) -> None:
        self._policy = PeerPolicy(self.model)
        self._begin, self._next = time.perf_counter(), self.args.eval_every

    def seconds(self) -> float:
        """Time spent training."""
        return time.perf_counter() - self._begin - self.evaluation_seconds

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next:
            self._next += self.args.eval_every
            self._score()
            if self.points[-1]["success"] >= self.args.stop_at:
                return False
        return bool(self.seconds() < 60 * self.args.minutes)

    def _score(self) -> None:
        seconds, begin = self.seconds(), time.perf_counter()
        seed = component_seed(self.args.seed, "evaluation")
        result = evaluate(self._policy, self._env, episodes=self.args.episodes, seed=seed)
        success = float(result.success.mean())
        self.evaluation_seconds += time.perf_counter() - begin
        self.points.append({"samples": self.num_timesteps, "seconds": round(seconds, 3), "success": success})
        self._write(self.curve())
        print(f"{self.num_timesteps} steps, {seconds:.0f} s: success {success:.2f}", flush=True)

    def curve(self) -> dict[str, Any]:
        """The curve so far."""
        ended = {"samples": self.num_timesteps, "seconds": round(self.seconds(), 3)}
        return {"points": self.points, **ended, "evaluation_seconds": round(self.evaluation_seconds, 3)}


class StepTimer(BaseCallback):
    """Milliseconds per environment step with its update, between the warm-up and the end of a short training."""

    model: OffPolicyAlgorithm

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self._times: dict[int, float] = {}

    def _on_step(self) -> bool:
        self._times[self.num_timesteps] = time.perf_counter()
        return bool(self.num_timesteps < self._last())

    def _last(self) -> int:
        return int(self.model.learning_starts) + WARM_UP + self._steps

    def milliseconds(self) -> float:
        return 1e3 * (self._times[self._last()] - self._times[self._last() - self._steps]) / self._steps


def learn(peer: Peer, args: argparse.Namespace, write: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """The measured curve of a learner that is trained."""
    model = build(peer, args.task, args.dynamics, args.seed)
    scoring = Scoring(args, write)
    model.learn(1_000_000_000, callback=scoring)
    return scoring.curve()


def timed(peer: Peer, args: argparse.Namespace, points: Sequence[Mapping[str, float]], samples: int) -> dict[str, Any]:
    """A curve of known steps (``points``, and ``samples`` at its end), and the milliseconds that a step takes here."""
    model = build(peer, args.task, args.dynamics, args.seed)
    timer = StepTimer(args.steps)
    model.learn(1_000_000_000, callback=timer)
    each = timer.milliseconds()
    laid = [{**point, "seconds": round(point["samples"] * each / 1e3, 3)} for point in points]
    ended = {"samples": samples, "seconds": round(samples * each / 1e3, 3)}
    return {"points": laid, **ended, "ms_per_step": round(each, 3), "steps_timed": args.steps}


def project(peer: Peer, args: argparse.Namespace) -> dict[str, Any]:
    """A curve made of published steps and the milliseconds that a step takes here."""
    points = [{"samples": steps, "success": mark} for mark, steps in peer.published[args.task].items()]
    return {**timed(peer, args, points, int(points[-1]["samples"])), "projected": True}


def again(peer: Peer, args: argparse.Namespace) -> dict[str, Any]:
    """The curve of an earlier run at the pace that a step takes here.

    Raises:
        SystemExit: that run learned something else.
    """
    before = json.loads(args.steps_of.read_text(encoding="utf-8"))
    for key, asked in (("learner", args.peer), ("task", args.task), ("dynamics", args.dynamics), ("seed", args.seed)):
        if before[key] != asked:
            raise SystemExit(f"{args.steps_of} has {key} {before[key]!r}, and {asked!r} is asked for")
    made = {"commit": before["commit"], "command": before["command"]}
    return {**timed(peer, args, before["points"], before["samples"]), "steps_of": made}


def main() -> None:
    """Train or time one peer, and write its curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("task", choices=["FetchReach", "FetchPush", "FetchPickAndPlace", "FetchSlide"])
    parser.add_argument("--dynamics", default="nominal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=150.0, help="longest training, without evaluation")
    parser.add_argument("--stop-at", type=float, default=0.95, help="success that ends the training")
    parser.add_argument("--eval-every", type=int, default=10_000, help="environment steps between two evaluations")
    parser.add_argument("--episodes", type=int, default=100, help="episodes of an evaluation")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="torch's threads")
    parser.add_argument("--steps", type=int, default=500, help="steps timed where results are projected")
    parser.add_argument("--steps-of", type=Path, help="curve of a run made earlier: time a step, train nothing")
    parser.add_argument("--out", type=Path, required=True, help="file for the curve")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    peer = PEERS[args.peer]
    load = os.getloadavg()[0]
    used = {"algorithm": peer.algorithm, "envs": peer.envs, "hindsight": HINDSIGHT, "noise": peer.noise}
    used |= {**settings(peer, args.task), "torch_threads": args.threads}
    packages = {name: version_of(name) for name in ("stable-baselines3", "sb3-contrib")}
    who = {"learner": args.peer, "seed": args.seed, "task": args.task, "dynamics": args.dynamics}

    def write(curve: Mapping[str, Any]) -> None:
        made = {"settings": used, "packages": packages, "load_average_before": load}
        write_json(args.out, described({**who, **curve, **made}))

    if args.steps_of is not None:
        write(again(peer, args))
    else:
        write(project(peer, args) if peer.published else learn(peer, args, write))


if __name__ == "__main__":
    main()
