"""The rules of who may import whom: data flows one way. Read from the syntax, so imports inside functions count too."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HELPERS = {
    "sim2real.types",
    "sim2real.errors",
    "sim2real.curriculum",
    "sim2real.few_shot_types",
    "sim2real.meta_rl_types",
    "sim2real.search_types",
}
# What a module may import of this package; a name covers what is below it. A module that is not here may import all of
# the core, and neither envs nor agents.
ALLOWED = {
    "sim2real": set(),
    "sim2real.types": set(),
    "sim2real.errors": set(),
    "sim2real.meta_rl_types": {"sim2real.types"},
    "sim2real.few_shot_types": {"sim2real.types"},
    "sim2real.search_types": {"sim2real.types", "sim2real.errors"},
    "sim2real.seeding": set(),
    "sim2real.curriculum": {"sim2real.errors"},
    "sim2real.config": HELPERS,
    "sim2real.overlays": {*HELPERS, "sim2real.config", "sim2real.configs"},
    "sim2real.provenance": {"sim2real"},
    "sim2real.folders": {"sim2real.errors"},
    "sim2real.checkpoint": {*HELPERS, "sim2real.folders"},
    "sim2real.metrics": {*HELPERS, "sim2real.folders"},
    "sim2real.progress": HELPERS,
    "sim2real.collect": HELPERS,
    "sim2real.replay": HELPERS,
    "sim2real.trainer": {
        *HELPERS,
        "sim2real.config",
        "sim2real.checkpoint",
        "sim2real.folders",
        "sim2real.metrics",
        "sim2real.progress",
    },
    "sim2real.hub": {
        "sim2real",
        "sim2real.errors",
        "sim2real.folders",
        "sim2real.deploy",
        "sim2real.runner_archive",
    },
    "sim2real.estimates": HELPERS,
    "sim2real.tables": set(),
    "sim2real.scores": {*HELPERS, "sim2real.estimates", "sim2real.tables"},
    "sim2real.few_shot_scores": HELPERS,
    "sim2real.domains": {*HELPERS, "sim2real.config", "sim2real.scores"},
    "sim2real.evaluate": {*HELPERS, "sim2real.collect", "sim2real.estimates", "sim2real.tables"},
    "sim2real.bootstrap": {*HELPERS, "sim2real.estimates"},
    "sim2real.linear_probe": HELPERS,
    "sim2real.memory": HELPERS,
    "sim2real.pool": {*HELPERS, "sim2real.progress"},
    "sim2real.result_cache": {"sim2real.folders"},
    "sim2real.episode_store": {*HELPERS, "sim2real.evaluate", "sim2real.folders", "sim2real.provenance"},
    "sim2real.policy_kinds": {*HELPERS, "sim2real.config"},
    "sim2real.transfer": {
        *HELPERS,
        "sim2real.bootstrap",
        "sim2real.estimates",
        "sim2real.evaluate",
        "sim2real.linear_probe",
    },
    "sim2real.probe": {
        *HELPERS,
        "sim2real.bootstrap",
        "sim2real.estimates",
        "sim2real.evaluate",
        "sim2real.linear_probe",
        "sim2real.memory",
    },
    "sim2real.envs": {*HELPERS, "sim2real.envs", "sim2real.configs"},
    "sim2real.envs.own_arm": {*HELPERS, "sim2real.envs", "sim2real.config", "sim2real.overlays"},
    "sim2real.operations": set(),
    "sim2real.agents": {
        *HELPERS,
        "sim2real.agents",
        "sim2real.collect",
        "sim2real.operations",
        "sim2real.replay",
        "sim2real.seeding",
    },
    "sim2real.deploy": {*HELPERS, "sim2real.deploy"},
}
COMPOSITION = {
    "sim2real.adapt_command",
    "sim2real.adapted_export",
    "sim2real.bundle_commands",
    "sim2real.cli",
    "sim2real.cli_bundles",
    "sim2real.cli_studies",
    "sim2real.architecture_graph",
    "sim2real.commands",
    "sim2real.doctor",
    "sim2real.few_shot_domain",
    "sim2real.foreign_source",
    "sim2real.goals_domain",
    "sim2real.jobs",
    "sim2real.meta_rl_domain",
    "sim2real.meta_rl_export",
    "sim2real.played_bundles",
    "sim2real.probe_command",
    "sim2real.policy_child",
    "sim2real.search_children",
    "sim2real.search_domain",
    "sim2real.sources",
    "sim2real.transfer_command",
}
# Rebuilds a saved policy by the name of its algorithm.
KNOWS_AGENTS = {"sim2real.runs"}
# Third-party modules of what has to run on a robot.
DEPLOY_NEEDS = {"numpy", "onnxruntime"}
# What comes with an installation of ROS 2 and from nowhere else, and the modules that may know it.
ROS = {*("control_msgs", "geometry_msgs", "rclpy", "sensor_msgs", "std_msgs", "std_srvs", "tf2_ros", "trajectory_msgs")}
KNOWS_ROS = {"sim2real.deploy.ros2_outputs", "sim2real.deploy.ros2_robot"}


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    folders = {"sim2real": ROOT / "sim2real", "sim2real.envs": ROOT / "envs", "sim2real.agents": ROOT / "agents"}
    found = {}
    for prefix, folder in folders.items():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if prefix == "sim2real" and parts[0] in ("envs", "agents", "configs"):
                continue  # the links
            found[".".join((prefix, *(p for p in parts if p != "__init__")))] = file
    return found


def imported(source: str, module: str) -> Iterator[str]:
    """Names of the modules that ``source`` imports, wherever in it; relative ones made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.rsplit(".", node.level)[0] + "." if node.level else ""
            # `from sim2real import trainer` imports sim2real.trainer.
            whole = base + (node.module or "")
            yield from (f"{whole}.{alias.name}" for alias in node.names) if whole == "sim2real" else (whole,)


