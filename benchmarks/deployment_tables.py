"""The tables of docs/deployment.md, from the files under results/ alone; written by `benchmarks/results_table.py`."""

from __future__ import annotations

from performance_tables import MISSING, Result, table, unmeasured
from publishing import load


def inference() -> list[str]:
    """Latency of one step by memory and what runs it, and what a fresh process needs to its first action."""
    result = load("inference")
    if result is None:
        return [f"Inference: {MISSING}."]
    head = ("memory", "ONNX p50, p99 (us)", "NumPy", "torch eager", "ONNX over torch", "largest difference from torch")
    rows = [_inference_row(name, memory) for name, memory in result["memories"].items()]
    starts = ", ".join(f"{name} {start['total_s']:.2f} s" for name, start in result["fresh_process"].items())
    return [*table(head, *rows), "", f"Import, load and first action in a fresh process: {starts}."]


def _inference_row(name: str, memory: Result) -> tuple[str, ...]:
    times = (f"{memory[key]['p50_us']:.0f}, {memory[key]['p99_us']:.0f}" for key in _RUN_BY)
    worst = max(memory["largest_difference_from_torch"].values())
    return (f"`{name}`", *times, f"{memory['onnx_vs_torch']:.2f}", f"{worst:.1e}")


_RUN_BY = ("onnx_infer", "numpy_infer", "torch_eager")


def agreement() -> list[str]:
    """Success of the policy in torch and of its bundle, how many outcomes differ, and in how many torch differs from
    itself, asked for one environment at a time."""
    result = load("bundle_agreement")
    head = ("bundle", "dynamics", "episodes", "torch", "bundle", "outcomes that differ", "torch from itself")
    if result is None:
        return unmeasured(*head)
    rows = (
        (
            f"`{row['bundle']}`",
            row["dynamics"],
            str(row["episodes"]),
            f"{row['torch']['success']:.3f}",
            f"{row['onnx']['success']:.3f}",
            str(row["onnx"]["outcomes_different"]),
            str(row["torch_one_by_one"]["outcomes_different"]),
        )
        for row in result["rows"]
    )
    return table(head, *rows)


def sb3() -> list[str]:
    """A model that stable-baselines3 trained: its own ``predict``, our policy of it, and the bundle."""
    result = load("sb3_interop")
    head = (
        "dynamics",
        "the library's predict",
        "the same as a policy here",
        "as a bundle",
        "policy and bundle differ in",
    )
    if result is None:
        return unmeasured(*head)
    rows = (
        (name, *(f"{by[k]:.3f}" for k in ("library", "policy", "bundle")), _episodes(result, name))
        for name, by in result["success"].items()
    )
    return table(head, *rows)


def _episodes(result: Result, dynamics: str) -> str:
    return f"{result['different_outcomes'][dynamics]['policy_bundle']} of {result['episodes']}"


def tables() -> dict[str, list[str]]:
    """Every section of docs/deployment.md by the name of its marks."""
    return {"inference": inference(), "agreement": agreement(), "sb3": sb3()}
