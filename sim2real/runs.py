"""The run directory: what made a run, how far it came, and its policies.

``config.yaml`` (resolved configuration), ``run.json`` (command, versions, commit, machine, time), ``metrics.jsonl``,
``checkpoint/`` (to continue), ``policy/`` (best by evaluation) and ``policy_last/``.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from sim2real.checkpoint import CheckpointError, save_policy
from sim2real.config import ConfigError, ExperimentConfig, build, changed_keys, load_experiment, to_dict
from sim2real.domains import domain
from sim2real.errors import UserError, unknown
from sim2real.folders import complete_directory, write_text
from sim2real.overlays import dump_yaml, read_yaml
from sim2real.provenance import provenance
from sim2real.types import TaskSpec

if TYPE_CHECKING:
    from sim2real.agents import AgentEntry

BUDGET = ("trainer.total_samples", "trainer.max_minutes", "agent.anneal_samples")
"""What may differ between the sessions of one run: how long it is, and over how long its learning rates fall."""
SAME = ("observation", "goal", "action", "action_scale", "action_offset", "control_dt", "horizon", "success_threshold")
"""What of a `TaskSpec` a trained policy counts on."""


class RunError(UserError):
    """A folder that is no run directory, or one that belongs to another run."""


@dataclass(frozen=True)
class Run:
    """A run directory that is being written to."""

    folder: Path
    config: ExperimentConfig
    task: Any
    """What the policy is made for: the ``spec`` of its algorithm's entry, such as a `TaskSpec`."""

    def save_policy(self, name: str, policy: Any, samples: int, scores: Mapping[str, float]) -> None:
        """Snapshot ``policy`` as ``folder/name``; see ``trainer.RunFiles``. Raises ``TypeError`` if it is no module."""
        if not isinstance(policy, nn.Module):
            raise TypeError(f"only policies that are torch modules can be saved, got {type(policy).__name__}")
        meta = {
            "algorithm": self.config.algorithm,
            "agent": to_dict(self.config.agent),
            "task": to_dict(self.task),
            "env": to_dict(self.config.env),
            "seed": self.config.seed,
            "samples": samples,
            "eval": dict(scores),
        }
        save_policy(self.folder / name, policy, meta)

    def record(self, samples: int, seconds: float) -> None:
        """Note in ``run.json`` how far the run has come; see ``trainer.RunFiles``."""
        path = self.folder / "run.json"
        _write_json(path, {**_read_json(path), "samples": samples, "seconds": round(seconds, 3)})


def open_run(folder: Path, config: ExperimentConfig, task: Any, command: Sequence[str], device: str) -> Run:
    """Start a run in ``folder``, or continue the one that is there. ``device`` is where it really computes.

    Raises ``RunError``, with nothing written, where ``folder`` holds another run or something else.
    """
    check_run(folder, config)
    _check_same_task(folder, task)
    session = {"command": shlex.join(command), "started": _now(), "device": device, **provenance()}
    path = folder / "run.json"
    folder.mkdir(parents=True, exist_ok=True)
    # First, because it is what marks a folder as a run: a kill before the next line must leave one that can go on.
    write_text(folder / "config.yaml", dump_yaml(to_dict(config)))
    if path.exists():
        run = _read_json(path)
        resumed = [*run.get("resumed", []), {**session, "at_samples": run["samples"]}]
        _write_json(path, {**run, "resumed": resumed})
    else:
        _write_json(path, {**session, "samples": 0, "seconds": 0.0})
    return Run(folder, config, task)


def _check_same_task(folder: Path, task: Any) -> None:
    policy = complete_directory(folder / "policy")
    if isinstance(task, TaskSpec) and policy is not None:
        check_trained_on(folder, _read_json(policy / "policy.json")["task"], task)


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make ``folder`` and hold it for this process alone. Raises ``RunError`` while another one trains in it."""
    folder.mkdir(parents=True, exist_ok=True)
    # A lock on the folder itself leaves no file behind and ends with the process, however that ends.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another process is training in {folder}; wait, or give another --run-dir") from None
        yield
    finally:
        os.close(descriptor)


def check_run(folder: Path, config: ExperimentConfig) -> None:
    """Raise ``RunError`` unless ``folder`` is new, empty, or a run of this configuration (its budget may differ)."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"--run-dir {folder} is a file; give a folder")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / "config.yaml").exists():
        raise RunError(f"--run-dir {folder} has files in it and is not a run directory; give a new or an empty folder")
    changed = changed_keys(to_dict(_stored(folder)), to_dict(config))
    different = [f"{key}: {old!r} there, {new!r} now" for key, (old, new) in changed.items() if key not in BUDGET]
    if different:
        raise RunError(
            f"--run-dir {folder} holds a run of another configuration ({'; '.join(different)}). Give the same one to "
            f"continue it (only {', '.join(BUDGET)} may change), or another --run-dir to start anew"
        )


