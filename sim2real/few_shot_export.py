"""A few-shot learner as two ONNX files: `adapt` reads a support set, `predict` answers queries with what it made of it.

For learners that adapt by a forward pass. A folder holds ``adapt.onnx`` (support, targets -> context...),
``predict.onnx`` (context..., query -> outputs, any number of queries) and ``predictor.json``, which says shapes and what
both were checked on: onnxruntime repeats torch on fresh tasks before anything is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sim2real.errors import UserError
from sim2real.exportable import ExportError
from sim2real.few_shot_types import FewShotSpec, TaskBatch, TaskSource
from sim2real.folders import replace_directory
from sim2real.onnx_export import traced

TOLERANCE = 1e-4
"""Largest difference of an output, relative to the largest output of a task."""


class ExportableLearner(Protocol):
    """What of a learner is exported: it embeds, conditions on the support set, answers (``agents/conditioned.py``)."""

    def embed(self, x: Tensor) -> Tensor: ...

    def condition(self, embedded: Tensor, targets: Tensor, ways: int) -> tuple[Tensor, ...]: ...

    def answer(self, context: tuple[Tensor, ...], embedded: Tensor) -> Tensor: ...
