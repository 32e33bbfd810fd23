from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sim2real.agents.rdpg_config import RDPGConfig
from sim2real.config import EnvConfig, ExperimentConfig, TrainerConfig
from sim2real.errors import UserError
from sim2real.policy_kinds import PolicyKind, policy_kinds

LSTM = ExperimentConfig(env=EnvConfig(task="FetchPush"), agent=RDPGConfig(memory="lstm"))
NONE = dataclasses.replace(LSTM, agent=RDPGConfig(memory="none"))


def seed(config: ExperimentConfig, number: int) -> ExperimentConfig:
    return dataclasses.replace(config, seed=number)


def test_seeds_of_one_recipe_are_one_kind() -> None:
    # Where it was computed and how often it was looked at decide nothing.
    elsewhere = dataclasses.replace(
        seed(LSTM, 1),
        device="cpu",
        threads=2,
        env=dataclasses.replace(LSTM.env, threads=7),
        trainer=TrainerConfig(eval_every=5, save_every=9),
    )
    runs = [(Path("runs/push_s0"), LSTM), (Path("runs/ff_s0"), NONE), (Path("runs/push_s1"), elsewhere)]
    assert policy_kinds(runs, []) == [
        PolicyKind("push", (Path("runs/push_s0"), Path("runs/push_s1")), "FetchPush", "lstm", "train"),
        PolicyKind("ff", (Path("runs/ff_s0"),), "FetchPush", "none", "train"),
    ]


def test_what_decides_a_policy_makes_another_kind() -> None:
    others = (
        dataclasses.replace(LSTM, env=dataclasses.replace(LSTM.env, dynamics="nominal")),
        dataclasses.replace(LSTM, trainer=TrainerConfig(total_samples=7)),
        dataclasses.replace(LSTM, trainer=TrainerConfig(max_minutes=7)),
        dataclasses.replace(LSTM, trainer=TrainerConfig(eval_dynamics="nominal")),
        dataclasses.replace(LSTM, agent=RDPGConfig(memory="lstm", gamma=0.9)),
    )
    for other in others:
        kinds = policy_kinds([(Path("a_s0"), LSTM), (Path("b/a_s1"), seed(other, 1))], [])
        assert [kind.name for kind in kinds] == ["a", "a (2)"]


def test_the_same_seed_twice_would_count_twice() -> None:
    with pytest.raises(UserError, match="a and b are the same configuration and seed 0: it would count twice"):
        policy_kinds([(Path("a"), LSTM), (Path("b"), LSTM)], [])


def test_tasks_can_not_be_mixed() -> None:
    reach = dataclasses.replace(LSTM, env=EnvConfig(task="FetchReach"))
    with pytest.raises(UserError, match="a does FetchPush, b does FetchReach"):
        policy_kinds([(Path("a"), LSTM), (Path("b"), reach)], [])


def test_a_bundle_is_a_kind_of_its_own() -> None:
    kinds = policy_kinds([(Path("x/push_s0"), LSTM)], [(Path("bundles/push"), "FetchPush")])
    assert [(kind.name, kind.memory) for kind in kinds] == [("push", "lstm"), ("push (2)", "")]
