"""Run a bundle on a robot: ``sim2real run BUNDLE``, ``python -m sim2real.deploy BUNDLE``, ``python BUNDLE/runner.pyz``.

One parser for the three, of the standard library: a robot's computer has nothing else. What needs the training side, a
simulated environment, is handed in by ``sim2real run``.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from sim2real.deploy.bundle import BackendName, Bundle, load_bundle
from sim2real.deploy.bundle_policy import NO_RAMP
from sim2real.deploy.contract import Contract
from sim2real.deploy.replay_robot import LogReplayRobot, golden_recording, logged_recording
from sim2real.deploy.robot import Robot
from sim2real.deploy.ros2_mapping import load_mapping, table
from sim2real.deploy.ros2_robot import Ros2Robot
from sim2real.deploy.runner import BundleRunner
from sim2real.deploy.safety import SafetyConfig, SafetyFilter, load_safety
from sim2real.deploy.session import Session
from sim2real.deploy.sim_robot import SimRobot
from sim2real.deploy.simulate import check_simulated
from sim2real.errors import UserError, unknown

Simulator = Callable[[str, str], Any]
"""Name of a task or id of an environment, name of a set of dynamics -> a `sim2real.types.GoalVectorEnv` of one."""
ROBOTS = ("sim", "replay", "ros2")
METHODS = ("read", "write", "hold", "now", "sleep_until", "close")
"""Of a `Robot`."""

DESCRIPTION = """Run an exported policy on a robot, through the safety filter, at the control rate of its contract.

robots:
  sim             a simulated one: the environment the policy was trained in, or --env ID
  replay          a recorded one: the bundle's own golden rollout, or --from FILE
  ros2            topics of ROS 2; --topics lists them
  MODULE:FACTORY  your own: FACTORY(contract) gives a sim2real.deploy.robot.Robot; MODULE may lie in this folder"""
EPILOG = """examples:
  sim2real run bundle --env sim2real/FetchReach-v0 --dynamics unseen
  sim2real run bundle --robot replay --steps 200
  sim2real run bundle --robot sim --realtime --log steps.jsonl
  sim2real run bundle --robot ros2 --dry-run --ros-args -r joint_states:=/arm/joint_states

Ctrl-C stops the robot and ends. Exit code: 0; 1 if the safety filter latched, or a replay of the golden rollout gave
other commands; 2 for a mistake in what was given; 130 after Ctrl-C. The filter is not a certified safety function: keep
the robot's own limits and its emergency stop in force."""


def main(
    argv: Sequence[str] | None = None,
    *,
    bundle: Path | None = None,
    prog: str | None = None,
    simulator: Simulator | None = None,
) -> int:
    """Parse, run, report; return the exit code.

    Args:
        argv: the command line; None takes the process's own.
        bundle: the folder to run where the command line names none.
        prog: what the command is called.
        simulator: makes the environment of ``--robot sim``; None where the training side is not installed.
    """
    parser = _parser(prog or ("runner.pyz" if bundle else "python -m sim2real.deploy"), bundle)
    argv = list(sys.argv[1:] if argv is None else argv)
    # Everything after --ros-args is ROS's own; argparse would take its -r and -p for ours.
    cut = argv.index("--ros-args") if "--ros-args" in argv else len(argv)
    options = parser.parse_args(argv[:cut])
    try:
        return _run(options, argv[cut + 1 :], simulator)
    except UserError as error:
        message = str(error)
    except OSError as error:
        if error.filename is None:
            raise
        message = f"{error.filename}: {error.strerror}"
    except KeyboardInterrupt:  # before the loop began
        message = "interrupted"
    print(f"{parser.prog.split()[0]}: error: {message}", file=sys.stderr)
    return 130 if message == "interrupted" else 2


def _run(options: argparse.Namespace, ros_args: Sequence[str], simulator: Simulator | None) -> int:
    _check(options)
    bundle = load_bundle(options.bundle, backend=options.backend)
    if options.topics:
        for row in table(load_mapping(bundle.contract, options.ros2_mapping)):
            print("{:<3} {:<20} {}".format(*row))
        return 0
    settings = _settings(options)
    if options.dry_run:  # what is computed is not sent, so sensors that show no motion are no sign of anything
        settings = replace(settings, frozen_steps=0)
    safety = SafetyFilter(BundleRunner(bundle), settings)
    session = Session(
        safety,
        steps=options.steps,
        episodes=options.episodes,
        realtime=options.realtime,
        dry_run=options.dry_run,
        log=options.log,
        summary=options.json,
        about={"bundle": str(options.bundle), "backend": bundle.backend.name, "robot": options.robot},
    )
    robot = _make_robot(options, bundle, ros_args, simulator)
    try:
        return session.run(robot)
    finally:
        robot.close()


def _settings(options: argparse.Namespace) -> SafetyConfig:
    """The safety settings given, or the defaults: without a ramp where an episode of the simulation starts."""
    if options.safety:
        return load_safety(options.safety)
    return NO_RAMP if options.robot in ("sim", "replay") else SafetyConfig()


# ---- the robots ------------------------------------------------------------------------------------------------------


def _make_robot(
    options: argparse.Namespace, bundle: Bundle, ros_args: Sequence[str], simulator: Simulator | None
) -> Robot:
    contract = bundle.contract
    if options.robot == "sim":
        check_simulated(contract)
        env = _environment(options.env or contract.task, options.dynamics or "nominal", simulator)
        return SimRobot(contract, env, seed=options.seed or 0, realtime=options.realtime)
    if options.robot == "replay":
        source = options.source
        recording = logged_recording(contract, source) if source else golden_recording(bundle)
        return LogReplayRobot(contract, recording, golden=not source, realtime=options.realtime)
    if options.robot == "ros2":
        return Ros2Robot(contract, load_mapping(contract, options.ros2_mapping), ros_args)
    return _own(options.robot, contract)


