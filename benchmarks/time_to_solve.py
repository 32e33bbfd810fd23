"""How long until a task is solved: ours and stable-baselines3 with hindsight replay, in turn on this machine.

All are scored on the same 100 episodes (the training-time episodes of the seed, deterministic policy, our evaluator)
at the same numbers of environment steps; the clock stands still while they are, and before training begins (imports,
environments). Ours is trained by ``sim2real train``; peers by `benchmarks/sb3_peers.py`, on our gymnasium ids. A peer
that does not reach a mark in ``--minutes`` gives a lower bound. `tqc_her` is not trained: the milliseconds of its steps
are multiplied by the steps of its published run. ``--known-steps PEER`` does that with a curve that `sb3_peers.py`
wrote to results/curves/steps_TASK_PEER_sSEED.json while the machine did other things.

Finished runs are kept in ``--runs`` and not repeated, so an interrupted call can be given again.

    python benchmarks/time_to_solve.py FetchPush --seeds 0 1 2 --peer sac_her ddpg_her tqc_her --minutes 150
    python benchmarks/time_to_solve.py FetchPush --seeds 0 1 2 --peer ddpg_her tqc_her --known-steps ddpg_her
    python benchmarks/time_to_solve.py FetchPush --ours fetch_push_dr --dynamics train --peer
    python benchmarks/time_to_solve.py FetchReach --quick
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import our_curves
from marks import MARKS, Range, best, median_reached, reached, times_faster
from publishing import described, publish, write_json
from sim2real.commands import resolve
from sim2real.config import changed_keys, to_dict

Curve = dict[str, Any]
TASKS = {
    "FetchReach": ("fetch_reach", 1_000),
    "FetchPush": ("fetch_push", 10_000),
    "FetchPickAndPlace": ("fetch_pick_and_place", 10_000),
    "FetchSlide": ("fetch_slide", 20_000),
}
"""Our preset, and environment steps between two evaluations."""
CLOCK = "training only: evaluation and start-up are not counted, on either side"


def kept(path: Path, request: Mapping[str, Any], make: Callable[[], Curve]) -> Curve:
    """The curve in ``path``, made if it is not there.

    Raises:
        SystemExit: it is there and was made on another request.
    """
    if path.exists():
        found: Curve = json.loads(path.read_text(encoding="utf-8"))
        changed = changed_keys(found["request"], request)
        if changed:
            differing = "; ".join(f"{key}: {old!r} there, {new!r} now" for key, (old, new) in changed.items())
            raise SystemExit(f"{path} was made otherwise ({differing}): give the same options, or another --runs")
        return found
    print(f"training: {path.stem}", file=sys.stderr, flush=True)
    curve = {**make(), "request": dict(request)}
    write_json(path, curve)
    return curve


def our_curve(args: argparse.Namespace, seed: int) -> Curve:
    """Our preset's curve of one seed."""
    overrides = [
        f"env.dynamics={args.dynamics}",
        f"trainer.eval_dynamics={args.dynamics}",
        f"trainer.eval_every={args.eval_every}",
        f"trainer.eval_episodes={args.episodes}",
        "trainer.max_minutes=null",
        our_curves.LOG_EVERY_ITERATION,
    ]
    config = resolve(args.ours, overrides, seed=seed)
    if config.env.task != args.task:
        raise SystemExit(f"preset {args.ours} trains on {config.env.task}, not on {args.task}: give another --ours")
    run_dir = args.runs / f"{args.ours}_s{seed}"
    limits = {"stop_at": args.stop_at, "minutes": args.minutes}

    def make() -> Curve:
        made = our_curves.train(args.ours, run_dir, overrides, seed=seed, **limits)
        return described({"learner": args.ours, "seed": seed, **made})

    return kept(run_dir.with_suffix(".json"), {"config": to_dict(config), **limits}, make)


def peer_curve(args: argparse.Namespace, peer: str, seed: int) -> Curve:
    """A peer's curve of one seed."""
    path = args.runs / f"{peer}_s{seed}.json"
    options = {
        "dynamics": args.dynamics,
        "stop-at": args.stop_at,
        "minutes": args.minutes,
        "eval-every": args.eval_every,
        "episodes": args.episodes,
        "steps": args.steps,
    }
    known = args.results / "curves" / f"steps_{args.name}_{peer}_s{seed}.json"
    if peer in args.known_steps:
        if not known.exists():
            raise SystemExit(f"--known-steps {peer} needs {known}; sb3_peers.py makes it")
        options["steps-of"] = str(known)

    def make() -> Curve:
        script = Path(__file__).with_name("sb3_peers.py")
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        out = path.with_suffix(".part")
        command = [sys.executable, str(script), peer, args.task, "--seed", str(seed), *arguments, "--out", str(out)]
        log = path.with_suffix(".log")
        with log.open("a", encoding="utf-8") as file:
            code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
        if code:
            raise SystemExit(f"{script.name} {peer} ended with exit code {code}; its output is in {log}")
        curve: Curve = json.loads(out.read_text(encoding="utf-8"))
        out.unlink()
        return curve

    return kept(path, {"task": args.task, **options}, make)


