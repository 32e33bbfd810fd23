"""Robot tasks with goals under randomised dynamics: what `train` puts together for them."""

from __future__ import annotations

from collections.abc import Mapping

from sim2real.config import EnvConfig, ExperimentConfig
from sim2real.domains import Domain, TrainingScores
from sim2real.envs import load_dynamics, make_vec
from sim2real.evaluate import evaluate
from sim2real.seeding import component_seed
from sim2real.sources import make_env
from sim2real.types import GoalVectorEnv, Policy


def _describe(env: EnvConfig) -> str:
    return f"{env.task} under {env.dynamics} dynamics"


def _source(config: ExperimentConfig) -> GoalVectorEnv:
    e: EnvConfig = config.env
    seed = component_seed(config.seed, "training")
    return make_vec(e.task, e.num_envs, e.dynamics, seed, e.threads, curriculum=e)


def _training_scores(config: ExperimentConfig) -> TrainingScores:
    """Scores a policy on the same episodes every time, in environments that training never touches."""
    dynamics = config.trainer.eval_dynamics or config.env.dynamics
    load_dynamics(dynamics).check_trainable()  # the best policy is chosen by these scores
    seed, episodes = component_seed(config.seed, "evaluation"), config.trainer.eval_episodes
    envs: list[GoalVectorEnv] = []

    def scores(policy: Policy) -> Mapping[str, float]:
        if not envs:  # made on first use: a short trial may never need them
            envs.append(make_env(config.env.task, dynamics, episodes, threads=config.env.threads, held_out=False))
        return evaluate(policy, envs[0], episodes=episodes, seed=seed).scalars()

    return scores


DOMAIN = Domain(
    env=EnvConfig,
    score="success",
    unit="env steps",
    describe=_describe,
    source=_source,
    training_scores=_training_scores,
)
