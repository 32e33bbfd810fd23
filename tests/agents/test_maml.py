from __future__ import annotations

from typing import Any

import pytest
import torch

from sim2real.agents.few_shot_networks import TaskMLP
from sim2real.agents.maml import MAML
from sim2real.agents.maml_config import MAMLConfig
from sim2real.config import ConfigError, build
from sim2real.few_shot_types import Examples, FewShotSpec, TaskBatch
from sim2real.types import State
from tests.agents.clusters import Clusters


class Lines:
    """Regression tasks ``y = a x + b``: one gradient step can't fit them, a few can."""

    def __init__(self) -> None:
        self.task = FewShotSpec("lines", "regression", (1,), 1, 4, 4, parameter_size=2)
        self._draw = torch.Generator().manual_seed(1)

    def sample(self, tasks: int) -> TaskBatch:
        line = torch.randn(tasks, 2, generator=self._draw)
        x = torch.rand(tasks, 8, 1, generator=self._draw) * 2 - 1
        y = line[:, None, :1] * x + line[:, None, 1:]
        return TaskBatch(Examples(x[:, :4], y[:, :4]), Examples(x[:, 4:], y[:, 4:]), line)

    def to(self, device: torch.device) -> None:
        pass

    def state_dict(self) -> State:
        return {"draw": self._draw.get_state()}

    def load_state_dict(self, state: State) -> None:
        self._draw.set_state(state["draw"])


def learner(source: Any = None, **options: Any) -> MAML:
    settings = {
        "hidden": [8],
        "weight_std": 0.3,
        "meta_batch": 4,
        "updates_per_collect": 2,
        "inner_rate": 0.1,
    } | options
    return MAML(build(MAMLConfig, settings), source or Lines(), seed=0, device="cpu")


def meta_gradients(source: Any = None, **options: Any) -> list[torch.Tensor]:
    """The meta-gradient of the first batch, in initial parameters and rates."""
    maml = learner(source, **options)
    maml.meta_update(maml.source.sample(4))
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in maml.policy.parameters()]


@pytest.mark.parametrize("options", [{}, {"learn_rates": True}, {"adapted": "head"}, {"inner_steps": 3}])
def test_hessian_vector_products_give_the_same_update(options: dict[str, Any]) -> None:
    plain, products = (meta_gradients(order=order, **options) for order in ("second", "hessian_vector"))
    assert all(float(g.abs().max()) > 0 for g in plain)
    torch.testing.assert_close(products, plain, rtol=1e-4, atol=1e-6)


def test_the_multi_step_loss_has_the_mean_of_the_steps_gradients() -> None:
    one, two = (meta_gradients(inner_steps=k) for k in (1, 2))
    both = meta_gradients(inner_steps=2, query_steps="all")
    torch.testing.assert_close(both, [(a + b) / 2 for a, b in zip(one, two, strict=True)], rtol=1e-4, atol=1e-6)
    assert not torch.allclose(both[0], two[0])


def test_the_multi_step_loss_has_no_form_by_products() -> None:
    with pytest.raises(ConfigError, match="query_steps"):
        learner(query_steps="all", order="hessian_vector")


