"""One seed -> an independent generator for each named component.

A component's numbers depend on the seed and its own name only: adding a component, or drawing more in one, leaves the
others as they were. Generators go into a checkpoint as ``generator.bit_generator.state`` (numpy, JSON) and
``generator.get_state()`` (torch, a tensor on the CPU).
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def component_seed(seed: int, name: str) -> int:
    """A seed in [0, 2^63) for the component ``name``, for libraries that take a number. ``seed`` >= 0."""
    high, low = _sequence(seed, name).generate_state(2)
    return (int(high) << 31) | (int(low) >> 1)


def numpy_generator(seed: int, name: str) -> np.random.Generator:
    """numpy's generator of the component ``name``. ``seed`` >= 0."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, name)))


def torch_generator(seed: int, name: str, device: str | torch.device = "cpu") -> torch.Generator:
    """torch's generator of the component ``name`` on ``device``; CPU and CUDA draw different numbers."""
    import torch  # here, because what only needs numpy should not wait for torch

    return torch.Generator(device).manual_seed(component_seed(seed, name))


@contextlib.contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Networks made inside begin with weights that ``seed`` alone decides; torch's own generator is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(numpy_generator(seed, "weights").integers(2**31)))
        yield


def _sequence(seed: int, name: str) -> np.random.SeedSequence:
    # hash() of a string changes with every process; a digest does not.
    digest = hashlib.sha256(name.encode()).digest()[:16]
    return np.random.SeedSequence([seed, int.from_bytes(digest, "little")])
