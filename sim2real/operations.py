"""Networks as lists of operations: what a policy tells the NumPy backend (`sim2real.deploy.numpy_backend`) to do."""

from __future__ import annotations

from typing import Any

from torch import nn

Operation = dict[str, Any]
"""``{"op": NAME, "in": [...], "out": [...], ...}``, in JSON's types; tensors by their name in the ``state_dict``."""
ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Tanh: "tanh"}


def operation(name: str, inputs: list[str], outputs: list[str], **parameters: str | float) -> Operation:
    """One entry of the list; see `sim2real.deploy.numpy_operations` for names and parameters."""
    return {"op": name, "in": inputs, "out": outputs, **parameters}


def linear(layer: nn.Linear, prefix: str, source: str, result: str) -> Operation:
    """A linear layer whose parameters are ``prefix.weight`` and, if it has one, ``prefix.bias``."""
    parameters = {key: f"{prefix}.{key}" for key, value in layer.named_parameters() if value is not None}
    return operation("linear", [source], [result], **parameters)


def mlp(layers: nn.Sequential, prefix: str, source: str, result: str) -> list[Operation]:
    """Linear layers and activations, one after the other.

    Raises:
        TypeError: a layer is of another kind.
    """
    entries, name = [], source
    for number, layer in enumerate(layers):
        after = result if number == len(layers) - 1 else f"{result}_{number}"
        if isinstance(layer, nn.Linear):
            entries.append(linear(layer, f"{prefix}.{number}", name, after))
        elif type(layer) in ACTIVATIONS:
            entries.append(operation(ACTIVATIONS[type(layer)], [name], [after]))
        elif type(layer) is nn.Hardtanh:
            entries.append(operation("clip", [name], [after], low=layer.min_val, high=layer.max_val))
        else:
            known = ", ".join(["linear", "clip", *ACTIVATIONS.values()])
            raise TypeError(f"{prefix}.{number} is a {type(layer).__name__}; the NumPy backend knows {known}")
        name = after
    return entries
