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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn

from sim2real.bundle_documents import OPSET, TOLERANCE, build_contract, leapp_layout, model_card, trained_with
from sim2real.checkpoint import replaced_directory
from sim2real.collect import rollout
from sim2real.deploy.runner import BundleRunner, replay_error
from sim2real.errors import UserError
from sim2real.runs import load_policy
from sim2real.types import FloatArray, GoalVectorEnv, Policy, TaskSpec

GOLDEN_STEPS = 100
"""Steps of the rollout that is recorded for the robot: the first 50 of each episode, so that it crosses a reset."""
FILES = ("policy.onnx", "contract.json", "policy.yaml", "model.safetensors", "config.json", "parity.npz", "README.md")


class ExportError(UserError):
    """A policy that cannot be exported, or whose export computes something else."""


class ExportablePolicy(Policy, Protocol):
    """A policy that is also an ``nn.Module`` and can be traced one step at a time."""

    spec: TaskSpec

    def export_state_names(self) -> tuple[str, ...]:
        """Names of the memory's tensors: ``("h", "c")``, ``("h",)`` or ``()``."""
        ...

    def zero_state_tensors(self, n: int) -> tuple[Tensor, ...]:
        """Memory of n environments at the start, each [L, n, H]."""
        ...

    def step(
        self, observation: Tensor, desired_goal: Tensor, previous_action: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """[n, D], [n, G], [n, A] and memory -> action [n, A] in [-1, 1] and the next memory."""
        ...


def export(
    run_dir: str | Path,
    out_dir: str | Path,
    *,
    env: GoalVectorEnv | None = None,
    dynamics: Mapping[str, Any] | None = None,
) -> Path:
    """Write the best policy of ``run_dir`` as a bundle to ``out_dir``; an older bundle there is replaced.

    Args:
        run_dir: what ``sim2real train`` wrote.
        out_dir: a new directory, or one that holds a bundle and nothing else.
        env: where the policy is proved on real episodes; without one it is proved on random readings.
        dynamics: the set it was trained on in full, for the contract.

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
        write_bundle(folder, policy, meta, env=env, trained={**trained_with(Path(run_dir)), "dynamics": dynamics})
    return out


def write_bundle(
    folder: Path,
    policy: Any,
    meta: Mapping[str, Any],
    *,
    env: GoalVectorEnv | None = None,
    trained: Mapping[str, Any] | None = None,
) -> float:
    """Fill the empty directory ``folder`` with a bundle of ``policy`` and prove it.

    Args:
        folder: where ``FILES`` go.
        policy: an `ExportablePolicy` that is an ``nn.Module``, on the CPU.
        meta: what rebuilds it: algorithm, configuration, task.
        env: see `export`.
        trained: more on its origin, for the contract.

    Returns:
        The largest difference from torch that was seen.

    Raises:
        ExportError: that is more than 1e-5.
    """
    memory = policy.zero_state_tensors(1)
    states = {name: tuple(m.shape) for name, m in zip(policy.export_state_names(), memory, strict=True)}
    contract = build_contract(policy.spec, states, meta, trained or {})
    golden = _golden_rollout(policy, *_episodes(policy, env))
    kept = np.flatnonzero(golden["step"] < GOLDEN_STEPS // 2)[:GOLDEN_STEPS]
    recorded = {name: array[kept] for name, array in golden.items()}
    weights = {name: tensor.contiguous().clone() for name, tensor in policy.state_dict().items()}

    (folder / "policy.onnx").write_bytes(_onnx_bytes(policy, contract))
    np.savez_compressed(folder / "parity.npz", allow_pickle=False, **recorded)
    (folder / "model.safetensors").write_bytes(save(weights))  # save_file would make it readable by its owner only
    _write_json(folder / "config.json", meta)
    checksums = {name: _sha256(folder / name) for name in ("policy.onnx", "parity.npz", "model.safetensors")}
    _write_json(folder / "contract.json", {**contract, "sha256": checksums})
    layout = yaml.safe_dump(leapp_layout(contract, checksums["policy.onnx"]), sort_keys=False, allow_unicode=True)
    (folder / "policy.yaml").write_text(layout, encoding="utf-8")
    (folder / "README.md").write_text(model_card(contract), encoding="utf-8")
    return _prove(folder, golden)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _prove(folder: Path, golden: Mapping[str, NDArray[Any]]) -> float:
    """Run the bundle through the deployment path over all of ``golden``; refuse it if it differs."""
    runner = BundleRunner(folder)
    worst = replay_error(runner, golden)
    if not worst <= TOLERANCE:  # also refuses NaN
        raise ExportError(
            f"the exported policy differs from the trained one by {worst:.2e}, allowed are {TOLERANCE:.0e}; nothing "
            f"was written. Torch {torch.__version__} exports this network wrongly: use the version in constraints.txt"
        )
    runner.self_test()
    return worst


# ---- the graph ---------------------------------------------------------------------------------------------------


class _Deployed(nn.Module):
    """``(obs [1, D+G+A], *memory) -> (physical actions [1, A], *memory)``."""

    scale: Tensor

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy
        sizes = policy.spec.sizes
        self.widths = [sizes["observation"], sizes["goal"], sizes["action"]]
        self.register_buffer("scale", torch.tensor(policy.spec.action_scale, dtype=torch.float32))

    def forward(self, obs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        observation, goal, previous_action = torch.split(obs, self.widths, 1)
        action, new = self.policy.step(observation, goal, previous_action, state)
        return (action * self.scale, *new)


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
    terms = {term["name"]: [element["name"] for element in term["elements"]] for term in contract["obs"]}
    return {
        "contract": json.dumps(contract, allow_nan=False),
        "task": contract["task"],
        "control_dt": json.dumps(contract["control_dt"]),
        "observation_names": json.dumps(terms["observation"]),
        "command_names": json.dumps(terms["desired_goal"]),
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


def _episodes(policy: ExportablePolicy, env: GoalVectorEnv | None) -> tuple[FloatArray, FloatArray]:
    """At least `GOLDEN_STEPS` steps and two episodes: observations [B, T, D] and goals [B, G]."""
    spec = policy.spec
    least = max(2, math.ceil(GOLDEN_STEPS / spec.horizon))
    if env is None:
        rng = np.random.default_rng(0)
        # Random walks whose elements differ in size, for the normaliser's and the memory's linear and saturated parts.
        size = 10.0 ** rng.uniform(-2, 1, spec.sizes["observation"])
        steps = rng.normal(size=(least, spec.horizon, spec.sizes["observation"])) * size
        return np.cumsum(steps, 1), rng.normal(size=(least, spec.sizes["goal"]))
    batches = [rollout(env, policy, deterministic=True, seed=0)]
    while sum(map(len, batches)) < least:
        batches.append(rollout(env, policy, deterministic=True))
    observation = np.concatenate([batch.observation[:, :-1] for batch in batches])
    return observation, np.concatenate([batch.desired_goal for batch in batches])


@torch.no_grad()
def _golden_rollout(policy: ExportablePolicy, observation: FloatArray, goal: FloatArray) -> dict[str, NDArray[Any]]:
    """What torch answers to [B, T, D] and [B, G], as `sim2real.deploy.runner.replay_error` wants it: S = B T steps."""
    names, (episodes, horizon, _) = policy.export_state_names(), observation.shape
    readings = np.concatenate([observation, np.repeat(goal[:, None], horizon, 1)], -1).astype(np.float32)
    scale = np.asarray(policy.spec.action_scale, np.float32)
    actions: list[FloatArray] = []
    memory: dict[str, list[FloatArray]] = {name: [] for name in names}
    previous, state = torch.zeros(episodes, len(scale)), policy.zero_state_tensors(episodes)
    for t in range(horizon):
        seen, wanted = torch.split(torch.from_numpy(readings[:, t]), [observation.shape[-1], goal.shape[-1]], 1)
        previous, state = policy.step(seen, wanted, previous, state)
        actions.append(previous.numpy() * scale)
        for name, tensor in zip(names, state, strict=True):
            memory[name].append(tensor.numpy().swapaxes(0, 1)[:, :, None])  # [L, B, H] -> [B, L, 1, H]
    golden = {"actions": actions, **memory}
    step = np.tile(np.arange(horizon), episodes)
    flat = {
        name: np.stack(values, 1).reshape(episodes * horizon, *values[0].shape[1:]) for name, values in golden.items()
    }
    return {"readings": readings.reshape(episodes * horizon, -1), "step": step, **flat}
