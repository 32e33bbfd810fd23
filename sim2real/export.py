"""Policy -> bundle: one ONNX file that takes raw readings and gives physical actions, its contract, and the proof.

Normalisers, memory, tanh and action scale are inside the graph; its memory goes in and comes out by name
(``obs, h_in, c_in -> actions, h_out, c_out``, the names that other exporters use too). No bundle is written unless
`sim2real.deploy` repeats the policy's actions and memory over whole episodes, resets included, to 1e-5.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from sim2real.bundle_documents import (
    OPSET,
    TOLERANCE,
    build_contract,
    manifest,
    model_card,
    to_yaml,
    trained_with,
)
from sim2real.checkpoint import replaced_directory
from sim2real.collect import rollout
from sim2real.deploy.bundle import FILES, MANIFEST_FILE, load_bundle
from sim2real.deploy.contract import METADATA_KEY
from sim2real.deploy.parity import replay_error
from sim2real.errors import UserError
from sim2real.runs import load_policy
from sim2real.types import Episodes, FloatArray, GoalVectorEnv, Policy, TaskSpec, Term

GOLDEN_STEPS = 100
"""Steps of the rollout that is recorded for the robot: the first 50 of each episode, so that it crosses a reset."""
NO_DELAYS: Mapping[str, tuple[float, float]] = {"observation": (0.0, 0.0), "action": (0.0, 0.0)}


class ExportError(UserError):
    """A policy that cannot be exported, or whose export computes something else."""


class ExportablePolicy(Policy, Protocol):
    """A policy that is also an ``nn.Module`` and can be traced one step at a time."""

    spec: TaskSpec

    def input_terms(self) -> tuple[Term, ...]:
        """What `step` takes before the memory, in order; by name a part of `sim2real.types.Obs`. Feedback is last."""
        ...

    def export_state_names(self) -> tuple[str, ...]:
        """Names of the memory's tensors: ``("h", "c")``, ``("h",)`` or ``()``."""
        ...

    def zero_state_tensors(self, n: int) -> tuple[Tensor, ...]:
        """Memory of n environments at the start, each [L, n, H]."""
        ...

    step: Callable[..., tuple[Tensor, tuple[Tensor, ...]]]
    """``step(*inputs, memory) -> (action [n, A] in [-1, 1], next memory)``, one input [n, elements] for each term."""


def export(
    run_dir: str | Path,
    out_dir: str | Path,
    *,
    env: GoalVectorEnv | None = None,
    dynamics: Mapping[str, Any] | None = None,
    delays: Mapping[str, tuple[float, float]] = NO_DELAYS,
) -> Path:
    """Write the best policy of ``run_dir`` as a bundle to ``out_dir``; an older bundle there is replaced.

    Args:
        run_dir: what ``sim2real train`` wrote.
        out_dir: a new directory, or one that holds a bundle and nothing else.
        env: where the policy is proved on real episodes; without one it is proved on random readings.
        dynamics: the set it was trained on in full, for the contract.
        delays: least and greatest delay of observation and action in that set (in milliseconds).

    Raises:
        ExportError: the exported policy differs from the trained one by more than 1e-5, or ``out_dir`` holds other
            files; nothing is written then.
    """
    policy, meta = load_policy(run_dir)
    out = Path(out_dir)
    foreign = sorted(file.name for file in out.iterdir() if file.name not in FILES) if out.is_dir() else []
    if foreign or out.is_file():
        raise ExportError(f"--out {out} holds other things than a bundle ({', '.join(foreign[:3])}); give a new folder")
    with replaced_directory(out) as folder:
        trained = {**trained_with(Path(run_dir)), "dynamics": dynamics}
        write_bundle(folder, policy, meta, env=env, trained=trained, delays=delays)
    return out


