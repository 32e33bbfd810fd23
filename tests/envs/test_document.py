from __future__ import annotations

from pathlib import Path

import yaml

from sim2real.envs import load_dynamics
from sim2real.envs.document import updated

PAGE = Path(__file__).parents[2] / "docs" / "dynamics.md"


def test_the_table_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == updated(text), "run: python -m sim2real.envs.document docs/dynamics.md"


def test_the_pages_example_is_a_valid_set(tmp_path: Path) -> None:
    example = PAGE.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "mine.yaml"
    path.write_text(example)
    dynamics, train = load_dynamics(path), load_dynamics("train")
    assert dynamics["object_mass"].spec() == 1.5
    assert all(dynamics[name] != train[name] for name in yaml.safe_load(example)["parameters"])
