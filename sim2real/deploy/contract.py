"""The contract of an exported policy: what goes in and comes out, in which order and unit, and what it was trained on.

It stands in ``policy.yaml`` under ``contract``, beside the checksums of the bundle's other files, and is repeated as
JSON inside the model's own metadata, so that neither can be swapped without the other noticing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from sim2real.errors import UserError
from sim2real.types import Element, Source, Term

SCHEMA = "sim2real-policy"
VERSION = 2
METADATA_KEY = "contract"
"""Key of the contract in a model file's metadata."""
INPUT, OUTPUT = "obs", "actions"
FEEDBACK = "previous_action"
"""Name of the term that the runner fills in: the action sent last in [-1, 1], zeros at the start."""


class BundleError(UserError):
    """A bundle that is incomplete, altered, or not what its contract says."""


@dataclass(frozen=True)
class Contract:
    """The part of the contract that a robot's side needs, checked; ``document`` is all of it.

    A physical action is ``normalised * action_scale + action_offset``; the model gives physical ones, the feedback
    term wants normalised ones.
    """

    task: str
    control_dt: float
    """Time between two steps (in seconds)."""
    terms: tuple[Term, ...]
    """The model's input in its order; at most one is feedback, and that is the last."""
    action_elements: tuple[Element, ...]
    action_scale: tuple[float, ...]
    """Physical action per unit of the normalised one; positive."""
    action_offset: tuple[float, ...]
    """Physical action where the normalised one is zero."""
    action_low: tuple[float, ...]
    """Smallest physical action that may be sent."""
    action_high: tuple[float, ...]
    """Largest physical action that may be sent."""
    rate_limit: tuple[float, ...]
    """Largest change of the physical action from one control step to the next; positive."""
    state: Mapping[str, tuple[int, ...]]
    """Name of a memory tensor (``h``, ``c``) -> its shape; enters as ``h_in``, leaves as ``h_out``, starts at zero."""
    delays: Mapping[str, tuple[float, float]]
    """``observation`` and ``action`` -> least and greatest delay that the policy was trained with (in milliseconds)."""
    tolerance: float
    """Largest difference from the training-side policy that the proof in ``parity.npz`` allows."""
    document: Mapping[str, Any]

    @cached_property
    def readings(self) -> tuple[str, ...]:
        """Names of what the caller supplies at each step, raw and in the order of the input."""
        return tuple(e.name for term in self.terms if term.source != "feedback" for e in term.elements)

    @cached_property
    def action(self) -> tuple[str, ...]:
        """Names of the action's elements."""
        return tuple(element.name for element in self.action_elements)

    @cached_property
    def feeds_back(self) -> bool:
        """Whether the input ends with the action before."""
        return self.terms[-1].source == "feedback"

    @cached_property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Input name of the model -> shape."""
        width = sum(len(term.elements) for term in self.terms)
        return {INPUT: (1, width), **{f"{name}_in": shape for name, shape in self.state.items()}}

    @cached_property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Output name of the model -> shape."""
        return {OUTPUT: (1, len(self.action)), **{f"{name}_out": shape for name, shape in self.state.items()}}

    @property
    def simulated(self) -> bool:
        """Whether the task is one that a simulated robot knows."""
        return bool(self.document.get("simulated", True))

    @property
    def trained(self) -> Mapping[str, Any]:
        """Where the policy comes from: algorithm, environment, versions, dynamics."""
        trained: Mapping[str, Any] = self.document.get("trained", {})
        return trained

    @property
    def seen(self) -> Mapping[str, tuple[float, float]]:
        """Name of a reading -> its least and greatest value in the evaluation's episodes; empty without evaluation."""
        return {name: _pair(pair) for name, pair in self.document.get("seen", {}).items()}

    @property
    def evaluation(self) -> Mapping[str, Mapping[str, Any]]:
        """Set of dynamics (``nominal``, ``train``, ``unseen``) -> metric -> ``{"value", "low", "high", "n"}``, measured
        with this bundle; empty where the export skipped it."""
        evaluation: Mapping[str, Mapping[str, Any]] = self.document.get("evaluation", {})
        return evaluation


