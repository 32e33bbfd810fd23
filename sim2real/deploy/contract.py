"""The contract of an exported policy: what goes in and comes out, in which order and unit, and what it was trained on.

It is written twice: as ``contract.json`` beside the model (with the checksums of the files) and as JSON inside the
model's metadata, so that neither can be swapped without the other noticing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sim2real.errors import UserError

SCHEMA = "sim2real-policy"
VERSION = 1
METADATA_KEY = "contract"
"""Key of the contract in the ONNX file's metadata."""
INPUT, OUTPUT = "obs", "actions"


class BundleError(UserError):
    """A bundle that is incomplete, altered, or not what its contract says."""


@dataclass(frozen=True)
class Contract:
    """The part of the contract that a runner needs, checked; ``document`` is all of it."""

    task: str
    control_dt: float
    """Time between two steps (in seconds)."""
    observation: tuple[str, ...]
    """Names of the sensor readings, in the order of the input; raw, in the units that the document gives."""
    goal: tuple[str, ...]
    """Names of the goal's elements; they follow the readings in the input."""
    action: tuple[str, ...]
    """Names of the action's elements."""
    action_scale: tuple[float, ...]
    """Physical action per unit of the normalised action in [-1, 1]; the input's tail wants the normalised one."""
    state: Mapping[str, tuple[int, ...]]
    """Name of a memory tensor (``h``, ``c``) -> its shape; enters as ``h_in``, leaves as ``h_out``, starts at zero."""
    tolerance: float
    """Largest difference from the training-side policy that the proof in ``parity.npz`` allows."""
    document: Mapping[str, Any]

    @cached_property
    def readings(self) -> tuple[str, ...]:
        """What the caller supplies at each step: observation, then goal."""
        return self.observation + self.goal

    @cached_property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Input name of the model -> shape."""
        width = len(self.readings) + len(self.action)
        return {INPUT: (1, width), **{f"{name}_in": shape for name, shape in self.state.items()}}

    @cached_property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Output name of the model -> shape."""
        return {OUTPUT: (1, len(self.action)), **{f"{name}_out": shape for name, shape in self.state.items()}}

    @property
    def trained(self) -> Mapping[str, Any]:
        """Where the policy comes from: algorithm, environment, versions."""
        trained: Mapping[str, Any] = self.document.get("trained", {})
        return trained


def parse_contract(document: Any) -> Contract:
    """Check a contract read from JSON.

    Raises:
        BundleError: it is of another schema or version, or a part is missing or makes no sense.
    """
    _check_schema(document)
    try:
        terms = {term["name"]: _names(term["elements"]) for term in document["obs"]}
        action = document["action"]
        contract = Contract(
            task=str(document["task"]),
            control_dt=float(document["control_dt"]),
            observation=terms["observation"],
            goal=terms["desired_goal"],
            action=_names(action["elements"]),
            action_scale=tuple(float(scale) for scale in action["scale"]),
            state={name: tuple(int(n) for n in term["shape"]) for name, term in document["state"].items()},
            tolerance=float(document["parity"]["tolerance"]),
            document=document,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"the contract is damaged: {type(error).__name__}: {error}; export the policy again"
        ) from None
    _check_values(contract)
    return contract


def _check_schema(document: Any) -> None:
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, dict) or schema.get("name") != SCHEMA:
        raise BundleError(
            f"the contract's schema is {schema!r}, expected {SCHEMA!r}: this was not exported by sim2real"
        )
    if schema.get("version") != VERSION:
        raise BundleError(
            f"the contract has version {schema.get('version')!r}, this runner reads {VERSION}; "
            "use the sim2real that exported it, or export again"
        )


def _check_values(contract: Contract) -> None:
    names = contract.readings
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BundleError(f"the contract names these elements twice: {', '.join(repeated)}; names must be unique")
    scale = contract.action_scale
    if len(scale) != len(contract.action) or not all(math.isfinite(s) and s > 0 for s in scale):
        raise BundleError(
            f"the contract's action scale is {list(scale)}, expected {len(contract.action)} positive numbers: "
            "the action sent last is fed back divided by it"
        )
    if not (math.isfinite(contract.control_dt) and contract.control_dt > 0):
        raise BundleError(f"the contract's control_dt is {contract.control_dt} s, expected a positive time")


def _names(elements: Any) -> tuple[str, ...]:
    return tuple(str(element["name"]) for element in elements)
