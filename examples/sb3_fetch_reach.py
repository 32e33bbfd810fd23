"""Train FetchReach with stable-baselines3 (SAC, hindsight replay, VecNormalize), then take the model over to a robot.

Nothing here is of sim2real: it is what a user of stable-baselines3 has already. What comes after:

    python examples/sb3_fetch_reach.py --out sb3
    sim2real evaluate sb3/model.zip --trust --env FetchReach-v4 --vec-normalize sb3/vec_normalize.pkl
    sim2real export sb3/model.zip --trust --env FetchReach-v4 --vec-normalize sb3/vec_normalize.pkl --out bundle
"""

from __future__ import annotations

import argparse
from pathlib import Path

import gymnasium
import gymnasium_robotics
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

gymnasium.register_envs(gymnasium_robotics)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("sb3"))
    args = parser.parse_args()
    env = VecNormalize(DummyVecEnv([lambda: gymnasium.make("FetchReach-v4")]), norm_reward=False)
    model = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4},
        # The settings of rl-baselines3-zoo for this task.
        learning_starts=1000,
        batch_size=256,
        gamma=0.95,
        learning_rate=1e-3,
        policy_kwargs={"net_arch": [64, 64]},
        buffer_size=args.steps,
        device="cpu",
        seed=args.seed,
    )
    model.learn(args.steps)
    args.out.mkdir(parents=True, exist_ok=True)
    model.save(args.out / "model.zip")
    env.save(str(args.out / "vec_normalize.pkl"))


if __name__ == "__main__":
    main()
