"""The JSON file that changes a mapping: read, checked, and laid over what was derived."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from sim2real.deploy.ros2_elements import Body, MappingError, Source, Target
from sim2real.errors import unknown

T = TypeVar("T", Body, Source, Target)


def read_file(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise MappingError(f"there is no mapping file {str(file)!r}")
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MappingError(f"{file} is not valid JSON: {error}") from None
    parts = ("joints", "bodies", "readings", "commands")
    if not isinstance(given, dict) or not all(isinstance(part, dict) for part in given.values()):
        raise MappingError(f"{file} has to hold one object with the parts {', '.join(parts)}")
    for key in given.keys() - set(parts):
        raise MappingError(f"{file}: " + unknown("part", key, parts))
    return given


def joint_names(
    given: Mapping[str, Any], sources: Mapping[str, Source], targets: Mapping[str, Target]
) -> dict[str, str]:
    joints = given.get("joints", {})
    used = {source.joint for source in sources.values()} | {target.joint for target in targets.values()}
    for name in joints.keys() - used:
        raise MappingError("joints: " + unknown("joint", name, used - {""}))
    return {name: _checked(f"joints.{name}", str, ros_name) for name, ros_name in joints.items()}


def laid_over(derived: Mapping[str, T | None], given: Mapping[str, Any], part: str, kind: type[T]) -> dict[str, T]:
    """What was derived with what was ``given`` on top, entry by entry and key by key; complete, or an error."""
    changes = given.get(part, {})
    for name in changes.keys() - derived.keys():
        raise MappingError(f"{part}: " + unknown("name", name, derived))
    laid = {name: _changed(f"{part}.{name}", kind, entry, changes.get(name, {})) for name, entry in derived.items()}
    missing = [name for name, entry in laid.items() if entry is None]
    if missing:
        raise MappingError(
            f"nothing says which ROS 2 message carries {', '.join(missing)}: their kinds are not among the known ones; "
            f"give --ros2-mapping FILE with an entry for each under {part!r} (see docs/deployment.md)"
        )
    return {name: entry for name, entry in laid.items() if entry is not None}


def _changed(where: str, kind: type[T], entry: T | None, changes: Any) -> T | None:
    if not isinstance(changes, dict):
        raise MappingError(f"{where} has to be an object, got {changes!r}")
    types = {field.name: type(field.default) if field.default is not MISSING else str for field in fields(kind)}
    for key, value in changes.items():
        if key not in types:
            raise MappingError(f"{where}: " + unknown("key", key, types))
        changes[key] = _checked(f"{where}.{key}", types[key], value)
    if entry is not None:
        return replace(entry, **changes)
    if not changes:
        return None
    try:
        return kind(**changes)
    except TypeError as error:
        raise MappingError(f"{where} is incomplete: {error}") from None


def _checked(where: str, kind: type, value: Any) -> Any:
    if kind is tuple and isinstance(value, list) and len(value) == 2 and all(isinstance(name, str) for name in value):
        return tuple(value)
    if kind is float and isinstance(value, int | float) and math.isfinite(value) and not isinstance(value, bool):
        return float(value)
    if kind in (str, bool) and isinstance(value, kind):
        return value
    wanted = {str: "a text", float: "a finite number", bool: "true or false", tuple: "[parent frame, child frame]"}[
        kind
    ]
    raise MappingError(f"{where} has to be {wanted}, got {value!r}")