def _environment(env: str, dynamics: str, simulator: Simulator | None) -> Any:
    if simulator is None:
        raise UserError(
            "a simulated robot needs the whole package: pip install sim2real, then `sim2real run DIR --robot sim`; "
            "this runner has numpy alone (--robot replay, ros2 or MODULE:FACTORY)"
        )
    try:
        return simulator(env, dynamics)
    except ImportError as error:
        raise UserError(
            f"a simulated robot needs {error.name or error}, which is not installed: pip install sim2real, with its "
            "dependencies (--no-deps is for robots)"
        ) from None


def _own(name: str, contract: Contract) -> Robot:
    """What the factory makes, if it is a robot: a missing ``hold`` must not show when it is needed."""
    factory = _factory(name)
    try:
        inspect.signature(factory).bind(contract)
    except TypeError as error:
        raise UserError(f"--robot {name}: it is called with the policy's contract alone: {error}") from None
    except ValueError:  # one without a signature, such as a built-in
        pass
    robot: Robot = factory(contract)
    missing = [method for method in METHODS if not callable(getattr(robot, method, None))]
    if missing:
        raise UserError(
            f"--robot {name} gives no robot: it has no {', '.join(missing)} (examples/own_robot.py shows one)"
        )
    return robot


def _factory(name: str) -> Callable[[Any], Any]:
    """The object that ``MODULE:FACTORY`` names; the current folder comes first, as for a script."""
    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise  # something that the module itself needs: its traceback says where
        raise UserError(f"--robot {name}: there is no module {module_name!r} here, nor is one installed") from None
    factory: Callable[[Any], Any] | None = getattr(module, attribute, None)
    if not callable(factory):
        own = {key: value for key, value in vars(module).items() if getattr(value, "__module__", "") == module_name}
        found = [key for key, value in own.items() if callable(value) and not key.startswith("_")]
        raise UserError(f"--robot {name}: " + unknown(f"factory in {module_name}", attribute, found))
    return factory


# ---- the command line ------------------------------------------------------------------------------------------------


def _parser(prog: str, bundle: Path | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    if bundle is None:
        add("bundle", type=Path, metavar="BUNDLE", help="folder that `sim2real export` wrote")
    else:
        add("bundle", type=Path, metavar="BUNDLE", nargs="?", default=bundle, help="(default: the folder of this file)")
    add("--robot", metavar="sim|replay|ros2|MODULE:FACTORY", help="what to run it on (default: sim, given --env)")
    add("--steps", type=int, metavar="N", help="control steps to run (default: until the end, or Ctrl-C)")
    add("--dry-run", action="store_true", help="compute everything, send nothing")
    add("--backend", choices=get_args(BackendName), default="auto", help="what computes the policy (default: auto)")
    add("--safety", type=Path, metavar="FILE", help="settings of the safety filter, JSON (see docs/deployment.md)")
    add("--log", type=Path, metavar="FILE", help="write every step to this file, JSON lines")
    add("--json", type=Path, metavar="FILE", help="write the summary to this file")
    add("--realtime", action="store_true", help="pace sim and replay by the wall clock; other robots always are")
    sim = parser.add_argument_group("sim")
    sim.add_argument("--env", metavar="ID", help="environment, such as sim2real/FetchReach-v0 (default: the policy's)")
    sim.add_argument("--dynamics", metavar="NAME_OR_YAML", help="set of dynamics (default: nominal)")
    sim.add_argument("--episodes", type=int, metavar="N", help="episodes to run (default: 10, or as many as --steps)")
    sim.add_argument("--seed", type=int, metavar="S", help="which episodes (default: 0)")
    replay = parser.add_argument_group("replay")
    replay.add_argument("--from", dest="source", type=Path, metavar="FILE", help="a file that --log wrote")
    ros = parser.add_argument_group("ros2")
    ros.add_argument("--ros2-mapping", type=Path, metavar="FILE", help="which message carries which element, JSON")
    ros.add_argument("--topics", action="store_true", help="list what to connect, and end; needs no ROS")
    ros.add_argument("--ros-args", action="store_true", help="what follows goes to ROS: remappings and parameters")
    return parser


ONLY_FOR = {
    "env": ("sim",),
    "dynamics": ("sim",),
    "episodes": ("sim",),
    "seed": ("sim",),
    "source": ("replay",),
    "realtime": ("sim", "replay"),
    "ros2_mapping": ("ros2",),
    "topics": ("ros2",),
}
"""Option -> the robots that it means something to."""


def _check(options: argparse.Namespace) -> None:
    if options.robot is None:
        if not options.env and not options.topics:
            raise UserError("--robot is needed: sim, replay, ros2, or MODULE:FACTORY for your own")
        options.robot = "sim" if options.env else "ros2"
    if options.robot not in ROBOTS and not all(options.robot.partition(":")):
        raise UserError(unknown("robot", options.robot, ROBOTS) + ", or MODULE:FACTORY for your own")
    for name, robots in ONLY_FOR.items():
        value = getattr(options, name)
        if value is not None and value is not False and options.robot not in robots:
            option = "--from" if name == "source" else "--" + name.replace("_", "-")
            raise UserError(f"{option} is for --robot {' or '.join(robots)}, not {options.robot}")
    if options.log and options.log.exists():
        raise UserError(f"--log {options.log} is there already, from another run; give another name")
    if options.json and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise UserError(f"can't write --json {options.json}: it has to be a file in a folder that exists")
    for name, least in (("steps", 1), ("episodes", 1), ("seed", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UserError(f"--{name} has to be at least {least}, got {value}")


if __name__ == "__main__":
    sys.exit(main())
