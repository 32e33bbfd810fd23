"""Score a policy of your own on nominal, training and unseen dynamics, with intervals, and compare two of them.

A policy is anything with `initial_state` and `act`. Episode k of a seed is the same episode for every policy, so two
policies are compared episode by episode.

    python examples/own_policy.py --episodes 50
"""

from __future__ import annotations

import argparse

import numpy as np

from sim2real.envs import make_vec
from sim2real.evaluate import compare, evaluate, format_table
from sim2real.types import FloatArray, Obs


class GoStraight:
    """Moves the gripper towards the goal; for FetchReach, whose achieved goal is the gripper's position."""

    def __init__(self, gain: float) -> None:
        self.gain = gain

    def initial_state(self, n: int) -> tuple[()]:
        return ()

    def act(self, obs: Obs, state: tuple[()], *, deterministic: bool) -> tuple[FloatArray, tuple[()]]:
        towards = obs["desired_goal"] - obs["observation"][:, :3]
        gripper = np.zeros((len(towards), 1))
        return np.clip(np.concatenate([self.gain * towards, gripper], 1), -1, 1).astype(np.float32), ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=50)
    args = parser.parse_args()
    slow, fast = GoStraight(gain=2.0), GoStraight(gain=10.0)
    results = {}
    for dynamics in ("nominal", "train", "unseen"):
        env = make_vec("FetchReach", num_envs=10, dynamics=dynamics)
        results[f"slow, {dynamics}"] = evaluate(slow, env, episodes=args.episodes, seed=7)
        results[f"fast, {dynamics}"] = evaluate(fast, env, episodes=args.episodes, seed=7)
        env.close()
    print(format_table(results))
    print(compare(results["slow, unseen"], results["fast, unseen"]))


if __name__ == "__main__":
    main()
