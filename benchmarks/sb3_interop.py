"""A policy of stable-baselines3, from its own training to a robot: evaluated, exported and run, each step compared.

SAC with hindsight replay and VecNormalize learns FetchReach in gymnasium-robotics' own environment
(``examples/sb3_fetch_reach.py``). On the same episodes under nominal, training and unseen dynamics are then scored:

- library: ``model.predict`` itself, on the simulator's own dict, the exact achieved goal included;
- policy: the actor taken out of it, which gets the achieved goal as measured, with noise and delay;
- bundle: the exported files, through the runner and the safety filter.

The model is trained once and kept in ``--runs``.

    python benchmarks/sb3_interop.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from publishing import publish
from sim2real.evaluate import Evaluation, evaluate
from sim2real.foreign import ForeignModel
from sim2real.foreign_policy import prediction_error
from sim2real.foreign_source import ForeignOptions, interface, open_foreign
from sim2real.provenance import version_of
from sim2real.sources import DYNAMICS, make_env, open_policy

ENV_ID = "FetchReach-v4"
KEYS = ("observation", "achieved_goal", "desired_goal")


class Library:
    """``model.predict`` as a policy of the evaluator."""

    def __init__(self, model: ForeignModel) -> None:
        self.model = model

    def initial_state(self, n: int) -> Any:
        return None

    def act(
        self, obs: Mapping[str, NDArray[Any]], state: Any, *, deterministic: bool
    ) -> tuple[NDArray[np.float32], Any]:
        begins = np.zeros(len(obs["observation"]), np.bool_)  # a feed-forward model does not ask
        return self.model.predict({key: obs[key] for key in KEYS}, state, begins)


def train(folder: Path, steps: int, seed: int) -> dict[str, Any]:
    """Train unless an earlier call did; how it was done."""
    record = folder / "training.json"
    if not record.exists():
        options = ["--steps", str(steps), "--seed", str(seed), "--out", str(folder)]
        begin = time.perf_counter()
        subprocess.run([sys.executable, "examples/sb3_fetch_reach.py", *options], check=True)
        how = {"steps": steps, "seed": seed, "minutes": round((time.perf_counter() - begin) / 60, 1)}
        record.write_text(json.dumps(how), encoding="utf-8")
    content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return content


def sim2real(*arguments: str) -> str:
    """Run a command; its output. Raises ``CalledProcessError`` if it fails."""
    command = [sys.executable, "-m", "sim2real", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def different(a: Evaluation, b: Evaluation) -> int:
    """Episodes that end in success for one and in failure for the other."""
    return int((a.success != b.success).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--eval-seed", type=int, default=7)
    parser.add_argument("--runs", type=Path, default=Path("runs/sb3"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    args = parser.parse_args()
    training = train(args.runs, args.steps, args.seed)
    zip_file, statistics = args.runs / "model.zip", args.runs / "vec_normalize.pkl"
    bundle = args.results / "bundles" / "sb3_fetch_reach"
    options = ["--trust", "--env", ENV_ID, "--vec-normalize", str(statistics)]
    sim2real("export", str(zip_file), *options, "--episodes", str(args.episodes), "--out", str(bundle))

    policy, task, model = open_foreign(zip_file, ForeignOptions(ENV_ID, True, statistics))
    contenders: dict[str, Any] = {"library": Library(model), "policy": policy, "bundle": open_policy(bundle)[0]}
    rows: list[dict[str, Any]] = []
    disagreements = {}
    for dynamics in DYNAMICS:
        env = make_env(task, dynamics, args.episodes)
        found = {n: evaluate(p, env, episodes=args.episodes, seed=args.eval_seed) for n, p in contenders.items()}
        env.close()
        rows += [{"contender": name, **row} for name, result in found.items() for row in result.rows(dynamics)]
        disagreements[dynamics] = {
            "library_policy": different(found["library"], found["policy"]),
            "policy_bundle": different(found["policy"], found["bundle"]),
        }
        print(dynamics, {name: float(result.success.mean()) for name, result in found.items()}, file=sys.stderr)
    result = {
        "training": training,
        "episodes": args.episodes,
        "eval_seed": args.eval_seed,
        "predict_error": prediction_error(policy, model, interface(task), steps=200),
        "success": {
            dynamics: {r["contender"]: r["value"] for r in rows if (r["setting"], r["metric"]) == (dynamics, "success")}
            for dynamics in DYNAMICS
        },
        "different_outcomes": disagreements,
        "run": sim2real("run", str(bundle), "--robot", "sim", "--dynamics", "unseen", "--episodes", "5").splitlines(),
        "rows": rows,
        "stable_baselines3": version_of("stable_baselines3"),
    }
    publish("sb3_interop", result, args.results / "sb3_interop.json", unprinted=["rows"])


if __name__ == "__main__":
    main()
