"""What the commands on bundles do: export, drill, push, pull. See ``sim2real.commands`` for the others."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sim2real.errors import UserError
from sim2real.sources import DYNAMICS, check_episodes, dynamics_of, id_of, make_env
from sim2real.types import GoalVectorEnv

if TYPE_CHECKING:
    from sim2real.bundle_evaluation import Setting
    from sim2real.foreign_source import ForeignOptions


def export(source: Path, out: Path, dynamics: Sequence[str] | None, *, episodes: int, foreign: ForeignOptions) -> int:
    """Write a run's best policy, or a model of another library, as a bundle and evaluate it."""
    if episodes < 0:
        raise UserError(f"--episodes has to be at least 0 (0: export without an evaluation), got {episodes}")
    if source.is_file():
        folder, env_id = _export_foreign(source, out, dynamics, episodes, foreign)
    else:
        foreign.refuse(source)
        if (own := _domain_export(source)) is not None:
            print(f"exported to {own(out)}")
            return 0
        folder, env_id = _export_run(source, out, dynamics or DYNAMICS, episodes)
    print(f"exported to {folder}; try it: sim2real run {folder} --env {env_id}")
    return 0


def _domain_export(run_dir: Path) -> Callable[[Path], Path] | None:
    """What writes the best policy of a run whose domain has an export of its own."""
    from sim2real.domains import domain
    from sim2real.runs import domain_of, load_policy

    export = domain(domain_of(run_dir)).export
    if export is None:
        return None
    policy, meta = load_policy(run_dir)
    return functools.partial(export, policy, meta)


def _export_run(run_dir: Path, out: Path, dynamics: Sequence[str], episodes: int) -> tuple[Path, str]:
    """The bundle of a run's best policy, proved on episodes of the dynamics it was trained on, and its environment."""
    from sim2real.envs import load_dynamics
    from sim2real.export import export as write
    from sim2real.runs import read_config

    trained = read_config(run_dir).env
    env = make_env(trained.task, trained.dynamics, episodes=2)
    drawn = load_dynamics(trained.dynamics)
    folder = write(
        run_dir,
        out,
        env=env,
        dynamics=drawn.to_dict(),
        delays=drawn.delays(),
        settings=_settings(trained.task, dynamics, episodes),
        episodes=episodes,
    )
    return folder, id_of(trained.task)


def _export_foreign(
    path: Path, out: Path, dynamics: Sequence[str] | None, episodes: int, foreign: ForeignOptions
) -> tuple[Path, str]:
    """The bundle of a model of another library, proved on episodes of its own dynamics, and its environment."""
    from sim2real.envs import TASKS
    from sim2real.export import export_policy
    from sim2real.foreign_source import open_foreign

    policy, task, model = open_foreign(path, foreign)
    settings = _settings(task, dynamics_of(task, dynamics), episodes)
    env = make_env(task, DYNAMICS[0], episodes=2)
    meta, trained = {**model.origin(), "env": {"id": foreign.env}}, {"versions": model.versions}
    folder = export_policy(out, policy, meta, env=env, trained=trained, settings=settings, episodes=episodes)
    return folder, id_of(task) if task in TASKS else task


def simulated(env_id: str, dynamics: str) -> GoalVectorEnv:
    """The environment of a simulated robot: one, by the name of its task or its id, gymnasium's too."""
    from sim2real.foreign_source import task_of

    return make_env(task_of(env_id), dynamics, episodes=1)


def drill(bundle: Path, safety: Path | None, dynamics: str, *, episodes: int, seed: int) -> int:
    """Measure what is sent under every fault, in simulation."""
    from sim2real.deploy import BundleRunner, load_bundle
    from sim2real.deploy.drill import drill as run
    from sim2real.deploy.drill import is_safe, table
    from sim2real.deploy.faults import FAULTS
    from sim2real.deploy.safety import SafetyConfig, load_safety
    from sim2real.deploy.sim_robot import SimRobot

    check_episodes(episodes, seed)
    config = load_safety(safety) if safety else SafetyConfig()
    runner = BundleRunner(load_bundle(bundle))
    contract = runner.bundle.contract
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


def _settings(task: str, dynamics: Sequence[str], episodes: int) -> dict[str, Setting]:
    """Sets of dynamics by name, for the evaluation of a bundle; tasks of other libraries don't say what theirs are."""
    from sim2real.bundle_evaluation import Setting
    from sim2real.envs import TASKS, load_dynamics

    return {
        name: Setting(
            functools.partial(make_env, task, name, episodes), load_dynamics(name).to_dict() if task in TASKS else {}
        )
        for name in dynamics
    }


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
