"""What the commands on bundles do: export, drill, push, pull. See ``sim2real.commands`` for the others."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim2real.errors import UserError
from sim2real.sources import DYNAMICS, check_episodes, dynamics_of, make_env, open_policy, refuse_dynamics
from sim2real.types import GoalVectorEnv

if TYPE_CHECKING:
    from sim2real.domains import ExportRequest
    from sim2real.export import Measure
    from sim2real.foreign_source import ForeignOptions


def export(
    source: Path, out: Path, dynamics: Sequence[str] | None, *, episodes: int | None, foreign: ForeignOptions
) -> int:
    """Write a run's best policy, or a model of another library, as a bundle and evaluate it."""
    from sim2real.domains import domain
    from sim2real.runs import domain_of

    if episodes is not None and episodes < 0:
        raise UserError(f"--episodes has to be at least 0 (0: export without an evaluation), got {episodes}")
    if not source.is_file():
        foreign.refuse(source)
    problem = domain("goals" if source.is_file() else domain_of(source))
    episodes = problem.episodes if episodes is None else episodes
    if problem.export is not None:
        refuse_dynamics(source, dynamics)
        print(f"exported to {problem.export(_request(source, out, episodes))}")
        return 0
    if source.is_file():
        folder, env_id = _export_foreign(source, out, dynamics, episodes, foreign)
    else:
        folder, env_id = _export_run(source, out, dynamics or DYNAMICS, episodes)
    print(f"exported to {folder}; try it: sim2real run {folder} --env {env_id}")
    return 0


def _request(run_dir: Path, out: Path, episodes: int) -> ExportRequest:
    """To a domain, for the best policy of a run."""
    from sim2real.bundle_documents import trained_with
    from sim2real.domains import ExportRequest
    from sim2real.runs import load_policy

    policy, meta = load_policy(run_dir)
    return ExportRequest(policy, meta, trained_with(run_dir), out, episodes)


def _export_run(run_dir: Path, out: Path, dynamics: Sequence[str], episodes: int) -> tuple[Path, str]:
    """The bundle of a run's best policy, proved on episodes of the dynamics it was trained on, and its environment."""
    from sim2real.bundle_documents import About
    from sim2real.envs import id_of, load_dynamics
    from sim2real.export import export as write
    from sim2real.golden import episode_readings
    from sim2real.runs import read_config

    trained = read_config(run_dir).env
    open_policy(run_dir)  # says so where its task has changed since
    env = make_env(trained.task, trained.dynamics, episodes=2)
    drawn = load_dynamics(trained.dynamics)
    folder = write(
        run_dir,
        out,
        about=About(trained={"dynamics": drawn.to_dict()}, delays=drawn.delays()),
        readings=functools.partial(episode_readings, env),
        measure=_measure(trained.task, dynamics, episodes),
    )
    return folder, id_of(trained.task)


def _export_foreign(
    path: Path, out: Path, dynamics: Sequence[str] | None, episodes: int, foreign: ForeignOptions
) -> tuple[Path, str]:
    """The bundle of a model of another library, proved on episodes of its own dynamics, and its environment."""
    from sim2real.bundle_documents import About
    from sim2real.envs import id_of
    from sim2real.export import export_policy
    from sim2real.foreign_source import open_foreign
    from sim2real.golden import episode_readings

    policy, task, model = open_foreign(path, foreign)
    measure = _measure(task, dynamics_of(task, dynamics), episodes)
    readings = functools.partial(episode_readings, make_env(task, DYNAMICS[0], episodes=2))
    meta, about = {**model.origin(), "env": {"id": foreign.env}}, About(trained={"versions": model.versions})
    folder = export_policy(out, policy, meta, about=about, readings=readings, measure=measure)
    return folder, id_of(task)


def simulated(env_id: str, dynamics: str) -> GoalVectorEnv:
    """The environment of a simulated robot: one, by the name of its task or its id, gymnasium's too."""
    from sim2real.foreign_source import task_of

    return make_env(task_of(env_id), dynamics, episodes=1)


def drill(bundle: Path, safety: Path | None, dynamics: str, *, episodes: int, seed: int) -> int:
    """Measure what is sent under every fault, in simulation."""
    from sim2real.deploy import BundleRunner, check_simulated, load_bundle
    from sim2real.deploy.drill import drill as run
    from sim2real.deploy.drill import is_safe, table
    from sim2real.deploy.faults import FAULTS
    from sim2real.deploy.safety import SafetyConfig, load_safety
    from sim2real.deploy.sim_robot import SimRobot

    check_episodes(episodes, seed)
    config = load_safety(safety) if safety else SafetyConfig()
    runner = BundleRunner(load_bundle(bundle))
    contract = runner.bundle.contract
    check_simulated(contract)
    env = simulated(contract.task, dynamics)
    rows = run(
        runner,
        lambda: SimRobot(contract, env, seed=seed),
        FAULTS,
        episodes=episodes,
        config=config,
        progress=lambda text: print(text, file=sys.stderr, flush=True),
    )
    env.close()
    print(table(rows))
    return 0 if all(map(is_safe, rows)) else 1


def _measure(task: str, dynamics: Sequence[str], episodes: int) -> Measure | None:
    """The evaluation of a bundle under sets of dynamics; tasks of other libraries don't say what theirs are."""
    from sim2real.bundle_evaluation import Setting, evaluate_bundle
    from sim2real.envs import is_task, load_dynamics

    settings = {
        name: Setting(
            functools.partial(make_env, task, name, episodes), load_dynamics(name).to_dict() if is_task(task) else {}
        )
        for name in dynamics
    }
    return functools.partial(evaluate_bundle, settings, episodes, 0) if episodes else None


def push(bundle: Path, repo_id: str, *, private: bool, revision: str | None) -> int:
    """Check a bundle and publish it on the Hub."""
    from sim2real import hub

    done = hub.push(bundle, repo_id, private=private, revision=revision)
    print(f"pushed {bundle} to {done.repo_id}: {done.url}")
    print(f"get exactly this one: sim2real pull {done.repo_id} --revision {done.commit} --out DIR")
    return 0


def pull(repo_id: str, out: Path, *, revision: str | None) -> int:
    """Fetch a bundle from the Hub and check it."""
    from sim2real import hub

    done = hub.pull(repo_id, out, revision=revision)
    print(f"pulled {done.repo_id} at {done.commit} to {out}; every file is the one that was exported")
    if not hub.has_own_runner(out):
        print(
            f"{out}/runner.pyz is a program from {done.repo_id}, other than the runner of this sim2real: use "
            "`sim2real run`, or look into it before you start it"
        )
    return 0