def run_all(args: argparse.Namespace) -> dict[str, list[Curve]]:
    """Curves by learner, ours first. One after the other, seed by seed, so that a drift of the machine meets all."""
    curves: dict[str, list[Curve]] = {name: [] for name in (args.ours, *args.peer)}
    peer_seeds = args.seeds if args.peer_seeds is None else args.peer_seeds
    for seed in sorted({*args.seeds, *peer_seeds}):
        if seed in args.seeds:
            curves[args.ours].append(our_curve(args, seed))
        for peer in args.peer if seed in peer_seeds else ():
            # What is not trained has no seed.
            if not any(curve.get("projected") for curve in curves[peer]):
                curves[peer].append(peer_curve(args, peer, seed))
    return curves


def summary(curves: list[Curve]) -> dict[str, Any]:
    """What one learner needed for each mark, as ranges ``[low, high]``: median over seeds, and each seed's seconds."""
    marks = {}
    for mark in MARKS:
        ranges = {quantity: median_reached(curves, mark, quantity) for quantity in ("samples", "seconds")}
        seeds = [reached(curve, mark, "seconds").to_json() for curve in curves]
        marks[str(mark)] = {**{name: r.to_json() for name, r in ranges.items()}, "seconds_by_seed": seeds}
    measured: dict[str, Any] = {key: curves[0][key] for key in ("projected", "ms_per_step") if key in curves[0]}
    return {"seeds": [curve["seed"] for curve in curves], **measured, "marks": marks}


def ratios(curves: Mapping[str, list[Curve]], ours: str) -> dict[str, dict[str, list[float | None]]]:
    """Peer's seconds divided by ours, for each mark; ``best_measured`` is the fastest peer that was really trained."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for mark in MARKS:
        mine = median_reached(curves[ours], mark, "seconds")
        peers = {name: median_reached(runs, mark, "seconds") for name, runs in curves.items() if name != ours}
        trained: list[Range] = [r for name, r in peers.items() if not curves[name][0].get("projected")]
        if trained:
            peers["best_measured"] = best(trained)
        for name, theirs in peers.items():
            found.setdefault(name, {})[str(mark)] = times_faster(mine, theirs).to_json()
    return found


def parse() -> argparse.Namespace:
    """The options, with a task's own defaults filled in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--ours", metavar="PRESET", help="our preset (default: the task's own)")
    parser.add_argument("--peer", nargs="*", default=["sac_her", "ddpg_her", "tqc_her"], help="names in sb3_peers.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--peer-seeds", type=int, nargs="+", help="seeds of the peers (default: the same)")
    parser.add_argument("--dynamics", default="nominal", help="trained and evaluated on, by all of them")
    parser.add_argument("--minutes", type=float, default=150.0, help="longest training of a run")
    parser.add_argument("--stop-at", type=float, default=0.95, help="success that ends a run")
    parser.add_argument("--eval-every", type=int, help="steps between evaluations (default: the task's own)")
    parser.add_argument("--episodes", type=int, default=100, help="episodes of an evaluation")
    parser.add_argument("--steps", type=int, default=500, help="steps timed of a peer whose result is projected")
    parser.add_argument("--known-steps", nargs="+", default=[], metavar="PEER", help="of these, only a step is timed")
    parser.add_argument("--runs", type=Path, default=Path("runs/time_to_solve"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--quick", action="store_true", help="some seconds of each learner, nothing kept")
    args = parser.parse_args()
    preset, every = TASKS[args.task]
    args.ours, args.eval_every = args.ours or preset, args.eval_every or every
    args.name = args.task if args.dynamics == "nominal" else f"{args.task}_{Path(args.dynamics).stem}"
    if args.quick:
        args.minutes, args.eval_every, args.episodes, args.steps = 0.1, 800, 16, 20
    return args


def measure(args: argparse.Namespace) -> None:
    """Train what is missing, write the files, print the figures."""
    args.runs = args.runs / args.name
    args.runs.mkdir(parents=True, exist_ok=True)
    curves = run_all(args)
    options = ("task", "dynamics", "ours", "episodes", "eval_every", "stop_at", "minutes")
    figures = {
        **{name: getattr(args, name) for name in options},
        "clock": CLOCK,
        "times_faster": ratios(curves, args.ours),
        "learners": {name: summary(runs) for name, runs in curves.items()},
    }
    publish("time_to_solve", figures, None if args.quick else args.results / f"time_to_solve_{args.name}.json")
    for learner, runs in {} if args.quick else curves.items():
        for curve in runs:
            write_json(args.results / "curves" / f"{args.name}_{learner}_s{curve['seed']}.json", curve)


def main() -> None:
    args = parse()
    if not args.quick:
        measure(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        args.runs = Path(folder)
        measure(args)


if __name__ == "__main__":
    main()