def read_config(run_dir: Path) -> ExperimentConfig:
    """The configuration of a run of a robot task. Raises ``RunError`` where there is none."""
    if domain_of(run_dir) != "goals":
        raise RunError(f"{run_dir} holds no policy for a robot task; `sim2real evaluate` and `report` can show it")
    return _stored(run_dir)


def check_trained_on(run_dir: Path, trained: Mapping[str, Any], task: TaskSpec) -> None:
    """Raise ``RunError`` where a task is no longer the one that a run was trained on (``policy.json``'s ``task``), such
    as after an edit of an arm's file. Dynamics may have become more: no policy reads them."""
    now = to_dict(task)
    changed = changed_keys({key: trained.get(key) for key in SAME}, {key: now[key] for key in SAME})
    if changed:
        what = "; ".join(f"{key}: {_short(old)} then, {_short(new)} now" for key, (old, new) in changed.items())
        raise RunError(f"{task.name} is not what {run_dir} was trained on ({what}); restore it, or train anew")


def _short(value: Any) -> str:
    return f"{len(value)} elements" if isinstance(value, list) and len(str(value)) > 200 else f"{value}"


def sections(algorithm: str) -> dict[str, type]:
    """Dataclasses of the keys below ``env`` and ``agent``. Raises ``ConfigError`` for an unknown algorithm."""
    entry = _entry(algorithm)
    return {"env": domain(entry.domain).env, "agent": entry.config}


def _stored(run_dir: Path) -> ExperimentConfig:
    """The configuration of a run; options that are newer than it have their defaults, which is what it had."""
    try:
        return load_experiment(read_yaml(run_dir / "config.yaml"), [], sections)
    except ConfigError as error:
        raise RunError(f"{run_dir}/config.yaml is not of this version: {error}") from error


def domain_of(run_dir: Path) -> str:
    """Kind of problem that a run is about, see ``sim2real.domains``. Raises ``RunError`` where there is no run."""
    if not (run_dir / "config.yaml").is_file():
        raise RunError(f"{run_dir} is not a run directory; give a folder that `sim2real train --run-dir` made")
    algorithm = read_yaml(run_dir / "config.yaml").get("algorithm", ExperimentConfig.algorithm)
    return _entry(str(algorithm)).domain


def load_policy(run_dir: str | Path, which: Literal["best", "last"] = "best") -> tuple[nn.Module, dict[str, Any]]:
    """The policy of a run on the CPU, in evaluation mode, and the content of its ``policy.json``.

    ``best`` is the one with the highest success while training. Raises ``RunError`` where ``run_dir`` is no run
    directory, ``CheckpointError`` where its files are damaged or of another version.
    """
    folder = complete_directory(Path(run_dir) / {"best": "policy", "last": "policy_last"}[which])
    if folder is None:
        raise RunError(f"{run_dir} has no trained policy in it; give a folder that `sim2real train --run-dir` made")
    meta = _read_json(folder / "policy.json")
    try:
        policy = _build_policy(meta)
        policy.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, SafetensorError, KeyError, TypeError, RuntimeError, ConfigError) as error:
        raise CheckpointError(f"{folder} is damaged, or from another version of sim2real: {error}") from error
    return policy.eval(), meta


def _build_policy(meta: Mapping[str, Any]) -> nn.Module:
    entry = _entry(meta["algorithm"])
    return entry.build_policy(build(entry.config, meta["agent"], "agent"), build(entry.spec, meta["task"], "task"))


def _entry(algorithm: str) -> AgentEntry:
    from sim2real.agents import AGENTS

    if algorithm not in AGENTS:
        raise ConfigError(unknown("algorithm", algorithm, AGENTS))
    return AGENTS[algorithm]


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is missing or damaged: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} is damaged: expected an object, got {type(content).__name__}")
    return content


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")
