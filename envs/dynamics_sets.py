"""Named sets of dynamics: which parameters vary and over what range, read from small YAML overlays.

A file says ``base: NAME`` (``nominal``, ``train``, ``unseen`` or another file beside it) and, under ``parameters``,
what differs from it. An entry is a number (fixed) or one distribution::

    object_mass: 1.5
    object_mass: {log_uniform: [0.4, 2.5]}
    object_mass: {log_uniform: [[0.2, 0.4], [2.5, 5.0]]}     # uniform over the union, in log space
    action_gain: {normal: [1.0, 0.1]}                        # mean and standard deviation
    arm_friction_loss: {exponential: 0.5}                    # mean
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from sim2real.envs.dynamics import INDEX, PARAMETERS, DynamicsParameter
from sim2real.errors import UserError, unknown

Kind = Literal["fixed", "uniform", "log_uniform", "normal", "exponential"]
KINDS: tuple[str, ...] = ("uniform", "log_uniform", "normal", "exponential")
MU_LIMIT = 10.0
"""|mu| is cut here: a value far outside the training range, such as 0 on a logarithmic axis, must stay finite."""


class DynamicsError(UserError):
    """A set of dynamics that does not exist or makes no sense; the message says what to do."""


@dataclass(frozen=True)
class Distribution:
    """A distribution that is sampled by its quantile function, so that one uniform number makes one value."""

    kind: Kind
    intervals: tuple[tuple[float, float], ...]
    """``uniform``, ``log_uniform``: disjoint intervals in rising order. ``fixed``: one interval of width 0.
    ``normal``: one pair (mean, standard deviation). ``exponential``: one pair (0, mean)."""

    @property
    def log(self) -> bool:
        return self.kind == "log_uniform"

    @property
    def varies(self) -> bool:
        if self.kind in ("normal", "exponential"):
            return self.intervals[0][1] > 0
        return self.span[0] < self.span[1]

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest value; two standard deviations of a normal, three means of an exponential."""
        low, high = self.intervals[0]
        if self.kind == "normal":
            return low - 2 * high, low + 2 * high
        if self.kind == "exponential":
            return 0.0, 3 * high
        return low, self.intervals[-1][1]

    def quantile(self, u: float) -> float:
        """The value below which a fraction ``u`` in [0, 1) of the draws lies."""
        a, b = self.intervals[0]
        if self.kind == "fixed":
            return a
        if self.kind == "normal":
            return a + b * NormalDist().inv_cdf(max(u, 1e-12))
        if self.kind == "exponential":
            return -b * math.log1p(-u)
        return self._piecewise(u)

    def _piecewise(self, u: float) -> float:
        forward, backward = (math.log, math.exp) if self.log else (float, float)
        ends = [(forward(low), forward(high)) for low, high in self.intervals]
        rest = u * sum(high - low for low, high in ends)
        for low, high in ends:
            if rest < high - low:
                return backward(low + rest)
            rest -= high - low
        return self.intervals[-1][1]

    def spec(self) -> Any:
        """The YAML entry that makes this distribution."""
        if self.kind == "fixed":
            return self.intervals[0][0]
        if self.kind == "exponential":
            return {self.kind: self.intervals[0][1]}
        pairs = [list(pair) for pair in self.intervals]
        return {self.kind: pairs[0] if len(pairs) == 1 else pairs}


@dataclass(frozen=True)
class DynamicsSet:
    """What an episode's dynamics are drawn from."""

    name: str
    distributions: tuple[Distribution, ...]
    """One for each of `PARAMETERS`, in that order."""

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
        entries = {p.name: d.spec() for p, d in zip(PARAMETERS, self.distributions, strict=True)}
        return {"base": "nominal", "parameters": entries}


def fixed(value: float) -> Distribution:
    """The distribution that always gives ``value``."""
    return Distribution("fixed", ((value, value),))


NOMINAL = DynamicsSet("nominal", tuple(fixed(p.nominal) for p in PARAMETERS))


def packaged() -> tuple[str, ...]:
    """Names of the sets that come with the package."""
    folder = files("sim2real.configs") / "dynamics"
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_dynamics(source: str | Path) -> DynamicsSet:
    """The set of a packaged name (`packaged`) or of a YAML file.

    Raises:
        DynamicsError: unknown name, unreadable file, unknown key or parameter, impossible range.
    """
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
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
        raise DynamicsError(f"dynamics {name!r} must be a mapping with the keys base and parameters, got {data!r}")
    for key in data:
        if key not in ("base", "parameters"):
            raise DynamicsError(f"dynamics {name!r}: {unknown('key', str(key), ('base', 'parameters'))}")
    distributions = list(_base(name, data.get("base", "nominal"), folder, seen).distributions)
    entries = data.get("parameters") or {}
    if not isinstance(entries, Mapping):
        raise DynamicsError(f"dynamics {name!r}: parameters must be a mapping, got {entries!r}")
    for key, value in entries.items():
        if key not in INDEX:
            raise DynamicsError(f"dynamics {name!r}: {unknown('parameter', str(key), INDEX)}")
        distributions[INDEX[key]] = parse_distribution(PARAMETERS[INDEX[key]], value, name)
    return DynamicsSet(name, tuple(distributions))


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
    several = kind in ("uniform", "log_uniform")
    if kind == "exponential" or not isinstance(pairs, Sequence) or not pairs or not all(map(_is_pair, pairs)):
        raise DynamicsError(f"{where}: {kind} takes {_form(kind)}, got {arguments!r}")
    if not several and len(pairs) > 1:
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
    if distribution.log and flat[0] <= 0:
        raise DynamicsError(f"{where}: log_uniform needs positive numbers, got {flat[0]:g}; use uniform")
    if flat[0] < parameter.low or flat[-1] > parameter.high:
        allowed = f"[{parameter.low:g}, {parameter.high:g}] {parameter.unit}"
        raise DynamicsError(f"{where}: {distribution.spec()} leaves the allowed values {allowed}")
    return distribution


@dataclass(frozen=True)
class Privileged:
    """The vector mu that a critic may see: the parameters that vary in ``train``, each scaled to [-1, 1] over its range
    there (in log space if it is drawn so), whatever set an episode's dynamics come from."""

    indices: tuple[int, ...]
    names: tuple[str, ...]
    log: NDArray[np.bool_]
    middle: NDArray[np.float64]
    half: NDArray[np.float64]

    def scale(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values ``[N, len(PARAMETERS)]`` in their units -> mu ``[N, P]``; outside [-1, 1] beyond the training
        range."""
        x = values[:, self.indices]
        x = np.where(self.log, np.log(np.maximum(x, 1e-300)), x)
        return np.clip((x - self.middle) / self.half, -MU_LIMIT, MU_LIMIT)


def privileged(has_object: bool) -> Privileged:
    """mu of a task with or without an object."""
    train = load_dynamics("train")
    indices = [
        i for i, p in enumerate(PARAMETERS) if train.distributions[i].varies and (has_object or p.needs != "object")
    ]
    chosen = [train.distributions[i] for i in indices]
    ends = np.array([[math.log(x) if d.log else x for x in d.span] for d in chosen])
    return Privileged(
        indices=tuple(indices),
        names=tuple(PARAMETERS[i].name for i in indices),
        log=np.array([d.log for d in chosen]),
        middle=ends.mean(1),
        half=(ends[:, 1] - ends[:, 0]) / 2,
    )
