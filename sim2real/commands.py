"""What the commands do: the only place that puts configuration, environments, agents and the trainer together.

Imports stay inside the functions: `list`, `run` and the evaluation of a bundle need no torch.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sim2real.config import ConfigError, ExperimentConfig, load_experiment
from sim2real.errors import UserError
from sim2real.overlays import parse_override, presets, read_overlay
from sim2real.sources import (
    DYNAMICS,
    check_episodes,
    default_place,
    dynamics_of,
    make_env,
    open_policy,
    refuse_dynamics,
)

if TYPE_CHECKING:
    from sim2real.domains import Domain
    from sim2real.evaluate import Evaluation
    from sim2real.foreign_source import ForeignOptions
    from sim2real.scores import Scores


def train(preset: str, run_dir: Path | None, overrides: Sequence[str], **options: Any) -> int:
    """Train from a preset or file, or continue; ``options`` (None: not given) win over ``overrides``."""
    config = resolve(preset, overrides, **options)
    folder = run_dir or Path("runs") / f"{Path(preset).stem}_s{config.seed}"

    import torch

    from sim2real.agents import AGENTS
    from sim2real.domains import domain
    from sim2real.runs import check_run, exclusive, open_run
    from sim2real.trainer import Trainer

    # Before the environments are made: a wrong folder should be known at once.
    check_run(folder, config)
    entry = AGENTS[config.algorithm]
    device = choose_device(config.device) if entry.cuda else _cpu_alone(config)
    torch.set_num_threads(config.threads)
    problem = domain(entry.domain)
    source, scores = problem.source(config), problem.training_scores(config)
    algorithm = entry.build(config.agent, source, seed=config.seed, device=device)
    with exclusive(folder):
        run = open_run(folder, config, source.task, ["sim2real", *sys.argv[1:]], device)
        problem.keep(source, folder)
        print(f"training {config.algorithm} on {problem.describe(config.env)}, {device}: {folder}")
        outcome = Trainer(config.trainer, algorithm, scores, run, folder, score=problem.score).run()
    if outcome.reason == "signal":
        print(f"to continue, give the same command again, with --run-dir {folder}")
        return 128 + outcome.signal
    return 0


def resolve(source: str, overrides: Sequence[str], **options: Any) -> ExperimentConfig:
    """The configuration of a preset or file with ``key=value`` texts and options laid over it."""
    from sim2real.runs import sections

    layers = [parse_override(text) for text in overrides]
    total_samples = options.pop("total_samples", None)
    if total_samples is not None:
        layers.append({"trainer": {"total_samples": total_samples}})
    layers.append({key: value for key, value in options.items() if value is not None})
    return load_experiment(read_overlay(source), layers, sections)


def choose_device(device: Literal["cpu", "cuda", "auto"]) -> Literal["cpu", "cuda"]:
    """Where to compute. Raises ``ConfigError`` if cuda is asked for and torch sees none."""
    import torch

    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise ConfigError(f"--device cuda: torch {torch.__version__} sees no CUDA device; use cpu or auto")
    return "cuda"


def _cpu_alone(config: ExperimentConfig) -> Literal["cpu"]:
    if config.device == "cuda":
        raise ConfigError(f"--device cuda: {config.algorithm} computes on the CPU alone; use cpu or auto")
    return "cpu"


def evaluate(
    source: Path,
    dynamics: Sequence[str] | None,
    *,
    episodes: int | None,
    seed: int,
    json_file: Path | None = None,
    foreign: ForeignOptions | None = None,
) -> int:
    """Score what was trained, print a table, and write rows if asked.

    The policy of a run, a bundle or a model of another library: under each set of dynamics (None: all that the task
    has). A meta-learner: on unseen tasks.
    """
    check_writable(json_file)
    problem = _domain_of(source)
    episodes = problem.episodes if episodes is None else episodes
    if problem.measure is not None:
        refuse_dynamics(source, dynamics)
        scores, _ = _measure(source, problem, episodes, seed)
        rows, table = scores.rows(), scores.table()
    else:
        evaluations = _score(source, dynamics, episodes, seed, foreign)
        rows = [row for name, evaluation in evaluations.items() for row in evaluation.rows(name)]
        table = _table(evaluations)
    if json_file is not None:  # first: whoever reads a few lines of the table may close the pipe
        write_rows(json_file, rows, source=str(source), seed=seed, episodes=episodes)
    print(table)
    return 0


def report(run_dir: Path, dynamics: Sequence[str] | None, *, episodes: int | None, seed: int) -> int:
    """Score what a run has learned as `evaluate` does, and write it all on one page."""
    from sim2real.domains import domain
    from sim2real.envs import PARAMETERS
    from sim2real.report import write_report
    from sim2real.runs import domain_of

    problem = domain(domain_of(run_dir))  # a bundle has no learning curve
    episodes = problem.episodes if episodes is None else episodes
    if problem.measure is not None:
        from sim2real.meta_report import write_meta_report

        refuse_dynamics(run_dir, dynamics)
        scores, figures = _measure(run_dir, problem, episodes, seed, figures=True)
        print(scores.table())
        print(f"report: {write_meta_report(run_dir, scores, problem, figures)}")
        return 0
    evaluations = _score(run_dir, dynamics or DYNAMICS, episodes, seed)
    print(_table(evaluations))
    units = {p.name: p.unit for p in PARAMETERS}
    print(f"report: {write_report(run_dir, evaluations, units=units, extra=_measured(run_dir))}")
    return 0


def _measured(run_dir: Path) -> list[str]:
    """Sections of what `transfer` and `probe` have left in the run."""
    from sim2real import probe_page, transfer_page

    found: list[str] = []
    for file in (run_dir / "transfer" / "transfer.json", run_dir / "probe.json"):
        if file.is_file():
            content = json.loads(file.read_text(encoding="utf-8"))
            is_probe = file.name == "probe.json"
            found += probe_page.sections(content) if is_probe else transfer_page.sections(file.parent, content)
    return found


def record(source: Path, dynamics: Sequence[str], out: Path | None, *, episodes: int, seed: int) -> int:
    """Film the policy of a run or a bundle under each set of dynamics, side by side."""
    from sim2real.record import record as film

    check_episodes(episodes, seed)
    policy, task = open_policy(source)
    envs = {name: make_env(task, name, episodes=1) for name in dynamics}
    print(f"video: {film(policy, envs, out or video_file(source), episodes=episodes, seed=seed)}")
    return 0


def video_file(source: Path) -> Path:
    """Where a film goes by default."""
    return default_place(source, "video.mp4", ".mp4")


def list_all() -> int:
    """Print what can be named on the command line."""
    from sim2real.envs import TASKS, id_of
    from sim2real.envs.dynamics_sets import packaged
    from sim2real.envs.families import FAMILIES
    from sim2real.envs.variations import GROUPS

    print("presets, for `sim2real train NAME`:")
    found = presets()
    width = max(map(len, [*found, *TASKS]))
    for name, description in found.items():
        print(f"  {name:<{width}}  {description}".rstrip())
    print("tasks, for env.task and as ids for `sim2real run --env` and gymnasium.make:")
    for name in TASKS:
        print(f"  {name:<{width}}  {id_of(name)}")
    print("or the path of a YAML file that describes an arm of your own, see examples/own_arm")
    print("families of tasks, for env.family of meta-reinforcement learning:")
    print("  " + ", ".join(FAMILIES))
    print("dynamics, for env.dynamics and --dynamics (or the path of a YAML file):")
    print("  " + ", ".join(packaged()))
    print("SET:GROUP is a set with a group of parameters held at nominal:")
    print("  " + ", ".join(GROUPS))
    return 0


def _score(
    source: Path, dynamics: Sequence[str] | None, episodes: int, seed: int, foreign: ForeignOptions | None = None
) -> dict[str, Evaluation]:
    """Evaluate the policy in ``source`` under each set of dynamics."""
    from sim2real.envs import load_dynamics
    from sim2real.evaluate import evaluate as score
    from sim2real.progress import counting

    check_episodes(episodes, seed)
    for name in dynamics or ():
        load_dynamics(name)  # a wrong name should be known before the first set is evaluated
    policy, task = open_policy(source, foreign)
    evaluations = {}
    for name in dynamics_of(task, dynamics):
        print(f"evaluating under {name} dynamics: {episodes} episodes", file=sys.stderr)
        env = make_env(task, name, episodes)
        with counting(episodes, "episodes") as progress:
            evaluations[name] = score(policy, env, episodes=episodes, seed=seed, progress=progress)
        env.close()
    return evaluations


def _table(evaluations: Mapping[str, Evaluation]) -> str:
    from sim2real.evaluate import format_table

    return format_table(evaluations)


def _measure(
    run_dir: Path, problem: Domain, episodes: int, seed: int, figures: bool = False
) -> tuple[Scores, list[str]]:
    """Score a meta-learner on unseen tasks; with ``figures``, also the report's own sections."""
    from sim2real.runs import load_policy

    check_episodes(episodes, seed)
    assert problem.measure is not None
    policy, meta = load_policy(run_dir)
    scores = problem.measure(policy, meta, episodes=episodes, seed=seed)
    return scores, problem.figures(policy, meta, seed) if figures else []


def _domain_of(source: Path) -> Domain:
    from sim2real.domains import domain

    if not (source / "config.yaml").is_file():
        return domain("goals")  # a bundle, or a model of another library
    from sim2real.runs import domain_of

    return domain(domain_of(source))


def check_writable(file: Path | None) -> None:
    """Raise before the work whose result could not be written."""
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise UserError(f"can't write {file}: it has to be a file in a folder that exists")


def write_rows(file: Path, rows: list[dict[str, Any]], **what: Any) -> None:
    from sim2real.provenance import provenance

    command = shlex.join(["sim2real", *sys.argv[1:]])
    content = {"command": command, **what, **provenance(), "rows": rows}
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
