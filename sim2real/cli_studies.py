"""The commands that study trained policies: parsing and messages, as in ``sim2real.cli``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Annotated

with contextlib.suppress(ImportError):  # as in sim2real.cli: `run` needs none
    from tyro.conf import Positional, arg

from sim2real.errors import UserError


def transfer(
    sources: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN_OR_BUNDLE ...")]],
    dynamics: Annotated[tuple[str, ...], arg(metavar="NAME_OR_YAML ...")] = (
        "nominal",
        "train",
        "unseen",
        "surrogate",
    ),
    episodes: Annotated[int, arg(metavar="N")] = 200,
    seed: Annotated[int, arg(metavar="S")] = 0,
    base: Annotated[str, arg(metavar="NAME_OR_YAML")] = "train",
    leave_one_out: Annotated[tuple[str, ...], arg(metavar="NAME_OR_YAML ...")] = ("train",),
    sweep: Annotated[tuple[str, ...], arg(metavar="PARAMETER ...|all")] = (),
    heat: Annotated[tuple[str, str] | None, arg(metavar="PARAMETER PARAMETER")] = None,
    grid_episodes: Annotated[int, arg(metavar="N")] = 100,
    videos: Annotated[int, arg(metavar="N")] = 1,
    workers: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: one a core)")] = None,
    out: Annotated[
        Path | None, arg(metavar="DIR", help_behavior_hint="(default: transfer in the first run, or beside a bundle)")
    ] = None,
) -> int:
    """Compare policies on the same episodes of several sets of dynamics, and see what they can take.

    Runs that differ only in their seed count as seeds of one policy. One seed has Wilson's 95 % interval, several have
    one over seeds and episodes. Every difference says whether it is resolved at 95 %. Writes transfer.json,
    episodes.csv, videos and transfer.html.

    For instance:

      sim2real transfer runs/push_s0 runs/push_s1 runs/push_dr_s0 --episodes 1000
      sim2real transfer runs/push_dr_s0 --sweep all --heat object_mass object_friction_slide

    Args:
        sources: Folders of runs (their best policies are taken) or of exported bundles, of one task.
        dynamics: Packaged sets (see `sim2real list`) or paths of YAML files with one; SET:GROUP is a set with a group
            of parameters held at nominal: fixed_timestep, no_noise, fixed_mass, fixed_friction, or any one parameter.
        episodes: Episodes under each set.
        seed: Which episodes.
        base: Set that sweeps and heat maps start from; its ranges are marked as the training range.
        leave_one_out: Sets to test with each group of parameters held at nominal in turn; given no
            name, none.
        sweep: Parameters to try one at a time, in and beyond their ranges, all else as in --base.
        heat: Two parameters to try together.
        grid_episodes: Episodes for each point of sweeps and heat maps.
        videos: Successes and failures filmed for each policy and set; 0 films none.
        workers: Processes; the results do not depend on it.
        out: Folder of the results.
    """
    from sim2real.sources import check_episodes
    from sim2real.transfer_command import Options
    from sim2real.transfer_command import transfer as compare

    check_episodes(episodes, seed)
    if grid_episodes < 1:
        raise UserError(f"--grid-episodes has to be at least 1, got {grid_episodes}")
    if videos < 0:
        raise UserError(f"--videos has to be at least 0 (0: film none), got {videos}")
    count = _processes(workers)
    options = Options(dynamics, base, leave_one_out, sweep, heat, episodes, grid_episodes, seed, videos, count)
    return compare(sources, out, options)


def probe(
    run_dir: Positional[Annotated[Path, arg(metavar="RUN")]],
    dynamics: Annotated[str, arg(metavar="NAME_OR_YAML")] = "train",
    episodes: Annotated[int, arg(metavar="N")] = 500,
    seed: Annotated[int, arg(metavar="S")] = 0,
    workers: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: one a core)")] = None,
) -> int:
    """Ask what a policy's memory knows of the dynamics, what it is worth, and how it takes a change in mid-episode.

    A linear reader predicts each parameter from the memory at every step, and, as a control, from the current
    observation alone. Writes RUN/probe.json and RUN/probe.html; `sim2real report` takes both in.

    Args:
        run_dir: Folder of a run whose policy has a memory.
        dynamics: Packaged set of dynamics, or path of a YAML file with one; something has to vary under it.
        episodes: Episodes for each question.
        seed: Which episodes.
        workers: Processes; the results do not depend on it.
    """
    from sim2real.probe_command import probe as ask
    from sim2real.sources import check_episodes

    check_episodes(episodes, seed)
    return ask(run_dir, dynamics, episodes=episodes, seed=seed, workers=_processes(workers))


def _processes(workers: int | None) -> int:
    if workers is not None and workers < 1:
        raise UserError(f"--workers has to be at least 1, got {workers}")
    return workers or os.cpu_count() or 1
