"""Where configuration comes from: packaged presets, YAML files, and ``key=value`` on the command line."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from sim2real.config import ConfigError
from sim2real.errors import unknown

_FLOAT = "tag:yaml.org,2002:float"
# PyYAML follows YAML 1.1, where 1e-3 (without a dot) is text: a learning rate of "1e-3" surprises everybody.
_EXPONENT = re.compile(r"^[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        # PyYAML keeps the last of two equal keys without a word.
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    pass


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+0123456789"))


def presets() -> dict[str, str]:
    """Name of each packaged experiment -> its description, the first comment line of the file."""
    found = {}
    for entry in files("sim2real.configs").iterdir():
        if entry.name.endswith(".yaml"):
            first = entry.read_text(encoding="utf-8").partition("\n")[0]
            found[entry.name.removesuffix(".yaml")] = first.lstrip("# ").strip() if first.startswith("#") else ""
    return dict(sorted(found.items()))


def read_overlay(source: str) -> dict[str, Any]:
    """The overlay of a preset by its name, or of a YAML file by its path.

    Raises ``ConfigError`` where there is none or the file is not YAML.
    """
    if source in presets():
        return parse_yaml((files("sim2real.configs") / f"{source}.yaml").read_text(encoding="utf-8"), source)
    path = Path(source)
    if path.is_file():
        return _checked(read_yaml(path), source)
    if path.is_dir():
        raise ConfigError(
            f"{source!r} is a folder; expected a preset or a YAML file. To continue a run, give what it was started "
            f"with, and --run-dir {source}"
        )
    if path.suffix in (".yaml", ".yml"):
        raise ConfigError(f"there is no file {source!r}; presets, without .yaml: {', '.join(presets())}")
    raise ConfigError(f"{unknown('preset', source, presets())}; or the path of a YAML file")


def _checked(overlay: dict[str, Any], source: str) -> dict[str, Any]:
    """What a user's file holds, if it can be meant as an experiment."""
    if not overlay:
        raise ConfigError(f"{source} is empty; expected keys such as env, trainer, agent (see the presets)")
    if {"model", "joints"} <= overlay.keys():
        raise ConfigError(f"{source} describes an arm; train a preset on it: fetch_reach --set env.task={source}")
    return overlay


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys of a YAML file; ``ConfigError`` where it can't be read or holds anything else."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read {path}: {error}") from error


def parse_yaml(text: str, origin: str) -> dict[str, Any]:
    """The keys of a YAML document; ``origin`` is named in errors."""
    data = _load(text, origin)
    if data is None:
        return {}
    if not isinstance(data, Mapping) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"{origin}: expected 'key: value' lines, got {type(data).__name__}: {str(data)[:80]!r}")
    return dict(data)


def dump_yaml(data: Mapping[str, Any]) -> str:
    """The text that ``parse_yaml`` reads back as the same data."""
    return yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse_override(text: str) -> dict[str, Any]:
    """``agent.gamma=0.98`` -> ``{"agent": {"gamma": 0.98}}``; the value is read as YAML. Raises ``ConfigError``."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set expects key=value, such as agent.gamma=0.98, got {text!r}")
    nested: Any = _load(value, f"--set {text}")
    for part in reversed(parts):
        nested = {part: nested}
    return dict(nested)


def _load(text: str, origin: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        # A scalar such as 2001-99-99 matches a pattern of YAML and then fails as a value.
        raise ConfigError(f"{origin}: not valid YAML: {' '.join(str(error).split())}") from error
