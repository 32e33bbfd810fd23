"""The model card of a bundle: Markdown with the front matter that model hubs read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

_METRICS = {
    "success": "success",
    "return": "return",
    "base_rate": "solved at the start",
    "final_distance": "final distance (m)",
    "time_to_success": "time to success (s)",
    "action_rate": "action rate",
}
"""Metric of the evaluation -> column of the card."""
_SIMULATED = "sim2real run DIR --robot sim --dynamics unseen      # in simulation"
_NOT_SIMULATED = "# --robot sim does not know this task: its environments are a family's (docs/meta_rl.md of sim2real)"


def model_card(contract: Mapping[str, Any]) -> str:
    """Everything in it comes from the contract."""
    task, memory = contract["task"], contract["state"].items()
    shapes = ", ".join(f"`{name}` {state['shape']}" for name, state in memory) or "none"
    return f"""---
{_front_matter(contract)}
---

# {task} policy

Raw readings in, physical actions out, every {contract["control_dt"] * 1000:g} ms. Normaliser, memory and action scale
are inside `policy.onnx`; names, units, order and limits are in `policy.yaml`.

```bash
python DIR/runner.pyz --robot replay --steps 200    # needs numpy alone; with onnxruntime it runs policy.onnx
{_SIMULATED if contract["simulated"] else _NOT_SIMULATED}
```

```python
from sim2real.deploy import BundleRunner

runner = BundleRunner("DIR")  # checks the files and replays parity.npz on this machine
runner.reset()  # {_reset(contract["reset"])}
action = runner.step(readings)  # a dict by the names below, or a vector in their order
```

## Readings
{_readings(contract)}

## Actions
{_actions(contract)}

Memory: {shapes}; zeros after a reset.

## Evaluation
{_evaluation(contract)}
{_further({"Dynamics": _dynamics(contract), **contract["notes"]})}
## Origin
{_origin(contract)}

## Limits
- Trained and measured in simulation. What the tables do not cover, such as other objects, sensors or dynamics beyond
  the ranges above, has not been tried.
- This is no safety function. Keep the robot's own limits and its emergency stop in force, check that readings are
  fresh and plausible, and call `reset()` after any gap in the control loop.
- Readings are raw: units, frames and the order of elements must be those above. Velocities per control period are not
  velocities per second.
"""


def _reset(reset: Mapping[str, Any]) -> str:
    """When to call it."""
    kept = f" (of {reset['episodes']} episodes), not between its episodes;" if reset["episodes"] > 1 else " and"
    return f"at the start of every {reset['every']}{kept} after every interruption"


def _further(sections: Mapping[str, str]) -> str:
    """Those that say something."""
    return "".join(f"\n## {title}\n{text}\n" for title, text in sections.items() if text)


def _front_matter(contract: Mapping[str, Any]) -> str:
    """YAML, each value written as JSON."""
    task, algorithm = contract["task"], contract["trained"].get("algorithm", "policy")
    results = [
        {
            "task": {"type": "robotics", "name": task},
            "dataset": {"type": task, "name": f"{task}, {contract['evaluated']['columns'][0]}: {setting}"},
            "metrics": [{"type": "success_rate", "name": "success rate", "value": metrics["success"]["value"]}],
        }
        for setting, metrics in contract["evaluation"].items()
        if "success" in metrics
    ]
    entries: dict[str, Any] = {
        "library_name": "sim2real",
        "pipeline_tag": "robotics",
        "tags": [task, algorithm, "robotics", "reinforcement-learning", "sim-to-real", "onnx"],
    }
    if results:
        entries["model-index"] = [{"name": f"{task} {algorithm}", "results": results}]
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entries.items())


def _readings(contract: Mapping[str, Any]) -> str:
    seen: Mapping[str, Any] = contract.get("seen", {})
    rows = [
        [*_row(element), term["source"], _span(seen.get(element["name"]))]
        for term in contract["obs"]
        if term["source"] != "feedback"
        for element in term["elements"]
    ]
    return _table(["element", "unit", "kind", "frame", "source", "seen in evaluation"], rows)


def _actions(contract: Mapping[str, Any]) -> str:
    action = contract["action"]
    columns = zip(action["elements"], action["low"], action["high"], action["rate_limit"], strict=True)
    rows = [[*_row(element), _span([low, high]), f"{rate:g}"] for element, low, high, rate in columns]
    return _table(["element", "unit", "kind", "frame", "limits", "largest change a step"], rows)


def _evaluation(contract: Mapping[str, Any]) -> str:
    if not contract["evaluation"]:
        return "Not evaluated: exported with `--episodes 0`."
    how = contract["evaluated"]
    found = [metric for metric in _METRICS if any(metric in row for row in contract["evaluation"].values())]
    rows = [
        [setting, how["episodes"], *(_cell(metrics.get(m)) for m in found)]
        for setting, metrics in contract["evaluation"].items()
    ]
    return f"""Measured with these files, through the runner and the safety filter that run them on a robot