@pytest.mark.parametrize("options", [{}, {"order": "first"}, {"learn_rates": True}, {"order": "hessian_vector"}])
@pytest.mark.parametrize("form", ["auto", "vmap"])
def test_all_tasks_at_once_give_the_update_of_the_loop(options: dict[str, Any], form: str) -> None:
    torch.testing.assert_close(
        meta_gradients(form=form, **options), meta_gradients(form="loop", **options), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("statistics", ["transductive", "support"])
def test_images_at_once_give_the_update_of_the_loop(statistics: str) -> None:
    options = {"filters": 4, "statistics": statistics}
    at_once, looped = (
        meta_gradients(Clusters((1, 16, 16), ways=3, shots=2, queries=2), form=form, **options)
        for form in ("auto", "loop")
    )
    torch.testing.assert_close(at_once, looped, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("order", ["second", "hessian_vector"])
def test_parts_of_a_batch_add_up(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = meta_gradients(order=order)
    monkeypatch.setattr(TaskMLP, "together", 3)  # 3 tasks and 1
    torch.testing.assert_close(meta_gradients(order=order), whole, rtol=1e-5, atol=1e-7)


def test_first_order_is_the_gradient_at_the_adapted_point() -> None:
    maml = learner(order="first")
    tasks = maml.source.sample(4)
    loss = torch.zeros(())
    start = {n: p.detach().clone() for n, p in maml.policy.network.named_parameters()}
    leaves = []
    for k in range(4):
        adapted = {n: p.clone().requires_grad_() for n, p in start.items()}
        support = maml.policy.network.compute(adapted, tasks.support.inputs[k]) - tasks.support.targets[k]
        slopes = torch.autograd.grad(support.square().mean(), list(adapted.values()))
        there = {n: (p - 0.1 * g).detach().requires_grad_() for (n, p), g in zip(adapted.items(), slopes, strict=True)}
        query = maml.policy.network.compute(there, tasks.query.inputs[k]) - tasks.query.targets[k]
        loss = loss + query.square().mean() / 4
        leaves.append(there)
    loss.backward()  # type: ignore[no-untyped-call]
    maml.meta_update(tasks)
    for name, parameter in maml.policy.network.named_parameters():
        expected = sum(there[name].grad for there in leaves)  # type: ignore[misc]  # every leaf has one
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-6)


def test_the_head_alone_is_adapted() -> None:
    policy = learner(adapted="head").policy
    batch = Lines().sample(2)
    before, *_, after = policy.adapt(batch.support).path
    assert [n for n in before if not torch.equal(before[n], after[n])] == ["weight_1", "bias_1"]


def test_the_inner_loop_leaves_the_shift_of_the_normalisation_alone() -> None:
    source = Clusters((1, 16, 16), ways=3, shots=2, queries=2)
    maml = learner(source, filters=4)
    before, *_, after = maml.policy.adapt(source.sample(2).support).path
    same = [n for n in before if torch.equal(before[n], after[n])]
    assert same == [f"shift_{k}" for k in range(4)]


def test_rates_are_learned() -> None:
    maml = learner(learn_rates=True)
    maml.collect()
    maml.update()
    assert all(not torch.equal(rate, torch.full_like(rate, 0.1)) for rate in maml.policy.learned_rates.values())


def test_meta_training_lowers_the_error_after_adapting_and_pretraining_does_not() -> None:
    def after_training(**options: Any) -> list[float]:
        maml = learner(updates_per_collect=150, meta_batch=16, learning_rate=1e-2, test_steps=2, **options)
        maml.collect()
        maml.update()
        batch = Lines().sample(200)
        predicted = maml.policy.adapt(batch.support).predict(batch.query.inputs)
        return [float((outputs - batch.query.targets).square().mean()) for outputs in predicted.values()]

    meta, pretrained = after_training(inner_steps=2), after_training(inner_steps=0)
    assert meta[2] < 0.5 * pretrained[2] and meta[2] < 0.5 * meta[0]


def test_a_prediction_with_support_statistics_does_not_depend_on_other_queries() -> None:
    source = Clusters((1, 16, 16), ways=3, shots=2, queries=2)
    batch = source.sample(2)
    alone: dict[str, bool] = {}
    for statistics in ("transductive", "support"):
        predictor = learner(source, filters=4, statistics=statistics).policy.adapt(batch.support)
        all_of_them, one = predictor.predict(batch.query.inputs), predictor.predict(batch.query.inputs[:, :1])
        alone[statistics] = torch.allclose(all_of_them["step_10"][:, :1], one["step_10"], atol=1e-4)
    assert alone == {"transductive": False, "support": True}


def test_the_outer_rate_falls_to_a_hundredth() -> None:
    maml = learner(anneal_samples=16, learning_rate=0.1)
    for _ in range(3):
        maml.collect()
        maml.update()
    assert maml.optimizer.param_groups[0]["lr"] == pytest.approx(0.001)


@pytest.mark.parametrize("wrong", [{"meta_batch": 0}, {"inner_steps": -1}, {"learn_rates": True, "inner_steps": 0}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"has to be at least|needs inner_steps"):
        build(MAMLConfig, wrong)
