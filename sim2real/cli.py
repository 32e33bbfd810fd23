"""The command line: parsing and messages. What the commands do is put together in ``sim2real.commands``.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

with contextlib.suppress(ImportError):  # a robot's computer has none, and `run` needs none
    import tyro
    from tyro.conf import Positional, UseAppendAction, arg

    from sim2real.cli_bundles import Dynamics, Episodes, ForeignEnv, ForeignNormalize, ForeignTrust

from sim2real.cli_bundles import drill, export, pull, push, run, run_bundle
from sim2real.cli_studies import probe, transfer
from sim2real.errors import UserError, unknown

DESCRIPTION = """Train robot-arm policies under randomised dynamics, measure how they transfer, export them.

A first session:

  sim2real list
  sim2real train fetch_reach --run-dir runs/reach
  sim2real evaluate runs/reach --dynamics nominal train unseen
  sim2real export runs/reach --out bundle
  sim2real run bundle --env sim2real/FetchReach-v0 --dynamics unseen
  sim2real report runs/reach
  sim2real transfer runs/reach
  sim2real probe runs/reach
  sim2real record runs/reach

`sim2real COMMAND --help` explains a command."""
EXTRAS = {
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "envpool": "baselines",
    "sb3_contrib": "baselines",
    "stable_baselines3": "baselines",
    "tensorboard": "track",
    "imageio_ffmpeg": "video",
    "huggingface_hub": "hub",
}
"""Module that is not installed with the core -> the extra that brings it."""
PRESET = "(default: what the preset says)"


def train(
    config: Positional[Annotated[str, arg(metavar="PRESET_OR_YAML")]],
    run_dir: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: runs/NAME_sSEED)")] = None,
    seed: Annotated[int | None, arg(metavar="S", help_behavior_hint=PRESET)] = None,
    total_samples: Annotated[int | None, arg(metavar="N", help_behavior_hint=PRESET)] = None,
    device: Annotated[
        Literal["cpu", "cuda", "auto"] | None, arg(metavar="cpu|cuda|auto", help_behavior_hint=PRESET)
    ] = None,
    set: Annotated[UseAppendAction[tuple[tuple[str, ...], ...]], arg(metavar="KEY=VALUE ...")] = (),
) -> int:
    """Train a policy or a meta-learner, or continue a run.

    Called again with the same --run-dir, it goes on where the last checkpoint was taken. Ctrl-C saves and stops.
    Only the budget (--total-samples, --set trainer.max_minutes=M) may change between the sessions of a run.

    For instance:

      sim2real train fetch_reach
      sim2real train fetch_push_dr --run-dir runs/push --seed 1 --set agent.memory=gru env.num_envs=32
      sim2real train my_experiment.yaml --total-samples 500000

    Args:
        config: Name of a preset (see `sim2real list`), or path of a YAML file with what differs from the defaults.
        run_dir: Folder of the run.
        seed: The same seed gives the same run, bit for bit.
        total_samples: Budget in the algorithm's own unit (env steps, tasks, architectures);
            short for --set trainer.total_samples=N.
        device: Where networks and replay live.
        set: Change keys of the configuration; all of them are in the config.yaml of any run.
    """
    from sim2real import commands

    overrides = [text for group in set for text in group]
    return commands.train(config, run_dir, overrides, seed=seed, total_samples=total_samples, device=device)


def evaluate(
    source: Positional[Annotated[Path, arg(metavar="RUN_OR_BUNDLE_OR_ZIP")]],
    dynamics: Dynamics = None,
    episodes: Episodes = None,
    seed: Annotated[int, arg(metavar="S")] = 0,
    json: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: the table only)")] = None,
    env: ForeignEnv = None,
    trust: ForeignTrust = False,
    vec_normalize: ForeignNormalize = None,
) -> int:
    """Measure a policy under sets of dynamics, side by side; a meta-learner, on tasks that it has not seen.

    Episode k of a seed is the same one for every policy and, but for the dynamics, under every set. Success counts at
    the last step, with its 95 % interval; the base rate is the share of episodes that are solved before they begin.

    A model of stable-baselines3 or sb3-contrib (SAC, TD3, DDPG, TQC, PPO, RecurrentPPO) is evaluated with

      sim2real evaluate model.zip --trust --env FetchReach-v4

    Args:
        source: Folder of a run (its best policy is taken) or of an exported bundle, or a model of stable-baselines3.
        dynamics: Packaged sets (see `sim2real list`) or paths of YAML files with one; not for meta-learners.
        episodes: Episodes under each set, or unseen tasks.
        seed: Which episodes or tasks.
        json: Also write the rows to this file, with versions, commit and machine.
        env: For a zip: id of the environment it was trained in, one of gymnasium's or of sim2real's.
        trust: For a zip: allow it to run code of its author's. Its parts are Python pickles, and loading does that.
        vec_normalize: For a zip: the statistics of VecNormalize, if it was trained with it; a pickle too.
    """
    from sim2real import commands
    from sim2real.foreign_source import ForeignOptions

    foreign = ForeignOptions(env, trust, vec_normalize)
    return commands.evaluate(source, dynamics, episodes=episodes, seed=seed, json_file=json, foreign=foreign)


def adapt(
    run_dir: Positional[Annotated[Path, arg(metavar="RUN")]],
    episodes: Annotated[int | None, arg(metavar="K", help_behavior_hint="(default: as the run says)")] = None,
    tasks: Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 40; with --export 1)")] = None,
    seed: Annotated[int, arg(metavar="S")] = 0,
    export: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="(default: export nothing)")] = None,
    json: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: the table only)")] = None,
) -> int:
    """Let a meta-learner adapt to tasks that it has not seen, and show its return before and after.

    With --export it adapts to one task, and the adapted policy becomes a bundle, which says to what it was adapted, by
    how many steps, and its return before and after:

      sim2real adapt runs/nav --seed 3 --episodes 20 --export bundle

    A learner that adapts with its memory (RL²) is exported as it is: `sim2real export RUN`.

    Args:
        run_dir: Folder of a run of meta-reinforcement learning (its best policy is taken).
        episodes: Episodes of a task that it sees: for each gradient step, or in the whole trial if it remembers.
        tasks: Unseen tasks.
        seed: Which tasks.
        export: Folder of the adapted policy's bundle; a bundle that is already there is replaced.
        json: Also write the rows to this file, with versions, commit and machine.
    """
    from sim2real import adapt_command

    return adapt_command.adapt(run_dir, episodes=episodes, tasks=tasks, seed=seed, out=export, json_file=json)


def record(
    source: Positional[Annotated[Path, arg(metavar="RUN_OR_BUNDLE")]],
    dynamics: Annotated[tuple[str, ...], arg(metavar="NAME_OR_YAML ...")] = ("nominal", "train", "unseen"),
    episodes: Annotated[int, arg(metavar="N")] = 3,
    seed: Annotated[int, arg(metavar="S")] = 0,
    out: Annotated[
        Path | None, arg(metavar="FILE", help_behavior_hint="(default: RUN/video.mp4, or BUNDLE.mp4 beside the bundle)")
    ] = None,
) -> int:
    """Film a policy as mp4, without a screen: the same episodes under sets of dynamics, side by side.

    Args:
        source: Folder of a run (its best policy is taken) or of an exported bundle.
        dynamics: Packaged sets (see `sim2real list`) or paths of YAML files with one.
        episodes: Episodes, one after the other.
        seed: Which episodes.
        out: The video, an .mp4 file.
    """
    from sim2real import commands

    return commands.record(source, dynamics, out, episodes=episodes, seed=seed)


def report(
    run_dir: Positional[Annotated[Path, arg(metavar="RUN")]],
    dynamics: Dynamics = None,
    episodes: Episodes = None,
    seed: Annotated[int, arg(metavar="S")] = 0,
) -> int:
    """Write RUN/report.html: how the policy learned, how it transfers or adapts, and what made it, in one file.

    Args:
        run_dir: Folder of the run.
        dynamics: What it is evaluated under, as in `sim2real evaluate`.
        episodes: Episodes under each set, or unseen tasks.
        seed: Which episodes or tasks.
    """
    from sim2real import commands

    return commands.report(run_dir, dynamics, episodes=episodes, seed=seed)


def list_() -> int:
    """Show the presets, the tasks and the sets of dynamics."""
    from sim2real import commands

    return commands.list_all()


def doctor() -> int:
    """Say what is installed, what this machine can do, what is missing and how to get it."""
    from sim2real.doctor import report

    return report(EXTRAS)


COMMANDS: dict[str, Callable[..., int]] = {
    "train": train,
    "evaluate": evaluate,
    "adapt": adapt,
    "export": export,
    "run": run,
    "drill": drill,
    "record": record,
    "report": report,
    "push": push,
    "pull": pull,
    "transfer": transfer,
    "probe": probe,
    "list": list_,
    "doctor": doctor,
}


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code: 0, 2 for a mistake of the user's, 130 when interrupted."""
    argv = list(sys.argv[1:] if args is None else args)
    try:
        if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
            raise UserError(unknown("command", argv[0], COMMANDS))
        if argv[:1] == ["run"]:
            return run_bundle(argv[1:])
        if "tyro" not in globals():
            raise UserError("this command needs what a plain `pip install sim2real` brings (--no-deps is for `run`)")
        code: int = tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="sim2real", description=DESCRIPTION, args=argv)
        return code
    except UserError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        extra = EXTRAS[error.name]
        return _fail(f"this needs {error.name}, which is not installed: pip install 'sim2real[{extra}]'")
    except BrokenPipeError:  # `sim2real list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _fail(message: str) -> int:
    print(f"sim2real: error: {message}", file=sys.stderr)
    return 2
