"""The LSTM meta-learner: gradient descent as a special case, batch norm by task, and that it learns."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.testing import assert_close

from sim2real.agents.episodic import EpisodicConfig, episodic
from sim2real.agents.meta_lstm import MetaLSTM, MetaLSTMConfig
from sim2real.few_shot_types import FewShotSpec
from tests.agents.clusters import Clusters
from tests.agents.lines import Lines

IMAGES = {"filters": 4, "units": 4, "updates": 3}


def as_gradient_descent(meta: MetaLSTM, rate: float) -> None:
    """b_F -> +inf, b_I fixed, no weights on what the gates read."""
    rule = meta.rule
    for parameter in (rule.forget_weight, rule.forget_own, rule.input_weight, rule.input_own):
        nn.init.zeros_(parameter)
    nn.init.constant_(rule.forget_bias, 50.0)
    nn.init.constant_(rule.input_bias, math.log(rate / (1 - rate)))


def test_with_fixed_gates_a_task_is_learned_by_gradient_descent() -> None:
    meta = MetaLSTM(MetaLSTMConfig(hidden=(8,), updates=4), Lines(0).task)
    as_gradient_descent(meta, 0.05)
    batch = Lines(3).sample(2)
    predicted = meta.adapt(batch.support).predict(batch.query.inputs)
    assert list(predicted) == [f"step_{k}" for k in range(5)]
    for task in range(2):
        plain = copy.deepcopy(meta.network)
        optimizer = torch.optim.SGD(plain.parameters(), lr=0.05)
        for k in range(5):
            assert_close(predicted[f"step_{k}"][task], plain(batch.query.inputs[task]))
            optimizer.zero_grad()
            mse_loss(plain(batch.support.inputs[task]), batch.support.targets[task]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def test_the_meta_gradient_is_first_order() -> None:
    # With fixed gates d theta_T / d theta_0 is the identity: the query gradient at the adapted parameters.
    meta = MetaLSTM(MetaLSTMConfig(hidden=(8,), updates=3), Lines(0).task)
    as_gradient_descent(meta, 0.05)
    batch = Lines(3).sample(1)
    meta.loss(batch)[0].backward()  # type: ignore[no-untyped-call]
    plain = copy.deepcopy(meta.network)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        mse_loss(plain(batch.support.inputs[0]), batch.support.targets[0]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    slopes = torch.autograd.grad(
        mse_loss(plain(batch.query.inputs[0]), batch.query.targets[0]), list(plain.parameters())
    )
    assert_close([p.grad for p in meta.network.parameters()], list(slopes))


def test_it_learns_to_regress() -> None:
    config = MetaLSTMConfig(
        hidden=(16,),
        updates=4,
        input_bias=(-3.0, -2.0),
        training=EpisodicConfig(learning_rate=1e-2, tasks_per_update=16, max_grad_norm=0.25),
    )
    algorithm = episodic(MetaLSTM)(config, Lines(0), seed=0, device="cpu")
    for _ in range(100):
        algorithm.collect()
        algorithm.update()
    batch = Lines(9).sample(100)
    predicted = algorithm.policy.adapt(batch.support).predict(batch.query.inputs)
    errors = {name: float(mse_loss(y, batch.query.targets)) for name, y in predicted.items()}
    assert errors["step_4"] < 0.6 * float(batch.query.targets.square().mean())
    assert errors["step_4"] < 0.5 * errors["step_0"]


def _with(**options: Any) -> MetaLSTM:
    torch.manual_seed(0)
    return MetaLSTM(MetaLSTMConfig(**{**IMAGES, **options}), Clusters((1, 16, 16)).task).eval()


def test_statistics_are_those_of_the_support_set_and_forgotten_with_the_task() -> None:
    meta, tasks = _with(), Clusters((1, 16, 16)).sample(2)
    before = {name: value.clone() for name, value in meta.state_dict().items()}
    predictor = meta.adapt(tasks.support)
    together = predictor.predict(tasks.query.inputs)["step_3"]
    assert_close(predictor.predict(tasks.query.inputs[:, :1])["step_3"], together[:, :1])
    assert all(torch.equal(before[name], value) for name, value in meta.state_dict().items())
    alone = meta.adapt(tasks[1:].support).predict(tasks[1:].query.inputs)["step_3"]
    assert_close(alone, together[1:])
    mean, variance = (predictor.path[1][1][f"0.layers.1.running_{name}"][0] for name in ("mean", "var"))
    first = meta.network[0].layers[0](tasks.support.inputs[0])  # type: ignore[index]
    assert_close(mean, 0.9 * first.mean((0, 2, 3)))
    assert_close(variance, 0.1 + 0.9 * first.var((0, 2, 3)))


def test_transductive_statistics_are_those_of_the_query_set() -> None:
    meta, tasks = _with(test_statistics="query"), Clusters((1, 16, 16)).sample(1)
    predictor = meta.adapt(tasks.support)
    together = predictor.predict(tasks.query.inputs)["step_3"]
    assert not torch.allclose(predictor.predict(tasks.query.inputs[:, :3])["step_3"], together[:, :3])
    again = predictor.predict(tasks.query.inputs)
    assert_close(again["step_3"], together)  # nothing is gathered while predicting
    assert list(again) == ["query_statistics", "support_statistics", "step_0", "step_1", "step_2", "step_3"]
    assert_close(again["query_statistics"], together)
    assert_close(again["support_statistics"], _with().adapt(tasks.support).predict(tasks.query.inputs)["step_3"])


def test_vectors_go_together_and_give_what_they_give_alone() -> None:
    meta = MetaLSTM(MetaLSTMConfig(hidden=(8,), updates=3), Lines(0).task)
    batch = Lines(3).sample(3)
    together = meta.adapt(batch.support).predict(batch.query.inputs)["step_3"]
    for k in range(3):
        alone = meta.adapt(batch[k : k + 1].support).predict(batch[k : k + 1].query.inputs)["step_3"]
        assert_close(alone, together[k : k + 1])


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="updates and units have to be at least 1, got 0 and 20"):
        MetaLSTMConfig(updates=0)


def test_its_size_follows_the_task() -> None:
    meta = MetaLSTM(MetaLSTMConfig(), FewShotSpec("omniglot", "classification", (1, 28, 28), 5, 1, 5))
    assert sum(p.numel() for p in meta.network.parameters()) == 9 * 32 + 3 * 9 * 32 * 32 + 4 * 64 + 32 * 5 + 5
