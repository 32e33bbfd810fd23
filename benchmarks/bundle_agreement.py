"""Does the exported bundle do in simulation what the policy in torch does, episode by episode?

Both are scored by the one evaluator on the same episodes: the policy in torch, rebuilt from the bundle's own weights
and configuration, so that the two can't be different policies; and the bundle, through the runner and the safety
filter (without its ramp). Counted are the episodes whose outcome differs.

Beside it stands how far torch agrees with itself: the same policy asked for one environment at a time, not for all at
once, which rounds differently in the last bit. Contacts amplify that, and no other implementation can agree better.

    python benchmarks/bundle_agreement.py results/bundles/fetch_reach results/bundles/fetch_push_dr
    python benchmarks/bundle_agreement.py BUNDLE ... --episodes 500 --backends onnx numpy
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from publishing import publish
from sim2real.deploy import BundlePolicy, load_bundle
from sim2real.deploy.bundle import CONFIG_FILE, WEIGHTS_FILE, BackendName
from sim2real.evaluate import Evaluation, evaluate
from sim2real.runs import load_policy
from sim2real.sources import DYNAMICS, make_env
from sim2real.types import FloatArray, Obs


class OneByOne:
    """A policy in torch that is asked for one environment at a time."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def initial_state(self, n: int) -> list[Any]:
        return [self.policy.initial_state(1) for _ in range(n)]

    def act(self, obs: Obs, state: list[Any], *, deterministic: bool) -> tuple[FloatArray, list[Any]]:
        answers = [
            self.policy.act({key: value[i : i + 1] for key, value in obs.items()}, memory, deterministic=deterministic)
            for i, memory in enumerate(state)
        ]
        return np.concatenate([action for action, _ in answers]), [memory for _, memory in answers]


def difference(a: Evaluation, b: Evaluation) -> dict[str, Any]:
    """How far two evaluations of the same episodes are apart."""
    return {
        "success": float(b.success.mean()),
        "outcomes_different": int((a.success != b.success).sum()),
        "largest_difference_of_final_distance_m": float(np.abs(a.final_distance - b.final_distance).max()),
        "episodes_with_more_than_1_mm": int((np.abs(a.final_distance - b.final_distance) > 1e-3).sum()),
    }


def torch_policy(bundle: Path) -> Any:
    """The policy as training saved it, from what the bundle holds of it."""
    with tempfile.TemporaryDirectory() as name:
        policy = Path(name) / "policy"
        policy.mkdir()
        shutil.copy(bundle / CONFIG_FILE, policy / "policy.json")
        shutil.copy(bundle / WEIGHTS_FILE, policy / "model.safetensors")
        return load_policy(name)[0]


def compare(
    bundle: Path, dynamics: str, *, episodes: int, seed: int, backends: Sequence[BackendName]
) -> dict[str, Any]:
    """One row of the table."""
    policy = torch_policy(bundle)
    task = policy.spec.name
    env = make_env(task, dynamics, episodes)
    expected = evaluate(policy, env, episodes=episodes, seed=seed)
    row: dict[str, Any] = {"bundle": str(bundle), "task": task, "dynamics": dynamics, "episodes": episodes}
    row["torch"] = {"success": float(expected.success.mean())}
    row["torch_one_by_one"] = difference(expected, evaluate(OneByOne(policy), env, episodes=episodes, seed=seed))
    for backend in backends:
        exported = BundlePolicy(load_bundle(bundle, backend=backend))
        row[backend] = difference(expected, evaluate(exported, env, episodes=episodes, seed=seed))
        row[backend]["commands_changed_by_the_filter"] = exported.interventions
    env.close()
    print(json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="folder of an exported policy")
    parser.add_argument("--episodes", type=int, default=500, help="under each set of dynamics")
    parser.add_argument("--backends", nargs="+", choices=["onnx", "numpy"], default=["onnx"])
    parser.add_argument("--seed", type=int, default=1, help="which episodes")
    parser.add_argument("--quick", action="store_true", help="20 episodes, nothing written")
    parser.add_argument("--out", type=Path, default=Path("results/bundle_agreement.json"), help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    options = {"episodes": 20 if args.quick else args.episodes, "seed": args.seed, "backends": args.backends}
    rows = [compare(bundle, dynamics, **options) for bundle in args.bundles for dynamics in DYNAMICS]
    publish("bundle_agreement", {"seed": args.seed, "rows": rows}, None if args.quick else args.out)


if __name__ == "__main__":
    main()
