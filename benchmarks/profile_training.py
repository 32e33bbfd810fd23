"""Where does the time of a training go? One training of a preset with timers around the functions that matter.

The learner's thread and the collector's are told apart. Shares of the learner add up to the whole training (wall time,
evaluation and checkpoints included); what no function claims is "python and other". Beside each category stand its
processor seconds: what is missing there was spent waiting, for the interpreter's lock or for a core. The timers
themselves cost about two microseconds a call, reported as ``timer_share``.

    python benchmarks/profile_training.py fetch_push                                   # the whole training
    python benchmarks/profile_training.py fetch_push_dr --set trainer.total_samples=50000
    python benchmarks/profile_training.py fetch_reach --quick
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import sim2real.envs  # noqa: F401 - chooses the renderer, so before mujoco, which is watched
from publishing import publish
from sim2real.commands import choose_device, resolve, train
from stopwatch import Stopwatch, Track, Watched

REST = "python and other"
COLLECTING = "collector: python and other"
WATCHED = (
    Watched("sim2real.trainer:Trainer.run", REST),
    # The environment's side: in the collector's thread, or in the learner's where nothing overlaps.
    Watched("sim2real.agents.rdpg:RDPG._gather", COLLECTING),
    Watched("mujoco:mj_step", "physics"),
    Watched("sim2real.envs.vector:FetchVectorEnv._reset_robot", "reset: dynamics written, first state"),
    Watched("sim2real.envs.vector:FetchVectorEnv._draw", "signals: draws of an episode"),
    Watched("sim2real.envs.physics:Robot.step", "observation: commands and readings"),
    Watched("sim2real.envs.vector:FetchVectorEnv._observe", "observation: commands and readings"),
    Watched("sim2real.envs.vector:FetchVectorEnv._scale", "observation: commands and readings"),
    Watched("sim2real.agents.exploration:ExploringPolicy.act", "acting", whole=True),
    # The learner's side.
    Watched("concurrent.futures:Future.result", "waiting for another thread"),
    Watched("sim2real.replay:EpisodeReplay.add", "replay: storing", whole=True),
    Watched("sim2real.replay:EpisodeReplay.sample", "replay: sampling"),
    Watched("sim2real.replay:EpisodeReplay.sample_steps", "replay: sampling"),
    Watched("sim2real.replay:EpisodeBatch.at", "replay: sampling"),
    Watched("sim2real.replay:EpisodeBatch.whole", "replay: sampling"),
    Watched("sim2real.agents.rdpg:relabel", "replay: relabelling", whole=True),
    Watched("sim2real.agents.rdpg:relabelled_return", "replay: relabelling", whole=True),
    Watched("sim2real.agents.networks:Normalizer.forward", "forward"),
    Watched("sim2real.agents.networks:RecurrentMemory.unroll", "forward"),
    Watched("sim2real.agents.rdpg_networks:Actor.forward", "forward"),
    Watched("sim2real.agents.rdpg_networks:Critic.forward", "forward"),
    Watched("sim2real.agents.rdpg:critic_loss", "forward"),
    Watched("sim2real.agents.rdpg:actor_loss", "forward"),
    Watched("sim2real.agents.rdpg:td_target", "forward"),
    Watched("torch.autograd:grad", "backward", whole=True),
    Watched("sim2real.agents.rdpg:descend", "optimiser"),
    Watched("sim2real.agents.rdpg:polyak_", "optimiser"),
    Watched("sim2real.goals_domain:evaluate", "evaluation", whole=True),
    Watched("sim2real.trainer:Trainer._save", "checkpoints and policies", whole=True),
    Watched("sim2real.runs:Run.save_policy", "checkpoints and policies", whole=True),
)
TIMER_SECONDS = 2e-6
"""Rough cost of one timer."""


def role(track: Track) -> str:
    """Whose thread this is."""
    if track.main:
        return "learner"
    return "collector" if COLLECTING in track.wall else "helpers"


def shares(tracks: list[Track], seconds: float) -> dict[str, Any]:
    """By role and category: wall and processor seconds, calls, and the share of the training's wall time."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for track in tracks:
        rows = found.setdefault(role(track), {})
        for category, wall in track.wall.items():
            row = rows.setdefault(category, {"seconds": 0.0, "cpu_seconds": 0.0, "calls": 0})
            row["seconds"] += wall
            row["cpu_seconds"] += track.cpu[category]
            row["calls"] += track.calls[category]
    return {who: _ordered(rows, seconds) for who, rows in found.items()}


def _ordered(rows: dict[str, dict[str, float]], seconds: float) -> dict[str, dict[str, float]]:
    ordered = sorted(rows.items(), key=lambda item: -item[1]["seconds"])
    return {
        category: {"share": round(row["seconds"] / seconds, 4), **{key: round(x, 3) for key, x in row.items()}}
        for category, row in ordered
    }


def profile(training: Callable[[], Any], device: str) -> dict[str, Any]:
    """Run a training with the timers on."""
    watch = Stopwatch(torch.cuda.synchronize if device == "cuda" else None)
    with watch.watching(*WATCHED):
        training()
    learner = next(track for track in watch.tracks if track.main)
    seconds = sum(learner.wall.values())
    timer = TIMER_SECONDS * sum(learner.calls.values()) / seconds
    return {"seconds": round(seconds, 3), "timer_share": round(timer, 4), "threads": shares(watch.tracks, seconds)}


def main() -> None:
    """Train once with timers, write and print where the time went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", help="preset or YAML file to train")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="changes of the configuration")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--quick", action="store_true", help="three rounds of episodes, nothing written")
    args = parser.parse_args()
    overrides = [*args.set, "trainer.total_samples=2400", "trainer.eval_episodes=16"] if args.quick else args.set
    config = resolve(args.preset, overrides, seed=args.seed)
    device = choose_device(config.device)
    with tempfile.TemporaryDirectory() as folder:
        figures = profile(lambda: train(args.preset, Path(folder) / "run", overrides, seed=args.seed), device)
    how = {"preset": args.preset, "set": args.set, "seed": args.seed, "device": device}
    out = args.results / f"profile_{Path(args.preset).stem}.json"
    publish("profile_training", {**how, **figures}, None if args.quick else out)


if __name__ == "__main__":
    main()
