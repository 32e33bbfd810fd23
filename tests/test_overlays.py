from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.config import ConfigError
from sim2real.overlays import dump_yaml, parse_override, parse_yaml, presets, read_overlay

NAMES = st.from_regex(r"[a-z_][a-z_0-9]{0,8}", fullmatch=True)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=20)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed=1", {"seed": 1}),
        ("agent.gamma=0.98", {"agent": {"gamma": 0.98}}),
        ("agent.learning_rate=1e-3", {"agent": {"learning_rate": 0.001}}),
        ("agent.learning_rate=5E+2", {"agent": {"learning_rate": 500.0}}),
        ("trainer.total_samples=1_000_000", {"trainer": {"total_samples": 1_000_000}}),
        ("agent.hidden=[64, 32]", {"agent": {"hidden": [64, 32]}}),
        ("trainer.max_minutes=null", {"trainer": {"max_minutes": None}}),
        ("trainer.max_minutes=", {"trainer": {"max_minutes": None}}),
        ("env.dynamics=a=b.yaml", {"env": {"dynamics": "a=b.yaml"}}),
        ("agent.memory=none", {"agent": {"memory": "none"}}),
        ("agent={gamma: 0.9}", {"agent": {"gamma": 0.9}}),
    ],
)
def test_overrides(text: str, expected: dict[str, Any]) -> None:
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["seed", "=1", ".seed=1", "agent..gamma=1", "", "fetch_reach"])
def test_an_override_without_key_and_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--set expects key=value, such as agent\.gamma=0\.98, got"):
        parse_override(text)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text())
def test_any_text_is_an_override_or_a_config_error(text: str) -> None:
    try:
        parsed = parse_override(text)
    except ConfigError:
        return
    assert len(parsed) == 1


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4), VALUES)
def test_an_override_arrives_at_its_place(path: list[str], value: Any) -> None:
    text = ".".join(path) + "=" + dump_yaml({"x": value}).removeprefix("x:")
    found: Any = parse_override(text)
    for name in path:
        found = found[name]
    assert found == value
    assert type(found) is type(value)


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_dumped_yaml_reads_back(data: dict[str, Any]) -> None:
    assert parse_yaml(dump_yaml(data), "test") == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "test: not valid YAML: key 'a' is given twice"),
        ("a: [1, 2", "test: not valid YAML: while parsing a flow sequence"),
        ("- 1\n- 2\n", "test: expected 'key: value' lines, got list"),
        ("just text", "test: expected 'key: value' lines, got str"),
        ("1: 2", "test: expected 'key: value' lines, got dict"),
        ("!!python/object:os.system {}", "test: not valid YAML: could not determine a constructor"),
    ],
)
def test_a_bad_file_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "test")
    assert str(caught.value).startswith(message)


def test_every_preset_has_a_description_and_reads() -> None:
    assert "fetch_reach" in presets()
    for name, description in presets().items():
        assert description, f"configs/{name}.yaml should begin with a comment that describes it"
        assert read_overlay(name)


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("seed: 3\n")
    assert read_overlay(str(file)) == {"seed": 3}
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can't read"):
        read_overlay(str(file))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("fetch_reech", r"unknown preset 'fetch_reech'. Did you mean 'fetch_reach'\?"),
        ("no/such.yaml", r"there is no file 'no/such.yaml'; presets, without .yaml: .*fetch_reach"),
        ("examples/own_arm/reach.yaml", "describes an arm; train a preset on it: fetch_reach --set env.task=examples"),
        (".", r"'.' is a folder; expected a preset or a YAML file. To continue a run"),
    ],
)
def test_a_source_that_is_not_there(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_overlay(source)


def test_an_empty_file_is_no_experiment(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    with pytest.raises(ConfigError, match=r"empty.yaml is empty; expected keys such as env, trainer, agent"):
        read_overlay(str(tmp_path / "empty.yaml"))
