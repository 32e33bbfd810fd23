"""Named sets of dynamics: which parameters vary and over what range, read from small YAML overlays.

A file says ``base: NAME`` (``nominal``, ``train``, ``unseen`` or another file beside it) and, under ``parameters``,
what differs from it. An entry is a number (fixed) or one distribution::

    object_mass: 1.5
    object_mass: {log_uniform: [0.4, 2.5]}
    object_mass: {log_uniform: [[0.2, 0.4], [2.5, 5.0]]}     # uniform over the union, in log space
    control_period_jitter: {inverse_uniform: [1, 8]}         # 1/x is uniform
    action_gain: {normal: [1.0, 0.1]}                        # mean and standard deviation
    arm_friction_loss: {exponential: 0.5}                    # mean

That is for all tasks. Under ``tasks`` there may be the name of one, with a ``base`` (left out: what the file says for
all) and ``parameters`` of its own: `DynamicsSet.of` picks them. ``effects`` names what only a surrogate robot has
(`sim2real.envs.surrogate`); nothing can be trained on a set with effects.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sim2real.envs.distribution import KINDS, Distribution, fixed
from sim2real.envs.dynamics import INDEX, PARAMETERS, DynamicsParameter
from sim2real.envs.surrogate import EFFECTS
from sim2real.envs.tasks import TASKS
from sim2real.errors import UserError, unknown

KEYS = ("base", "parameters", "tasks", "effects")


class DynamicsError(UserError):
    """A set of dynamics that does not exist or makes no sense; the message says what to do."""


@dataclass(frozen=True)
class DynamicsSet:
    """What an episode's dynamics are drawn from."""

    name: str
    distributions: tuple[Distribution, ...]
    """One for each of `PARAMETERS`, in that order."""
    tasks: Mapping[str, tuple[Distribution, ...]] = field(default_factory=dict)
    """The same for tasks that have a section of their own."""
    effects: tuple[str, ...] = ()
    """What an episode has beside these parameters, names of `sim2real.envs.surrogate.EFFECTS`."""
    named: tuple[str, ...] = field(default=(), compare=False)
    """Parameters that a user's own file gives, for `check_named`."""

    def check_named(self, task: str, known: Sequence[str]) -> None:
        """Raise ``DynamicsError`` if the user's file names parameters and ``task`` has none of them: it would change
        nothing, and training would be on dynamics that nobody asked for."""
        if self.named and not set(self.named) & set(known):
            raise DynamicsError(
                f"dynamics {self.name!r} sets {', '.join(self.named)}, and {task} has none of these; it has "
                f"{', '.join(known)}"
            )

    def of(self, task: str) -> DynamicsSet:
        """The set as it is for one task."""
        return replace(self, distributions=self.tasks.get(task, self.distributions), tasks={})

    def check_trainable(self) -> None:
        """Raise ``DynamicsError`` if this is a surrogate robot, which no policy may have seen."""
        if self.effects:
            raise DynamicsError(
                f"dynamics {self.name!r} is a surrogate robot, there to evaluate on and never to train or to choose a "
                "policy on; give a set without effects, such as train (where nothing learns: held_out=True)"
            )

    def sample(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values ``[len(PARAMETERS)]`` in their units from as many uniform numbers in [0, 1).

        Each parameter has its own number, so two sets that differ in one parameter agree in all others.
        """
        values = [
            min(max(d.quantile(x), p.low), p.high)
            for p, d, x in zip(PARAMETERS, self.distributions, u.tolist(), strict=True)
        ]
        return np.array(values)

    def __getitem__(self, name: str) -> Distribution:
        return self.distributions[INDEX[name]]

    def delays(self) -> dict[str, tuple[float, float]]:
        """Least and greatest age of an observation and time from a command to its effect (in milliseconds)."""
        # A normal distribution's span reaches beyond what makes sense; draws are cut there.
        names = ("observation_delay", "action_delay", "action_delay_jitter")
        (age, oldest), (delay, longest), (_, jitter) = (
            (max(self[name].span[0], 0.0), min(self[name].span[1], PARAMETERS[INDEX[name]].high)) for name in names
        )
        return {"observation": (age, oldest), "action": (delay, longest + jitter)}

    def to_dict(self) -> dict[str, Any]:
        """The set in full as YAML-ready data: ``load_dynamics`` of a file with it gives the same set."""
        content: dict[str, Any] = _full(self.distributions)
        if self.tasks:
            content["tasks"] = {task: _full(distributions) for task, distributions in self.tasks.items()}
        if self.effects:
            content["effects"] = list(self.effects)
        return content


def _full(distributions: Sequence[Distribution]) -> dict[str, Any]:
    entries = {p.name: d.spec() for p, d in zip(PARAMETERS, distributions, strict=True)}
    return {"base": "nominal", "parameters": entries}


NOMINAL = DynamicsSet("nominal", tuple(fixed(p.nominal) for p in PARAMETERS))


def packaged() -> tuple[str, ...]:
    """Names of the sets that come with the package."""
    folder = files("sim2real.configs") / "dynamics"
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_dynamics(source: str | Path) -> DynamicsSet:
    """The set of a packaged name (`packaged`) or of a YAML file; ``SET:GROUP`` is the set with a group of parameters,
    or one parameter, held at nominal (see `sim2real.envs.variations`).

    Raises:
        DynamicsError: unknown name, unreadable file, unknown key or parameter, impossible range.
    """
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        base, colon, group = str(source).rpartition(":")
        if colon:
            from sim2real.envs.variations import without  # which builds on this module

            return without(load_dynamics(base), group)
        if str(source) not in packaged():
            raise DynamicsError(unknown("dynamics", str(source), packaged()) + ", or the path of a .yaml file")
        return _packaged(str(source))
    if not path.is_file():
        raise DynamicsError(f"no dynamics file {str(path)!r}. Give an existing file or one of: {', '.join(packaged())}")
    return _parse(path.stem, path.read_text(encoding="utf-8"), path.parent, (path.resolve(),))


@functools.cache
def _packaged(name: str) -> DynamicsSet:
    text = (files("sim2real.configs") / "dynamics" / f"{name}.yaml").read_text(encoding="utf-8")
    return NOMINAL if name == "nominal" else _parse(name, text, None, ())


def _parse(name: str, text: str, folder: Path | None, seen: tuple[Path, ...]) -> DynamicsSet:
    try:
        data = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise DynamicsError(f"dynamics {name!r} is no valid YAML: {error}") from None
    if not isinstance(data, Mapping):
        raise DynamicsError(f"dynamics {name!r} must be a mapping with the keys {', '.join(KEYS)}, got {data!r}")
    _check_keys(name, data, KEYS)
    base = _base(name, data.get("base", "nominal"), folder, seen)
    entries = data.get("parameters")
    own = _laid_over(name, base.distributions, entries)
    tasks = {task: _laid_over(name, below, entries) for task, below in base.tasks.items()}
    for task, section in _sections(name, data.get("tasks")).items():
        below = tasks.get(task, own)
        if "base" in section:
            below = _base(name, section["base"], folder, seen).of(task).distributions
        tasks[task] = _laid_over(name, below, section.get("parameters"))
    named = tuple(entries or ()) if folder else ()  # packaged sets are meant for every task
    return DynamicsSet(name, own, tasks, _effects(name, data.get("effects"), base.effects), named)


def _check_keys(name: str, data: Mapping[Any, Any], allowed: Sequence[str]) -> None:
    for key in data:
        if key not in allowed:
            raise DynamicsError(f"dynamics {name!r}: {unknown('key', str(key), allowed)}")


def _laid_over(name: str, below: Sequence[Distribution], entries: Any) -> tuple[Distribution, ...]:
    """``below`` with the YAML ``entries`` of ``parameters`` in place of what they name."""
    if not isinstance(entries, Mapping | None):
        raise DynamicsError(f"dynamics {name!r}: parameters must be a mapping, got {entries!r}")
    distributions = list(below)
    for key, value in (entries or {}).items():
        if key not in INDEX:
            raise DynamicsError(f"dynamics {name!r}: {unknown('parameter', str(key), INDEX)}")
        distributions[INDEX[key]] = parse_distribution(PARAMETERS[INDEX[key]], value, name)
    return tuple(distributions)


def _sections(name: str, sections: Any) -> Mapping[str, Mapping[str, Any]]:
    """The YAML value of ``tasks``, checked."""
    if not isinstance(sections, Mapping | None):
        raise DynamicsError(f"dynamics {name!r}: tasks must be a mapping of task names, got {sections!r}")
    for task, section in (sections or {}).items():
        if task not in TASKS:
            raise DynamicsError(f"dynamics {name!r}: {unknown('task', str(task), TASKS)}")
        if not isinstance(section, Mapping):
            raise DynamicsError(f"dynamics {name!r}: tasks.{task} must have the keys base and parameters")
        _check_keys(f"{name}, tasks.{task}", section, ("base", "parameters"))
    return sections or {}


def _effects(name: str, given: Any, base: tuple[str, ...]) -> tuple[str, ...]:
    """The YAML value of ``effects``, checked; left out, those of the base."""
    if given is None:
        return base
    if not isinstance(given, list):
        raise DynamicsError(f"dynamics {name!r}: effects must be a list of names, got {given!r}")
    for effect in given:
        if effect not in EFFECTS:
            raise DynamicsError(f"dynamics {name!r}: {unknown('effect', str(effect), EFFECTS)}")
    return tuple(effect for effect in EFFECTS if effect in given)


def _base(name: str, base: Any, folder: Path | None, seen: tuple[Path, ...]) -> DynamicsSet:
    if not isinstance(base, str):
        raise DynamicsError(f"dynamics {name!r}: base must be a name or a file, got {base!r}")
    if folder is None or not base.endswith((".yaml", ".yml")):
        return load_dynamics(base)
    path = (folder / base).resolve()
    if path in seen:
        raise DynamicsError(f"dynamics {name!r}: {base} is its own base; base it on one of: {', '.join(packaged())}")
    if not path.is_file():
        raise DynamicsError(f"dynamics {name!r}: no base file {str(path)!r}; paths count from the file that names them")
    return _parse(path.stem, path.read_text(encoding="utf-8"), path.parent, (*seen, path))


def parse_distribution(parameter: DynamicsParameter, value: Any, name: str) -> Distribution:
    """A YAML entry as a distribution; ``name`` is the set's, for messages."""
    where = f"dynamics {name!r}, {parameter.name}"
    if _is_number(value):
        return _checked(parameter, fixed(float(value)), where)
    if not isinstance(value, Mapping) or len(value) != 1:
        raise DynamicsError(f"{where}: got {value!r}; give a number or one of {{{', '.join(KINDS)}}}: range")
    (kind, arguments), *_ = value.items()
    if kind not in KINDS:
        raise DynamicsError(f"{where}: {unknown('distribution', str(kind), KINDS)}")
    return _checked(parameter, Distribution(kind, _pairs(kind, arguments, where)), where)


def _pairs(kind: str, arguments: Any, where: str) -> tuple[tuple[float, float], ...]:
    if kind == "exponential" and _is_number(arguments):
        return ((0.0, float(arguments)),)
    pairs = [arguments] if _is_pair(arguments) else arguments
    right = kind != "exponential" and isinstance(pairs, Sequence) and len(pairs) > 0 and all(map(_is_pair, pairs))
    if not right or (kind == "normal" and len(pairs) > 1):
        raise DynamicsError(f"{where}: {kind} takes {_form(kind)}, got {arguments!r}")
    return tuple((float(a), float(b)) for a, b in pairs)


def _form(kind: str) -> str:
    return {"normal": "[mean, std]", "exponential": "a mean"}.get(kind, "[low, high] or a list of such intervals")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(map(_is_number, value))


def _checked(parameter: DynamicsParameter, distribution: Distribution, where: str) -> Distribution:
    flat = [x for pair in distribution.intervals for x in pair]
    if distribution.kind in ("normal", "exponential"):
        if distribution.intervals[0][1] < 0:
            raise DynamicsError(f"{where}: negative spread {distribution.intervals[0][1]:g}; give 0 or more")
        flat = flat[:1]
    elif flat != sorted(flat):
        raise DynamicsError(f"{where}: intervals must rise, got {distribution.spec()}")
    if distribution.kind in ("log_uniform", "inverse_uniform") and flat[0] <= 0:
        raise DynamicsError(f"{where}: {distribution.kind} needs positive numbers, got {flat[0]:g}; use uniform")
    if flat[0] < parameter.low or flat[-1] > parameter.high:
        allowed = f"[{parameter.low:g}, {parameter.high:g}] {parameter.unit}"
        raise DynamicsError(f"{where}: {distribution.spec()} leaves the allowed values {allowed}")
    return distribution
