"""The command line: parsing and messages. What the commands do is put together in ``sim2real.commands``.

Nothing heavy is imported before a command needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

with contextlib.suppress(ImportError):  # a robot's computer has none, and `run` needs none
    import tyro
    from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg

    Dynamics = Annotated[
        tuple[str, ...] | None,
        arg(metavar="NAME_OR_YAML ...", help_behavior_hint="(default: nominal train unseen, or what there is)"),
    ]
    ForeignEnv = Annotated[str | None, arg(metavar="ID", help_behavior_hint="(models of other libraries)")]
    ForeignTrust = FlagCreatePairsOff[Annotated[bool, arg(help_behavior_hint="(models of other libraries)")]]
    ForeignNormalize = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(models of other libraries)")]

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
    """Train a policy, or continue a run.

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
        total_samples: Budget in the algorithm's own unit (env steps); short for --set trainer.total_samples=N.
        device: Where networks and replay live.
        set: Change keys of the configuration; all of them are in the config.yaml of any run.
    """
    from sim2real import commands

    overrides = [text for group in set for text in group]
    return commands.train(config, run_dir, overrides, seed=seed, total_samples=total_samples, device=device)


def evaluate(
    source: Positional[Annotated[Path, arg(metavar="RUN_OR_BUNDLE_OR_ZIP")]],
    dynamics: Dynamics = None,
    episodes: Annotated[int, arg(metavar="N")] = 200,
    seed: Annotated[int, arg(metavar="S")] = 0,
    json: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: the table only)")] = None,
    env: ForeignEnv = None,
    trust: ForeignTrust = False,
    vec_normalize: ForeignNormalize = None,
) -> int:
    """Measure a policy under sets of dynamics, side by side.

    Episode k of a seed is the same one for every policy and, but for the dynamics, under every set. Success counts at
    the last step, with its 95 % interval; the base rate is the share of episodes that are solved before they begin.

    A model of stable-baselines3 or sb3-contrib (SAC, TD3, DDPG, TQC, PPO, RecurrentPPO) is evaluated with

      sim2real evaluate model.zip --trust --env FetchReach-v4

    Args:
        source: Folder of a run (its best policy is taken) or of an exported bundle, or a model of stable-baselines3.
        dynamics: Packaged sets (see `sim2real list`) or paths of YAML files with one.
        episodes: Episodes under each set.
        seed: Which episodes.
        json: Also write the rows to this file, with versions, commit and machine.
        env: For a zip: id of the environment it was trained in, one of gymnasium's or of sim2real's.
        trust: For a zip: allow it to run code of its author's. Its parts are Python pickles, and loading does that.
        vec_normalize: For a zip: the statistics of VecNormalize, if it was trained with it; a pickle too.
    """
    from sim2real import commands
    from sim2real.foreign_source import ForeignOptions

    foreign = ForeignOptions(env, trust, vec_normalize)
    return commands.evaluate(source, dynamics, episodes=episodes, seed=seed, json_file=json, foreign=foreign)


def export(
    source: Positional[Annotated[Path, arg(metavar="RUN_OR_ZIP")]],
    out: Annotated[Path, arg(metavar="DIR")],
    dynamics: Dynamics = None,
    episodes: Annotated[int, arg(metavar="N")] = 200,
    env: ForeignEnv = None,
    trust: ForeignTrust = False,
    vec_normalize: ForeignNormalize = None,
) -> int:
    """Write a policy as a bundle that runs without torch: a run's best one, or a model of stable-baselines3.

    A bundle is one ONNX file with the normaliser and the action scale inside, its contract (names, units, order,
    limits, delays), the proof that it acts as the policy it came from, a model card with what it achieves, measured
    with the bundle itself, and a runner that needs numpy alone.

    Args:
        source: Folder of a run (its best policy is taken), or a model of stable-baselines3.
        out: Folder of the bundle; a bundle that is already there is replaced.
        dynamics: What the bundle is evaluated under, as in `sim2real evaluate`.
        episodes: Episodes under each set; 0 skips the evaluation, and the model card says so.
        env: For a zip: id of the environment it was trained in, one of gymnasium's or of sim2real's.
        trust: For a zip: allow it to run code of its author's. Its parts are Python pickles, and loading does that.
        vec_normalize: For a zip: the statistics of VecNormalize, if it was trained with it; a pickle too.
    """
    from sim2real import commands
    from sim2real.foreign_source import ForeignOptions

    foreign = ForeignOptions(env, trust, vec_normalize)
    return commands.export(source, out, dynamics, episodes=episodes, foreign=foreign)


def run() -> int:
    """Run a bundle on a robot, simulated, recorded, over ROS 2 or your own, through the safety filter.

    Needs numpy and onnxruntime, no torch.
    """
    raise AssertionError("main() hands this command to sim2real.deploy, whose parser is that of a bundle's own runner")


def drill(
    bundle: Positional[Annotated[Path, arg(metavar="BUNDLE")]],
    safety: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: the contract's limits)")] = None,
    dynamics: Annotated[str, arg(metavar="NAME_OR_YAML")] = "nominal",
    episodes: Annotated[int, arg(metavar="N")] = 5,
    seed: Annotated[int, arg(metavar="S")] = 0,
) -> int:
    """Inject faults into a simulated robot and its policy, one after the other, and measure what was sent.

    Commands are in units of the limits, steps in units of the rate limit: nothing may be above 1. The row "none" shows
    what the safety settings cost. The exit code is 1 if anything was sent that was not allowed.

    Args:
        bundle: Folder that `sim2real export` wrote.
        safety: Settings of the safety filter, JSON (see docs/deployment.md).
        dynamics: Packaged set of dynamics, or path of a YAML file with one.
        episodes: Episodes for each fault.
        seed: Which episodes.
    """
    from sim2real import commands

    return commands.drill(bundle, safety, dynamics, episodes=episodes, seed=seed)


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
    dynamics: Annotated[tuple[str, ...], arg(metavar="NAME_OR_YAML ...")] = ("nominal", "train", "unseen"),
    episodes: Annotated[int, arg(metavar="N")] = 200,
    seed: Annotated[int, arg(metavar="S")] = 0,
) -> int:
    """Write RUN/report.html: how the policy learned, how it transfers, and what made it, in one file.

    Args:
        run_dir: Folder of the run.
        dynamics: What it is evaluated under, as in `sim2real evaluate`.
        episodes: Episodes under each set.
        seed: Which episodes.
    """
    from sim2real import commands

    return commands.report(run_dir, dynamics, episodes=episodes, seed=seed)


def push(
    bundle: Positional[Annotated[Path, arg(metavar="BUNDLE")]],
    repo_id: Positional[Annotated[str, arg(metavar="REPO_ID")]],
    private: bool = False,
    revision: Annotated[str | None, arg(metavar="BRANCH", help_behavior_hint="(default: main)")] = None,
) -> int:
    """Publish a bundle on the Hugging Face Hub, after checking its files and replaying its golden rollout.

    Who you are is read from `hf auth login` or HF_TOKEN, another Hub than the public one from HF_ENDPOINT.

    Args:
        bundle: Folder that `sim2real export` wrote.
        repo_id: Model repository, NAMESPACE/NAME; made if it does not exist.
        private: Make it private; refused if it exists and is public.
        revision: Branch to commit to; made if it does not exist.
    """
    from sim2real import commands

    return commands.push(bundle, repo_id, private=private, revision=revision)


def pull(
    repo_id: Positional[Annotated[str, arg(metavar="REPO_ID")]],
    out: Annotated[Path, arg(metavar="DIR")],
    revision: Annotated[str | None, arg(metavar="REVISION", help_behavior_hint="(default: the newest of main)")] = None,
) -> int:
    """Fetch a bundle from the Hugging Face Hub and check that it is complete and unaltered.

    The checksums tell that nothing was lost or changed since the export, not who made it: pull from people you trust.

    Args:
        repo_id: Model repository, NAMESPACE/NAME.
        out: Folder of the bundle; a bundle that is already there is replaced.
        revision: Branch, tag or commit.
    """
    from sim2real import commands

    return commands.pull(repo_id, out, revision=revision)


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
            return _run(argv[1:])
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


def _run(argv: Sequence[str]) -> int:
    from sim2real.deploy.__main__ import main as run_bundle

    def simulator(env: str, dynamics: str) -> Any:
        from sim2real import commands

        return commands.simulated(env, dynamics)

    return run_bundle(argv, prog="sim2real run", simulator=simulator)


def _fail(message: str) -> int:
    print(f"sim2real: error: {message}", file=sys.stderr)
    return 2
