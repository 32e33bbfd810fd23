"""`sim2real adapt`: what a meta-learner makes of a few episodes of tasks that it has not seen, before and after."""

from __future__ import annotations

from pathlib import Path

from sim2real.errors import UserError
from sim2real.estimates import mean_interval
from sim2real.scores import Scores

TASKS = 40
"""Tasks that a run adapts to if nothing else is said."""


def adapt(
    run_dir: Path,
    *,
    episodes: int | None,
    tasks: int | None,
    seed: int,
    out: Path | None = None,
    json_file: Path | None = None,
) -> int:
    """Let what a run has learned adapt to ``tasks`` unseen tasks, ``episodes`` of each at a time; print the returns.

    With ``out`` it adapts to one task, and what came of it becomes a bundle in that folder.
    """
    from sim2real.adapted_export import export_adapted
    from sim2real.commands import check_writable, write_rows
    from sim2real.meta_rl_domain import measure
    from sim2real.runs import domain_of, load_policy
    from sim2real.sources import check_episodes

    if domain_of(run_dir) != "meta_rl":
        raise UserError(
            f"{run_dir} holds no policy that adapts to tasks by acting in them; give a run of a preset such as "
            "maml_nav2d (`sim2real evaluate` scores the others)"
        )
    if out is not None and tasks not in (None, 1):
        raise UserError(
            f"--export writes the policy adapted to one task: leave --tasks {tasks} out, and choose the task by --seed"
        )
    if tasks is None:
        tasks = TASKS if out is None else 1
    check_episodes(tasks, seed)
    if episodes is not None:
        check_episodes(episodes, seed)
    check_writable(json_file)
    policy, meta = load_policy(run_dir)
    if out is None:
        scores = measure(policy, meta, episodes=tasks, seed=seed, adapt_episodes=episodes)
    else:
        scores = export_adapted(policy, meta, run_dir, out, episodes=episodes, seed=seed)
        print(f"exported to {out}: the policy adapted to the task of seed {seed}")
    print(scores.table())
    print(summary(scores))
    if json_file is not None:
        write_rows(json_file, scores.rows(), source=str(run_dir), seed=seed, episodes=episodes, tasks=tasks)
    return 0


def summary(scores: Scores) -> str:
    """One line: the first setting, the last one, and the difference task by task with its 95 % interval."""
    first, *_, last = scores.values
    before, after = (scores.values[setting]["return"] for setting in (first, last))
    gain = mean_interval(after - before)
    over = f"[{gain.low:.1f}, {gain.high:.1f}] over {gain.n} tasks" if gain.n > 1 else "in one task"
    return (
        f"return before adaptation ({first}): {before.mean():.1f}; after ({last}): {after.mean():.1f}; "
        f"gain {gain.value:+.1f} {over}"
    )