def covers(allowed: str, name: str) -> bool:
    return name == allowed or (allowed != "sim2real" and name.startswith(allowed + "."))


def violations(module: str, source: str) -> list[str]:
    """What ``module`` imports of this package against the rules."""
    rule = next((ALLOWED[name] for name in sorted(ALLOWED, reverse=True) if covers(name, module)), None)
    ours = [name for name in imported(source, module) if name.partition(".")[0] == "sim2real"]
    ours = ["sim2real" if name == "sim2real.__version__" else name for name in ours]
    if rule is not None:
        return [name for name in ours if not any(covers(allowed, name) for allowed in rule)]
    if module in COMPOSITION:
        return []
    forbidden = {"sim2real.envs", "sim2real.agents"} - ({"sim2real.agents"} if module in KNOWS_AGENTS else set())
    return [name for name in ours if any(covers(f, name) for f in forbidden)]


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_it_may(module: str) -> None:
    assert violations(module, modules()[module].read_text(encoding="utf-8")) == []


def test_deploy_needs_numpy_and_onnxruntime_only() -> None:
    for module, file in modules().items():
        if covers("sim2real.deploy", module):
            roots = {name.partition(".")[0] for name in imported(file.read_text(encoding="utf-8"), module)}
            allowed = {"sim2real", *DEPLOY_NEEDS, *(ROS if module in KNOWS_ROS else ())}
            assert roots - set(sys.stdlib_module_names) <= allowed, module


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("sim2real.trainer", "from sim2real.agents import AGENTS"),
        ("sim2real.trainer", "def f():\n    import sim2real.envs"),
        ("sim2real.evaluate", "from sim2real import runs"),
        ("sim2real.envs.fetch", "from sim2real.agents.rdpg import RDPG"),
        ("sim2real.agents.rdpg", "import sim2real.envs.dynamics as d"),
        ("sim2real.deploy.runner", "from sim2real.collect import rollout"),
        ("sim2real.types", "from sim2real.config import TrainerConfig"),
        ("sim2real.report", "if True:\n    from sim2real.agents import AGENTS"),
        ("sim2real.runs", "from sim2real.envs import make_vec"),
        ("sim2real.transfer", "from sim2real.envs import load_dynamics"),
        ("sim2real.probe", "from sim2real.jobs import Cell"),
        ("sim2real.bootstrap", "from sim2real.evaluate import Evaluation"),
        ("sim2real.new_thing", "from sim2real.envs import make_vec"),
    ],
)
def test_the_rules_can_fail(module: str, source: str) -> None:
    assert violations(module, source)


def test_the_rules_let_pass_what_is_allowed() -> None:
    assert violations("sim2real.agents.rdpg", "from .losses import td\nfrom sim2real.types import State") == []
    assert violations("sim2real.commands", "from sim2real.agents import AGENTS\nimport sim2real.envs") == []
    assert violations("sim2real.trainer", "import torch\nfrom sim2real.checkpoint import save_state") == []


LIGHT = {
    "import sim2real": set(),
    "from sim2real.cli import main; main(['--help'])": set(),
    "from sim2real.cli import main; main(['train', '--help'])": set(),
    "from sim2real.cli import main; main(['list'])": {"gymnasium", "mujoco"},
}


@pytest.mark.parametrize(("statement", "may_import"), LIGHT.items())
def test_nothing_heavy_is_imported(statement: str, may_import: set[str]) -> None:
    heavy = {"torch", "mujoco", "gymnasium", "gymnasium_robotics", "onnxruntime", "tensorboard"} - may_import
    code = (
        f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\nprint(sorted(set(sys.modules) & {heavy!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr


def test_the_check_for_heavy_imports_can_fail() -> None:
    with pytest.raises(AssertionError):
        test_nothing_heavy_is_imported("import sim2real.envs", set())
