"""Inject every fault into the closed loop of an exported policy and a simulated robot, and measure what was sent.

The rate limit is a quarter of the contract's by default, so that it binds. Every fault starts at control step 10 of the
same episodes. The exit code is 1 if anything was sent that was not allowed.

    python benchmarks/fault_drill.py
    python benchmarks/fault_drill.py results/bundles/fetch_push --episodes 50 --faults none nan frozen
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from publishing import publish
from sim2real.deploy.bundle import load_bundle
from sim2real.deploy.drill import drill, is_safe, table
from sim2real.deploy.faults import FAULTS
from sim2real.deploy.runner import BundleRunner
from sim2real.deploy.safety import SafetyConfig
from sim2real.deploy.sim_robot import SimRobot
from sim2real.envs import make_vec

BUNDLES = (Path("results/bundles/fetch_reach"), Path("results/bundles/fetch_push"))


def drill_bundle(args: argparse.Namespace, path: Path) -> list[dict[str, Any]]:
    """One row for each fault."""
    runner = BundleRunner(load_bundle(path))
    contract = runner.bundle.contract
    rates = {name: args.rate_share * r for name, r in zip(contract.action, contract.rate_limit, strict=True)}
    env = make_vec(contract.task, 1, args.dynamics, threads=1)
    rows = drill(
        runner,
        lambda: SimRobot(contract, env, seed=args.seed),
        [fault for fault in FAULTS if fault.name in args.faults],
        episodes=args.episodes,
        config=SafetyConfig(rate_limits=rates),
        progress=lambda text: print(f"{path.name}: {text}", file=sys.stderr, flush=True),
    )
    env.close()
    return rows


def main() -> int:
    names = [fault.name for fault in FAULTS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="*", default=list(BUNDLES))
    parser.add_argument("--episodes", type=int, default=20, help="for each fault")
    parser.add_argument("--dynamics", default="nominal")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--rate-share", type=float, default=0.25, help="rate limit, as a share of the contract's")
    parser.add_argument("--faults", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("results/fault_drill.json"))
    args = parser.parse_args()
    began = time.perf_counter()
    found = {path.name: drill_bundle(args, path) for path in args.bundles}
    for name, rows in found.items():
        print(f"\n{name}\n\n{table(rows)}")
    summary = {
        **{key: getattr(args, key) for key in ("episodes", "dynamics", "seed", "rate_share")},
        "safe": all(is_safe(row) for rows in found.values() for row in rows),
        "commands": sum(row["commands"] for rows in found.values() for row in rows),
        "seconds": round(time.perf_counter() - began, 1),
    }
    publish("fault_drill", {**summary, "faults": found}, args.out, unprinted=["faults"])
    return 0 if summary["safe"] else 1


if __name__ == "__main__":
    sys.exit(main())
