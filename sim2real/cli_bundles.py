"""The commands on bundles: parsing and messages, as in ``sim2real.cli``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

with contextlib.suppress(ImportError):  # as in sim2real.cli: `run` needs none
    from tyro.conf import FlagCreatePairsOff, Positional, arg

    Dynamics = Annotated[
        tuple[str, ...] | None,
        arg(metavar="NAME_OR_YAML ...", help_behavior_hint="(default: nominal train unseen, or what there is)"),
    ]
    Episodes = Annotated[int | None, arg(metavar="N", help_behavior_hint="(default: 200, or what the domain says)")]
    ForeignEnv = Annotated[str | None, arg(metavar="ID", help_behavior_hint="(models of other libraries)")]
    ForeignTrust = FlagCreatePairsOff[Annotated[bool, arg(help_behavior_hint="(models of other libraries)")]]
    ForeignNormalize = Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(models of other libraries)")]


def export(
    source: Positional[Annotated[Path, arg(metavar="RUN_OR_ZIP")]],
    out: Annotated[Path, arg(metavar="DIR")],
    dynamics: Dynamics = None,
    episodes: Episodes = None,
    env: ForeignEnv = None,
    trust: ForeignTrust = False,
    vec_normalize: ForeignNormalize = None,
) -> int:
    """Write a policy as a bundle that runs without torch: a run's best one, or a model of stable-baselines3.

    A bundle is one ONNX file with the normaliser and the action scale inside, its contract (names, units, order,
    limits, delays), the proof that it acts as the policy it came from, a model card with what it achieves, measured
    with the bundle itself, and a runner that needs numpy alone.

    RL² becomes a bundle that also reads the reward and the end of episode of the step before. Its memory is reset
    between trials, not between their episodes. A policy that adapts by gradient steps is exported once it has met its
    task: `sim2real adapt RUN --export DIR`. A few-shot learner that adapts by a forward pass becomes two ONNX files
    instead: adapt (support set in) and predict.

    Args:
        source: Folder of a run (its best policy is taken), or a model of stable-baselines3.
        out: Folder of the bundle; a bundle that is already there is replaced.
        dynamics: What the bundle is evaluated under, as in `sim2real evaluate`; not for meta-learners.
        episodes: Episodes under each set, or unseen tasks; 0 skips the evaluation, and the model card says so.
        env: For a zip: id of the environment it was trained in, one of gymnasium's or of sim2real's.
        trust: For a zip: allow it to run code of its author's. Its parts are Python pickles, and loading does that.
        vec_normalize: For a zip: the statistics of VecNormalize, if it was trained with it; a pickle too.
    """
    from sim2real import bundle_commands
    from sim2real.foreign_source import ForeignOptions

    foreign = ForeignOptions(env, trust, vec_normalize)
    return bundle_commands.export(source, out, dynamics, episodes=episodes, foreign=foreign)


def run() -> int:
    """Run a bundle on a robot, simulated, recorded, over ROS 2 or your own, through the safety filter.

    Needs numpy and onnxruntime, no torch.
    """
    raise AssertionError(
        "sim2real.cli hands this command to sim2real.deploy, whose parser is that of a bundle's own runner"
    )


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
    from sim2real import bundle_commands

    return bundle_commands.drill(bundle, safety, dynamics, episodes=episodes, seed=seed)


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
    from sim2real import bundle_commands

    return bundle_commands.push(bundle, repo_id, private=private, revision=revision)


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
    from sim2real import bundle_commands

    return bundle_commands.pull(repo_id, out, revision=revision)


def run_bundle(argv: Sequence[str]) -> int:
    """`sim2real run`, whose parser needs the standard library only."""
    from sim2real.deploy.__main__ import main

    def simulator(env: str, dynamics: str) -> Any:
        from sim2real import bundle_commands

        return bundle_commands.simulated(env, dynamics)

    return main(argv, prog="sim2real run", simulator=simulator)
