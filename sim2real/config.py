"""Configuration: frozen dataclasses <- a YAML overlay <- ``--set key=value``; strict, and saved resolved with the run.

The dataclasses are the only list of options: their defaults, types and ``__post_init__`` checks are what loading
enforces. An algorithm's own dataclass stands beside the algorithm, that of what it learns from beside its domain; both
are handed in, so nothing here imports one.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sim2real.curriculum import Curriculum
from sim2real.errors import UserError, at_least, unknown

T = TypeVar("T")


class ConfigError(UserError):
    """A key, a type or a value that the configuration does not allow."""


@dataclass(frozen=True)
class EnvConfig(Curriculum):
    """What the policy of a robot task is trained in: the task, and how training episodes differ from it."""

    task: str = "FetchReach"
    """Name of a task, see ``sim2real list``."""
    num_envs: int = 16
    """Environments stepped together, N."""
    dynamics: str = "train"
    """Name of a packaged set of dynamics, or path of a YAML file with one."""
    threads: int = 2
    """Threads that step the environments; results do not depend on it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "num_envs", "threads")


@dataclass(frozen=True)
class TrainerConfig:
    """Budget and intervals, all in samples: the algorithm's own unit (env steps, tasks, architectures)."""

    total_samples: int = 200_000
    """Training stops at the first iteration that reaches this."""
    max_minutes: float | None = None
    """Training also stops after this much wall time, evaluation included, summed over resumes (in minutes)."""
    eval_every: int = 20_000
    """Samples between two evaluations of the policy; one more is made at the end."""
    eval_episodes: int = 100
    """Episodes of an evaluation, the same ones every time; 0 evaluates never."""
    eval_dynamics: str | None = None
    """Set of dynamics evaluated on while training; null: the one trained on."""
    log_every: int = 2_000
    """Samples between two rows of metrics, each the mean since the row before."""
    save_every: int = 50_000
    """Samples between two checkpoints; one more is written at the end and on a signal."""

    def __post_init__(self) -> None:
        at_least(self, 1, "total_samples", "eval_every", "log_every", "save_every")
        at_least(self, 0, "eval_episodes")
        if self.max_minutes is not None and self.max_minutes <= 0:
            raise ValueError(f"max_minutes has to be above 0 (or null for no limit), got {self.max_minutes}")


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that decides a run."""

    algorithm: str = "rdpg"
    """Name of a learner in ``sim2real.agents``."""
    env: Any = None
    """What is learned from: the dataclass of the algorithm's domain (`EnvConfig` for robot tasks)."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    agent: Any = None
    """The algorithm's own options: its dataclass in ``sim2real.agents``."""
    seed: int = 0
    """The same seed gives the same run, bit for bit, on the same machine and versions."""
    device: Literal["cpu", "cuda", "auto"] = "auto"
    """Where networks and replay live; auto: cuda where there is one."""
    threads: int = 1
    """Threads of torch on the CPU. One is often faster than two for small networks; it may change the last bits."""

    def __post_init__(self) -> None:
        at_least(self, 0, "seed")
        at_least(self, 1, "threads")


def load_experiment(
    overlay: Mapping[str, Any], overrides: Sequence[Mapping[str, Any]], sections: Callable[[str], Mapping[str, type]]
) -> ExperimentConfig:
    """The configuration of a run: defaults, then the overlay of a preset or file, then overrides in their order.

    ``sections`` gives the dataclasses of ``env`` and ``agent`` by the name of an algorithm, and raises ``ConfigError``
    for an unknown one.
    """
    data = merge(overlay, *overrides)
    algorithm = data.get("algorithm", ExperimentConfig.algorithm)
    types_of = sections(convert(str, algorithm, "algorithm"))
    _reject_unknown(ExperimentConfig, data, "", more=types_of)
    built: dict[str, Any] = {
        name: build(cls, {} if data.get(name) is None else data[name], name) for name, cls in types_of.items()
    }
    return build(ExperimentConfig, {**data, **built})


def merge(base: Mapping[str, Any], *overlays: Mapping[str, Any]) -> dict[str, Any]:
    """Lay nested mappings over each other; the last one wins. Nothing given is written to."""
    merged = dict(base)
    for overlay in overlays:
        for key, value in overlay.items():
            below = merged.get(key)
            merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def build(cls: type[T], data: Any, path: str = "") -> T:
    """A dataclass from a mapping. Raises ``ConfigError`` naming ``path`` for an unknown key, a wrong type or value."""
    if isinstance(data, cls):
        return data
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path or 'configuration'}: expected keys with values, got {_show(data)}")
    _reject_unknown(cls, data, path)
    hints = typing.get_type_hints(cls)
    _require(cls, data, path)
    values = {key: convert(hints[key], value, _join(path, key)) for key, value in data.items()}
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path or 'configuration'}: {error}") from error