def write_bundle(
    folder: Path,
    policy: Any,
    meta: Mapping[str, Any],
    *,
    env: GoalVectorEnv | None = None,
    trained: Mapping[str, Any] | None = None,
    delays: Mapping[str, tuple[float, float]] = NO_DELAYS,
) -> float:
    """Fill the empty directory ``folder`` with a bundle of ``policy`` and prove it.

    Args:
        folder: where ``FILES`` go.
        policy: an `ExportablePolicy` that is an ``nn.Module``, on the CPU.
        meta: what rebuilds it: algorithm, configuration, task.
        env: see `export`.
        trained: more on its origin, for the contract.
        delays: see `export`.

    Returns:
        The largest difference from torch that was seen.

    Raises:
        ExportError: that is more than 1e-5.
    """
    memory = policy.zero_state_tensors(1)
    states = {name: tuple(m.shape) for name, m in zip(policy.export_state_names(), memory, strict=True)}
    contract = build_contract(policy.spec, policy.input_terms(), states, meta, trained=trained or {}, delays=delays)
    golden = _golden_rollout(policy, _episodes(policy, env))
    kept = np.flatnonzero(golden["step"] < GOLDEN_STEPS // 2)[:GOLDEN_STEPS]
    recorded = {name: array[kept] for name, array in golden.items()}
    weights = {name: tensor.contiguous().clone() for name, tensor in policy.state_dict().items()}

    (folder / "policy.onnx").write_bytes(_onnx_bytes(policy, contract))
    np.savez_compressed(folder / "parity.npz", allow_pickle=False, **recorded)
    (folder / "model.safetensors").write_bytes(save(weights))  # save_file would make it readable by its owner only
    _write_json(folder / "config.json", meta)
    (folder / "README.md").write_text(model_card(contract, meta.get("eval") or {}), encoding="utf-8")
    checksums = {name: _sha256(folder / name) for name in FILES if name != MANIFEST_FILE}
    (folder / MANIFEST_FILE).write_text(to_yaml(manifest(contract, checksums)), encoding="utf-8")
    return _prove(folder, golden)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _prove(folder: Path, golden: Mapping[str, NDArray[Any]]) -> float:
    """Run the bundle through the deployment path over all of ``golden``; refuse it if it differs."""
    bundle = load_bundle(folder, self_test=False)
    worst = replay_error(bundle, golden)
    if not worst <= TOLERANCE:  # also refuses NaN
        raise ExportError(
            f"the exported policy differs from the trained one by {worst:.2e}, allowed are {TOLERANCE:.0e}; nothing "
            f"was written. Torch {torch.__version__} exports this network wrongly: use the version in constraints.txt"
        )
    bundle.self_test()
    return worst


# ---- the graph ---------------------------------------------------------------------------------------------------


class _Deployed(nn.Module):
    """``(obs [1, all terms], *memory) -> (physical actions [1, A], *memory)``."""

    scale: Tensor
    offset: Tensor

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy
        self.widths = [len(term.elements) for term in policy.input_terms()]
        self.register_buffer("scale", torch.tensor(policy.spec.action_scale, dtype=torch.float32))
        self.register_buffer("offset", torch.tensor(policy.spec.action_offset, dtype=torch.float32))

    def forward(self, obs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        action, new = self.policy.step(*torch.split(obs, self.widths, 1), state)
        return (action * self.scale + self.offset, *new)


def _onnx_bytes(policy: Any, contract: Mapping[str, Any]) -> bytes:
    """The ONNX file's content, the contract in its metadata."""
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it and says so less clearly
    except ImportError as error:
        raise ExportError(f"exporting needs the package {error.name!r}: pip install 'sim2real[export]'") from None
    names = policy.export_state_names()
    module = _Deployed(policy).eval()
    # Clones: two inputs that are one tensor, such as a policy's (zeros, zeros), are merged in the traced graph.
    example = (torch.zeros(1, sum(module.widths)), *(tensor.clone() for tensor in policy.zero_state_tensors(1)))
    with _silence():
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=["obs", *(f"{name}_in" for name in names)],
            output_names=["actions", *(f"{name}_out" for name in names)],
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_sources(model)
    onnx.helper.set_model_props(model, _metadata(contract))
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _forget_sources(model: Any) -> None:
    """Drop what the exporter notes beside every node: stack traces, with the paths of the machine that exported."""
    graph = model.graph
    for entry in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        entry.ClearField("metadata_props")
        entry.ClearField("doc_string")


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


# ---- the proof ---------------------------------------------------------------------------------------------------


def _episodes(policy: ExportablePolicy, env: GoalVectorEnv | None) -> FloatArray:
    """At least `GOLDEN_STEPS` steps and two episodes of readings [B, T, R], in the order of the policy's input."""
    horizon, terms = policy.spec.horizon, [term for term in policy.input_terms() if term.source != "feedback"]
    least = max(2, math.ceil(GOLDEN_STEPS / horizon))
    if env is None:
        rng = np.random.default_rng(0)
        # Random walks whose elements differ in size, for the normaliser's and the memory's linear and saturated parts.
        width = sum(len(term.elements) for term in terms)
        steps = rng.normal(size=(least, horizon, width)) * 10.0 ** rng.uniform(-2, 1, width)
        return np.cumsum(steps, 1)
    batches = [rollout(env, policy, deterministic=True, seed=0)]
    while sum(map(len, batches)) < least:
        batches.append(rollout(env, policy, deterministic=True))
    return np.concatenate([_readings(batch, terms) for batch in batches])


def _readings(episodes: Episodes, terms: Sequence[Term]) -> FloatArray:
    """[B, T, R] what a policy with these terms read."""
    shape = (*episodes.action.shape[:2], episodes.desired_goal.shape[-1])
    fields = {
        "observation": episodes.observation[:, :-1],
        "achieved_goal": episodes.achieved_goal[:, :-1],
        "desired_goal": np.broadcast_to(episodes.desired_goal[:, None], shape),
    }
    return np.concatenate([fields[term.name] for term in terms], -1)


@torch.no_grad()
def _golden_rollout(policy: ExportablePolicy, readings: FloatArray) -> dict[str, NDArray[Any]]:
    """What torch answers to readings [B, T, R], as `sim2real.deploy.parity.replay_error` wants it: S = B T steps."""
    names, (episodes, horizon, width) = policy.export_state_names(), readings.shape
    terms, readings = policy.input_terms(), readings.astype(np.float32)
    widths = [len(term.elements) for term in terms if term.source != "feedback"]
    scale, offset = (np.asarray(values, np.float32) for values in (policy.spec.action_scale, policy.spec.action_offset))
    actions: list[FloatArray] = []
    memory: dict[str, list[FloatArray]] = {name: [] for name in names}
    previous, state = torch.zeros(episodes, len(scale)), policy.zero_state_tensors(episodes)
    feedback = terms[-1].source == "feedback"
    for t in range(horizon):
        inputs = torch.split(torch.from_numpy(readings[:, t]), widths, 1)
        previous, state = policy.step(*inputs, *([previous] if feedback else []), state)
        actions.append(previous.numpy() * scale + offset)
        for name, tensor in zip(names, state, strict=True):
            memory[name].append(tensor.numpy().swapaxes(0, 1)[:, :, None])  # [L, B, H] -> [B, L, 1, H]
    golden = {"actions": actions, **memory}
    step = np.tile(np.arange(horizon), episodes)
    flat = {
        name: np.stack(values, 1).reshape(episodes * horizon, *values[0].shape[1:]) for name, values in golden.items()
    }
    return {"readings": readings.reshape(episodes * horizon, width), "step": step, **flat}
