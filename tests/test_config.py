from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from typing import Any, Literal

import pytest

from sim2real.config import (
    ConfigError,
    EnvConfig,
    ExperimentConfig,
    TrainerConfig,
    build,
    changed_keys,
    load_experiment,
    merge,
    to_dict,
)
from sim2real.overlays import dump_yaml, parse_yaml


@dataclass(frozen=True)
class Agent:
    gamma: float = 0.98
    memory: Literal["lstm", "none"] = "lstm"
    hidden: tuple[int, ...] = (64, 64)
    bounds: tuple[float, float] = (-1.0, 1.0)
    clip: float | None = None
    per_step: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma has to be in (0, 1], got {self.gamma}")


def sections(name: str) -> dict[str, type]:
    if name != "rdpg":
        raise ConfigError(f"no {name}")
    return {"env": EnvConfig, "agent": Agent}


def load(*overlays: dict[str, Any]) -> ExperimentConfig:
    return load_experiment({}, overlays, sections)


def error(*overlays: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*overlays)
    return str(caught.value)


def test_defaults_then_overlays_and_the_last_one_wins() -> None:
    config = load({"env": {"task": "FetchPush"}, "seed": 1}, {"env": {"num_envs": 4}}, {"seed": 2})
    assert config.env == EnvConfig(task="FetchPush", num_envs=4)
    assert (config.seed, config.agent, config.trainer) == (2, Agent(), TrainerConfig())


def test_a_config_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        load().seed = 3  # type: ignore[misc]


def test_merging_writes_to_nothing() -> None:
    base, overlay = {"a": {"x": 1}, "b": 2}, {"a": {"y": 3}}
    assert merge(base, overlay, {"a": {"x": 4}}) == {"a": {"x": 4, "y": 3}, "b": 2}
    assert (base, overlay) == ({"a": {"x": 1}, "b": 2}, {"a": {"y": 3}})


def test_an_unknown_key_suggests_the_nearest() -> None:
    message = error({"env": {"num_env": 4}})
    assert message.startswith("env: unknown key 'num_env'. Did you mean 'num_envs'? Allowed: dynamics, ")


def test_an_unknown_key_is_found_where_it_belongs() -> None:
    assert "Did you mean 'agent.gamma'?" in error({"gamma": 0.9})
    assert "Did you mean 'trainer.total_samples'?" in error({"total_samples": 9})


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"seed": "one"}, "seed: expected a whole number, got 'one' (str)"),
        ({"seed": 1.5}, "seed: expected a whole number, got 1.5 (float)"),
        ({"seed": True}, "seed: expected a whole number, got True (bool)"),
        ({"seed": None}, "seed: expected a whole number, got None (NoneType)"),
        ({"agent": {"gamma": "high"}}, "agent.gamma: expected a number, got 'high' (str)"),
        ({"agent": {"gamma": float("nan")}}, "agent.gamma: expected a number, got nan (float)"),
        ({"agent": {"per_step": 1}}, "agent.per_step: expected true or false, got 1 (int)"),
        ({"agent": {"hidden": 64}}, "agent.hidden: expected a list such as [1, 2], got 64 (int)"),
        ({"agent": {"hidden": [64, "x"]}}, "agent.hidden[1]: expected a whole number, got 'x' (str)"),
        ({"agent": {"bounds": [1.0]}}, "agent.bounds: expected a list of 2, got 1: [1.0] (list)"),
        ({"agent": {"clip": "no"}}, "agent.clip: expected a number, got 'no' (str); or null"),
        ({"agent": {"memory": "lstn"}}, "agent.memory: unknown value 'lstn'. Did you mean 'lstm'? Allowed: lstm, none"),
        ({"agent": {"memory": None}}, "agent.memory: unknown value 'None'. Did you mean 'none'? Allowed: lstm, none"),
        ({"agent": {"gamma": 1.5}}, "agent: gamma has to be in (0, 1], got 1.5"),
        ({"agent": False}, "agent: expected keys with values, got False (bool)"),
        ({"env": "FetchPush"}, "env: expected keys with values, got 'FetchPush' (str)"),
        ({"env": {"num_envs": 0}}, "env: num_envs has to be at least 1, got 0"),
        ({"trainer": {"max_minutes": 0}}, "trainer: max_minutes has to be above 0 (or null for no limit), got 0.0"),
        ({"seed": -1}, "configuration: seed has to be at least 0, got -1"),
        ({"algorithm": "dqn"}, "no dqn"),
        ({"algorithm": 3}, "algorithm: expected text, got 3 (int)"),
    ],
)
def test_a_wrong_value_says_what_was_got_and_what_is_allowed(overlay: dict[str, Any], message: str) -> None:
    assert error(overlay) == message


def test_whole_numbers_do_for_floats_and_1e6_for_an_int() -> None:
    config = load({"agent": {"gamma": 1, "clip": 2}, "trainer": {"total_samples": 1e6}})
    assert repr(config.agent.gamma) == "1.0"
    assert repr(config.agent.clip) == "2.0"
    assert repr(config.trainer.total_samples) == "1000000"


def test_lists_become_tuples_and_null_is_none() -> None:
    config = load({"agent": {"hidden": [1, 2, 3], "clip": None, "bounds": [0, 2]}})
    assert config.agent == Agent(hidden=(1, 2, 3), clip=None, bounds=(0.0, 2.0))


def test_saved_text_gives_the_same_config() -> None:
    config = load({"agent": {"gamma": 1e-05, "hidden": []}, "env": {"dynamics": "1e-3"}, "trainer": {"max_minutes": 3}})
    assert load(parse_yaml(dump_yaml(to_dict(config)), "saved")) == config


def test_changed_keys_are_named_with_both_values() -> None:
    old = to_dict(load())
    new = to_dict(load({"agent": {"gamma": 0.9}, "seed": 4}))
    assert changed_keys(old, new) == {"agent.gamma": (0.98, 0.9), "seed": (0, 4)}
    assert changed_keys({"a": {"b": 1}}, {}) == {"a": ({"b": 1}, None)}


def test_a_field_of_an_unsupported_type_is_the_programmers_mistake() -> None:
    @dataclass(frozen=True)
    class Odd:
        x: complex = 1j

    with pytest.raises(TypeError, match=r"x: configuration fields of type .* are not supported"):
        build(Odd, {"x": 1})
