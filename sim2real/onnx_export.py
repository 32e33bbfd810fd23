"""A policy as one ONNX file: torch's exporter, kept quiet, and nothing in the file of the machine that exported."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sim2real.bundle_documents import OPSET
from sim2real.deploy.contract import METADATA_KEY
from sim2real.exportable import ExportablePolicy, ExportError


class _Deployed(nn.Module):
    """``(obs [1, all terms], *memory) -> (physical actions [1, A], *memory)``."""

    scale: Tensor
    offset: Tensor

    def __init__(self, policy: ExportablePolicy) -> None:
        super().__init__()
        self.policy = policy
        self.widths = [len(term.elements) for term in policy.input_terms()]
        self.register_buffer("scale", torch.tensor(policy.spec.action_scale, dtype=torch.float32))
        self.register_buffer("offset", torch.tensor(policy.spec.action_offset, dtype=torch.float32))

    def forward(self, obs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        action, new = self.policy.step(*torch.split(obs, self.widths, 1), state)
        return (action * self.scale + self.offset, *new)


def onnx_bytes(policy: ExportablePolicy) -> bytes:
    """The ONNX file's content: ``obs, h_in, c_in -> actions, h_out, c_out``, batch 1, memory by its own names."""
    names = policy.export_state_names()
    module = _Deployed(policy).eval()
    # Clones: two inputs that are one tensor, such as a policy's (zeros, zeros), are merged in the traced graph.
    example = (torch.zeros(1, sum(module.widths)), *(tensor.clone() for tensor in policy.zero_state_tensors(1)))
    inputs, outputs = ["obs", *(f"{name}_in" for name in names)], ["actions", *(f"{name}_out" for name in names)]
    return traced(module, example, inputs, outputs)


def traced(
    module: nn.Module, example: tuple[Tensor, ...], inputs: list[str], outputs: list[str], free: Any = None
) -> bytes:
    """A module's forward pass as an ONNX file's content; ``free`` names axes of any length, as ``dynamic_shapes`` of
    torch's exporter does."""
    onnx = _import_onnx()
    with _silence():
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=free,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_sources(model)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _forget_sources(model: Any) -> None:
    """Drop what the exporter notes beside every node: stack traces, with the paths of the machine that exported."""
    graph = model.graph
    for entry in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        entry.ClearField("metadata_props")
        entry.ClearField("doc_string")


def with_contract(model: bytes, contract: Mapping[str, Any]) -> bytes:
    """The ONNX file's content with the contract in its metadata, instead of what was there."""
    onnx = _import_onnx()
    proto = onnx.load_model_from_string(model)
    proto.ClearField("metadata_props")
    onnx.helper.set_model_props(proto, _metadata(contract))
    content: bytes = proto.SerializeToString()
    return content


def _metadata(contract: Mapping[str, Any]) -> dict[str, str]:
    """The contract in full, and flat keys for runtimes that look for those."""

    def names(source: str) -> str:
        terms = [term["elements"] for term in contract["obs"] if term["source"] == source]
        return json.dumps([element["name"] for elements in terms for element in elements])

    return {
        METADATA_KEY: json.dumps(contract, allow_nan=False),
        "task": contract["task"],
        "control_dt": json.dumps(contract["control_dt"]),
        "observation_names": names("sensor"),
        "command_names": names("command"),
        "action_names": json.dumps([element["name"] for element in contract["action"]["elements"]]),
        "action_scale": json.dumps(contract["action"]["scale"]),
    }


def _import_onnx() -> Any:
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it and says so less clearly
    except ImportError as error:
        raise ExportError(f"exporting needs the package {error.name!r}: pip install 'sim2real[export]'") from None
    return onnx


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's prints, warnings and log lines away; what it raises comes through."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    sink = io.StringIO()
    try:
        with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
