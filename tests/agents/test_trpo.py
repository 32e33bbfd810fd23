from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from sim2real.agents import trpo
from sim2real.agents.trpo import TrustRegionConfig


def quadratic(seed: int = 0, size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return root @ root.T + torch.eye(size, dtype=torch.float64), torch.randn(size, generator=generator).double()


def test_conjugate_gradients_agree_with_a_direct_solve() -> None:
    matrix, b = quadratic()
    x = trpo.conjugate_gradient(lambda v: matrix @ v, b, iterations=20, tolerance=1e-24)
    torch.testing.assert_close(x, torch.linalg.solve(matrix, b), atol=1e-10, rtol=0)


def test_flatten_and_back() -> None:
    tree = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(7.0)}
    assert trpo.flatten(tree).tolist() == [0, 1, 2, 3, 4, 5, 7]
    back = trpo.unflatten(trpo.flatten(tree), tree)
    assert all(torch.equal(back[name], tree[name]) for name in tree)


@pytest.mark.parametrize(("hessian", "atol"), [("double_backward", 1e-12), ("finite_differences", 1e-8)])
def test_hessian_vector_products_of_a_known_function(hessian: str, atol: float) -> None:
    # f = x^2 y + exp(y): Hessian ((2 y, 2 x), (2 x, exp(y)))
    params = {"x": torch.tensor([2.0]).double(), "y": torch.tensor([0.5]).double()}
    product = trpo.HESSIANS[hessian](lambda p: (p["x"] ** 2 * p["y"] + p["y"].exp()).sum(), params)
    v = torch.tensor([1.0, -3.0]).double()
    full = torch.tensor([[1.0, 4.0], [4.0, 0.0]]).double()
    full[1, 1] = torch.tensor(0.5).double().exp()
    torch.testing.assert_close(product(v), full @ v, atol=atol, rtol=0)
    assert torch.equal(product(torch.zeros(2).double()), torch.zeros(2).double())


def test_the_step_on_a_linear_surrogate_is_the_natural_gradient() -> None:
    # Minimise b.x within x.H.x / 2 <= d: x = -H^-1 b * sqrt(2 d / b.H^-1.b), and the KL is d exactly.
    matrix, b = quadratic(seed=1)
    start = {"x": torch.zeros(6, dtype=torch.float64)}
    config = TrustRegionConfig(max_kl=0.02, cg_iterations=50, damping=0.0)
    slack = 1e-12  # else rounding decides whether the KL is within the limit
    step = trpo.trust_region_step(start, lambda p: (b @ p["x"], p["x"] @ matrix @ p["x"] / 2 - slack), config)
    natural = torch.linalg.solve(matrix, b)
    expected = -natural * (2 * 0.02 / (b @ natural)).sqrt()
    assert step.accepted
    assert step.kl == pytest.approx(0.02)
    assert step.improvement == pytest.approx(-float(b @ expected), rel=1e-6)
    torch.testing.assert_close(step.params["x"], expected, rtol=1e-6, atol=0)


def test_the_line_search_walks_back() -> None:
    # Curvature 1 at 0, so the full step for max_kl 0.5 is 1. Real KL x^2 / 2 + x^4: 0.8^k has to come below 0.5.
    # k = 2: 0.64 -> 0.2048 + 0.1678 = 0.3726; k = 1: 0.8 -> 0.32 + 0.41 = 0.73
    step = trpo.trust_region_step(
        {"x": torch.zeros(1, dtype=torch.float64)},
        lambda p: (p["x"].sum(), (p["x"] ** 2 / 2 + p["x"] ** 4).sum()),
        TrustRegionConfig(max_kl=0.5, damping=0.0),
    )
    assert float(step.params["x"]) == pytest.approx(-0.64)
    assert step.kl == pytest.approx(0.3726, abs=1e-4)


@pytest.mark.parametrize("loss", ["worse everywhere", "flat"])
def test_parameters_stay_where_nothing_is_better(loss: str) -> None:
    start = {"x": torch.zeros(1, dtype=torch.float64)}
    losses = {"worse everywhere": lambda p: (p["x"] + 1e6 * p["x"].abs()).sum(), "flat": lambda p: (0 * p["x"]).sum()}
    step = trpo.trust_region_step(start, lambda p: (losses[loss](p), (p["x"] ** 2).sum()), TrustRegionConfig())
    assert not step.accepted
    assert torch.equal(step.params["x"], start["x"])


@pytest.mark.parametrize("options", [{"max_kl": 0.0}, {"backtrack_ratio": 1.0}, {"cg_iterations": 0}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"has to be|have to be"):
        TrustRegionConfig(**options)  # type: ignore[arg-type]


def test_a_step_agrees_with_sb3_contrib() -> None:
    """One update of ``sb3_contrib.TRPO`` on its own rollout, and ours on the same one, from the same weights."""
    from sb3_contrib import TRPO

    model = TRPO("MlpPolicy", "CartPole-v1", n_steps=256, n_critic_updates=0, seed=0, device="cpu", target_kl=0.02)
    _, callback = model._setup_learn(256)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, 256)  # type: ignore[arg-type]
    batch = next(model.rollout_buffer.get(None))
    policy = copy.deepcopy(model.policy)
    model.train()

    names = [n for n, _ in policy.named_parameters() if "policy_net" in n or "action_net" in n]
    start = {name: dict(policy.named_parameters())[name].detach() for name in names}
    advantage = (batch.advantages - batch.advantages.mean()) / (batch.advantages.std() + 1e-8)

    def distribution(params: trpo.Params) -> Categorical:
        hidden = batch.observations
        for layer in ("mlp_extractor.policy_net.0", "mlp_extractor.policy_net.2"):
            hidden = torch.tanh(hidden @ params[f"{layer}.weight"].T + params[f"{layer}.bias"])
        return Categorical(logits=hidden @ params["action_net.weight"].T + params["action_net.bias"])

    old = distribution(start)

    def loss(params: trpo.Params) -> Tensor:
        log_prob: Tensor = distribution(params).log_prob(batch.actions.flatten())  # type: ignore[no-untyped-call]
        return -((log_prob - batch.old_log_prob).exp() * advantage).mean()

    config = TrustRegionConfig(max_kl=0.02, cg_iterations=15, damping=0.1, max_backtracks=10)
    step = trpo.trust_region_step(start, lambda p: (loss(p), kl_divergence(old, distribution(p)).mean()), config)
    theirs = dict(model.policy.named_parameters())
    moved = max(float((theirs[name] - start[name]).detach().abs().max()) for name in names)
    assert step.accepted
    assert moved > 0.01
    for name in names:
        torch.testing.assert_close(step.params[name], theirs[name].detach(), atol=1e-3 * moved, rtol=0)
