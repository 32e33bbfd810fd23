from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sim2real import search_children
from sim2real.config import ConfigError, build, to_dict
from sim2real.result_cache import Numbers
from sim2real.search_children import FILE, Child, Children, SearchConfig, space_of

COUNTED: list[int] = []


def formula(children: Sequence[Child]) -> list[Numbers]:
    """Stands for a training: the more adds, the better."""
    COUNTED.extend(child.seed for child in children)
    if any(child.labels["cell_from"] == "2" for child in children):
        raise RuntimeError("killed")
    return [{"reward": sum(label == "add" for label in child.labels.values()) / 4} for child in children]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Children:
    COUNTED.clear()
    monkeypatch.setattr(search_children, "train_children", formula)
    return Children(SearchConfig(workers=1), seed=7)


ADDS, PRODUCTS = (0,) * 10, (1, 0) * 4 + (0, 0)


def test_no_child_is_trained_twice(source: Children) -> None:
    scored = source.score([ADDS, PRODUCTS, ADDS])
    assert scored.rewards.tolist() == [1.0, 0.0, 1.0] and scored.trained == 2
    assert source.score([PRODUCTS]).trained == 0
    assert COUNTED == [7, 7]


def test_what_was_scored_before_a_crash_is_not_lost(
    source: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_children, "SIDE_BY_SIDE", 1)
    source.keep_in(tmp_path)
    with pytest.raises(RuntimeError, match="killed"):
        source.score([ADDS, (*PRODUCTS[:8], 2, 0), PRODUCTS])
    assert len((tmp_path / FILE).read_text().splitlines()) == 1
    resumed = Children(SearchConfig(workers=1), seed=7)
    resumed.keep_in(tmp_path)
    assert resumed.score([ADDS, PRODUCTS]).trained == 1


def test_a_score_belongs_to_settings_and_seed_and_not_to_the_machine() -> None:
    spec = space_of(SearchConfig())
    labels = spec.decode(ADDS)
    key = Child(SearchConfig(), labels, 0).key()
    assert Child(SearchConfig(workers=9, data="elsewhere"), labels, 0).key() == key
    assert Child(SearchConfig(), labels, 1).key() != key
    other = build(SearchConfig, {"cells": {"updates": 3}})
    assert Child(other, labels, 0).key() != key


def test_networks_that_are_the_same_share_a_score() -> None:
    config = SearchConfig(space="policy")
    labels = space_of(config).decode((0, 0, 0, 0, 0, 0))
    assert Child(config, labels, 0).key() == Child(config, {**labels, "embedding": "128"}, 0).key()
    assert Child(config, labels, 0).key() != Child(config, {**labels, "memory": "gru"}, 0).key()


def test_weights_are_shared_by_cells_alone() -> None:
    with pytest.raises(ConfigError, match=r"env.space: weights are shared in cells alone, got policy"):
        Children(SearchConfig(space="policy"), seed=0).shared_weights(0)


def test_only_narrows_the_space() -> None:
    config = build(SearchConfig, {"only": {"inject_combine": ["add"], "cell_from": ["0"]}})
    assert space_of(config).size == space_of(SearchConfig()).size // 2 // 3
    assert build(SearchConfig, to_dict(config)) == config
    with pytest.raises(ConfigError, match=r"env.only: unknown choice of cell_from '9'"):
        space_of(build(SearchConfig, {"only": {"cell_from": ["9"]}}))