({how["backend"]} backend): {how["what"]}, 95 % intervals. The filter changed {how["interventions"]} of {how["steps"]}
commands.

{_table([*how["columns"], *(_METRICS[m] for m in found)], rows)}"""


def _dynamics(contract: Mapping[str, Any]) -> str:
    """What varied, in training and in each set of the evaluation."""
    trained_on = contract["trained"].get("dynamics")
    sets = {} if trained_on is None else {"trained on": trained_on}
    sets |= contract.get("evaluated", {}).get("dynamics", {})
    parameters = {name: (dynamics or {}).get("parameters", {}) for name, dynamics in sets.items()}
    if not sets:
        return ""
    delays = ", ".join(f"{name} {_span(span)} ms" for name, span in contract["delays"].items())
    names = list(dict.fromkeys(name for entries in parameters.values() for name in entries))
    columns = list(parameters.values())
    varied = [n for n in names if _varies([entries.get(n) for entries in columns])]
    if not varied:
        return f"Nothing was varied. Delays trained with: {delays}."
    rows = [[f"`{name}`", *(_distribution(entries.get(name)) for entries in columns)] for name in varied]
    return f"""Delays trained with: {delays}. Units and what each parameter writes: `docs/dynamics.md` of sim2real.

{_table(["parameter", *parameters], rows)}"""


def _varies(specs: Sequence[Any]) -> bool:
    """Whether a parameter is drawn in one of the sets, or differs between them."""
    return any(isinstance(spec, Mapping) or spec != specs[0] for spec in specs)


def _distribution(spec: Any) -> str:
    """A distribution as the sets of dynamics write it -> words."""
    if not isinstance(spec, Mapping):
        return "" if spec is None else f"{spec:g}"
    ((kind, values),) = spec.items()
    if kind == "exponential":
        return f"exponential, mean {values:g}"
    if kind == "normal":
        return f"normal, {values[0]:g} ± {values[1]:g}"
    pairs = values if isinstance(values[0], Sequence) else [values]
    scale = {"log_uniform": " (log)", "inverse_uniform": " (inverse)"}.get(kind, "")
    return " or ".join(map(_span, pairs)) + scale


def _origin(contract: Mapping[str, Any]) -> str:
    trained = contract["trained"]
    rows = [[key, _flat(trained[key])] for key in ("algorithm", "env", "samples", "seed", "commit") if trained.get(key)]
    rows += [[name, version] for name, version in trained.get("versions", {}).items()]
    return _table(["", ""], rows)


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None or entry["value"] is None:
        return ""
    if entry["low"] is None:
        return f"{entry['value']:.3f}"
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def _span(pair: Sequence[float] | None) -> str:
    return "" if pair is None else f"{pair[0]:g} to {pair[1]:g}"


def _row(element: Mapping[str, str]) -> list[str]:
    return [f"`{element['name']}`", element["unit"], element["kind"], element["frame"]]


def _flat(value: Any) -> str:
    return ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