def parse_contract(document: Any) -> Contract:
    """Check a contract read from JSON.

    Raises:
        BundleError: it is of another schema or version, or a part is missing or makes no sense.
    """
    _check_schema(document)
    try:
        action = document["action"]
        contract = Contract(
            task=str(document["task"]),
            control_dt=float(document["control_dt"]),
            terms=tuple(Term(str(t["name"]), t["source"], _elements(t["elements"])) for t in document["obs"]),
            action_elements=_elements(action["elements"]),
            action_scale=_numbers(action["scale"]),
            action_offset=_numbers(action["offset"]),
            action_low=_numbers(action["low"]),
            action_high=_numbers(action["high"]),
            rate_limit=_numbers(action["rate_limit"]),
            state={name: tuple(int(n) for n in term["shape"]) for name, term in document["state"].items()},
            delays={name: _pair(document["delays"][name]) for name in ("observation", "action")},
            tolerance=float(document["parity"]["tolerance"]),
            document=document,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(
            f"the contract is damaged: {type(error).__name__}: {error}; export the policy again"
        ) from None
    _check_terms(contract)
    _check_action(contract)
    _check_times(contract)
    _check_seen(contract)
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


def _check_terms(contract: Contract) -> None:
    for term in contract.terms:
        if term.source not in get_args(Source):
            raise BundleError(
                f"the contract's term {term.name!r} has source {term.source!r}, expected one of {get_args(Source)}"
            )
    if not contract.readings:
        raise BundleError("the contract names no readings: a policy without eyes can't be run")
    for names in (contract.readings, contract.action):
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise BundleError(f"the contract names these elements twice: {', '.join(repeated)}; names must be unique")
    feedback = [term for term in contract.terms if term.source == "feedback"]
    well_placed = [(t.name, len(t.elements)) for t in contract.terms[-1:]] == [(FEEDBACK, len(contract.action))]
    if len(feedback) > 1 or (feedback and not (contract.feeds_back and well_placed)):
        raise BundleError(
            f"the contract's feedback terms are {[t.name for t in feedback]}; there may be one, {FEEDBACK!r}, the last "
            f"of the input, with the {len(contract.action)} elements of the action"
        )


def _check_action(contract: Contract) -> None:
    n = len(contract.action)
    columns = ("action_scale", "action_offset", "action_low", "action_high", "rate_limit")
    for name in columns:
        values = getattr(contract, name)
        positive = name in ("action_scale", "rate_limit")
        if len(values) != n or not all(math.isfinite(v) and (v > 0 or not positive) for v in values):
            kind = "positive" if positive else "finite"
            raise BundleError(f"the contract's {name} is {list(values)}, expected {n} {kind} numbers, one an element")
    if not all(low < high for low, high in zip(contract.action_low, contract.action_high, strict=True)):
        raise BundleError(
            f"the contract's action_low {list(contract.action_low)} is not below its action_high "
            f"{list(contract.action_high)} in every element"
        )


def _check_times(contract: Contract) -> None:
    if not (math.isfinite(contract.control_dt) and contract.control_dt > 0):
        raise BundleError(f"the contract's control_dt is {contract.control_dt} s, expected a positive time")
    for name, (low, high) in contract.delays.items():
        if not 0 <= low <= high < math.inf:
            raise BundleError(f"the contract's {name} delay is [{low}, {high}] ms, expected 0 <= low <= high")
    if not 0 < contract.tolerance < math.inf:
        raise BundleError(f"the contract's tolerance is {contract.tolerance}, expected a positive number")


def _check_seen(contract: Contract) -> None:
    try:
        bad = [name for name, (low, high) in contract.seen.items() if not -math.inf < low <= high < math.inf]
        bad += [name for name in contract.seen if name not in contract.readings]
    except (TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"the contract's ranges of readings are damaged: {error}; export the policy again") from None
    if bad:
        raise BundleError(f"the contract's ranges of readings make no sense for {', '.join(bad)}; export again")


def _elements(entries: Any) -> tuple[Element, ...]:
    return tuple(Element(*(str(entry[key]) for key in ("name", "unit", "kind", "frame"))) for entry in entries)


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _pair(values: Any) -> tuple[float, float]:
    low, high = values
    return float(low), float(high)
