"""The safetensors format, read with the standard library and numpy: eight bytes of length, a JSON header, the data."""

from __future__ import annotations

import json
import struct

import numpy as np
from numpy.typing import NDArray

from sim2real.deploy.contract import BundleError

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def read_safetensors(content: bytes) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    """Tensors by name, and the file's own metadata.

    Raises:
        BundleError: the content is cut off, is something else, or has a type that numpy has not.
    """
    try:
        (length,) = struct.unpack_from("<Q", content)
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        data = content[8 + length :]
        tensors = {
            # A copy: the data may start at an odd address, which is slow to compute with.
            name: np.frombuffer(data[slice(*entry["data_offsets"])], _DTYPES[entry["dtype"]])
            .reshape(entry["shape"])
            .copy()
            for name, entry in header.items()
        }
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"the weights are no readable safetensors file: {type(error).__name__}: {error}") from None
    return tensors, metadata