def convert(hint: Any, value: Any, path: str) -> Any:
    """``value`` as the annotated type ``hint``, or a ``ConfigError`` that says what was got and what is allowed.

    A whole number does for a float and ``1e6`` for an int; nothing else is converted.
    """
    if hint is Any:
        return value
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(args, value, path)
    if origin is Literal:
        return _convert_literal(args, value, path)
    if origin is tuple:
        return _convert_tuple(args, value, path)
    if origin is Mapping:
        return _convert_mapping(args, value, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, path)
    return _convert_scalar(hint, value, path)


def _convert_scalar(hint: Any, value: Any, path: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is float and is_number:
        return float(value)
    if hint is int and is_number and value == int(value):
        return int(value)
    if hint in (bool, str) and type(value) is hint:
        return value
    if hint not in _TYPE_WORDS:
        raise TypeError(f"{path}: configuration fields of type {hint} are not supported")
    raise ConfigError(f"{path}: expected {_TYPE_WORDS[hint]}, got {_show(value)}")


def _convert_union(args: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in args:
        return None
    errors: list[str] = []
    for arm in args:
        if arm is type(None):
            continue
        try:
            return convert(arm, value, path)
        except ConfigError as error:
            errors.append(str(error) if not errors else str(error).removeprefix(f"{path}: "))
    raise ConfigError("; or ".join(errors) + ("; or null" if type(None) in args else ""))


def _convert_literal(args: tuple[Any, ...], value: Any, path: str) -> Any:
    if any(value == choice and type(value) is type(choice) for choice in args):
        return value
    shown = value if isinstance(value, str) else str(value)
    raise ConfigError(f"{path}: {unknown('value', shown, map(str, args))}")


def _convert_tuple(args: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{path}: expected a list such as [1, 2], got {_show(value)}")
    hints = [args[0]] * len(value) if args[-1:] == (...,) else list(args)
    if len(hints) != len(value):
        raise ConfigError(f"{path}: expected a list of {len(hints)}, got {len(value)}: {_show(value)}")
    return tuple(convert(hint, item, f"{path}[{i}]") for i, (hint, item) in enumerate(zip(hints, value, strict=True)))


def _convert_mapping(args: tuple[Any, ...], value: Any, path: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}: expected keys with values, got {_show(value)}")
    return {convert(args[0], key, path): convert(args[1], item, _join(path, str(key))) for key, item in value.items()}


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as nested dicts and lists that YAML and JSON can hold; ``build`` reads it back."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ between two nested mappings -> (old, new); a missing one counts as null."""
    changed: dict[str, tuple[Any, Any]] = {}
    for key in {**old, **new}:
        before, now, name = old.get(key), new.get(key), _join(path, key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            changed |= changed_keys(before, now, name)
        elif before != now:
            changed[name] = (before, now)
    return changed


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _require(cls: type, data: Mapping[Any, Any], path: str) -> None:
    missing = dataclasses.MISSING
    needed = [f.name for f in dataclasses.fields(cls) if f.default is missing and f.default_factory is missing]
    absent = [name for name in needed if name not in data]
    if absent:
        raise ConfigError(f"{path or 'configuration'}: needs {', '.join(absent)}, got {_show(dict(data))}")


def _reject_unknown(cls: type, data: Mapping[Any, Any], path: str, more: Mapping[str, type] | None = None) -> None:
    allowed = [f.name for f in dataclasses.fields(cls)]
    for key in data:
        if key in allowed:
            continue
        elsewhere = [name for name in _dotted(cls, more or {}) if name.rpartition(".")[2] == key]
        hint = f" Did you mean {elsewhere[0]!r}?" if elsewhere else ""
        where = f"{path}: " if path else ""
        raise ConfigError(f"{where}{unknown('key', str(key), allowed)}{hint}")


def _dotted(cls: type, more: Mapping[str, type]) -> list[str]:
    """Every key below ``cls`` with its path, e.g. ``trainer.eval_every``."""
    names = []
    hints = {**typing.get_type_hints(cls), **more}
    for name, hint in hints.items():
        inner = _dotted(hint, {}) if dataclasses.is_dataclass(hint) and isinstance(hint, type) else []
        names += [name, *(f"{name}.{below}" for below in inner)]
    return names


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _show(value: Any) -> str:
    return f"{value!r} ({type(value).__name__})"


_TYPE_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
