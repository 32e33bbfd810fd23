from __future__ import annotations

import pytest
import torch

import module_maml
from few_shot import CONFIGS, Noise
from sim2real.agents.maml import MAML
from sim2real.agents.maml_config import MAMLConfig
from sim2real.envs.fewshot import SinusoidSource


@pytest.mark.parametrize("problem", ["sinusoid", "omniglot"])
def test_the_loop_over_modules_computes_the_same_meta_gradient(problem: str) -> None:
    """Otherwise the benchmark would compare two different things."""
    torch.manual_seed(0)
    source = SinusoidSource(10, 10, seed=1) if problem == "sinusoid" else Noise()
    options = {**vars(CONFIGS[problem]), "filters": 4, "hidden": (8, 8), "weight_std": 0.3}
    maml = MAML(MAMLConfig(**options), source, seed=0, device="cpu")
    module = module_maml.as_modules(maml.policy.network)
    tasks = source.sample(3)
    loss = module_maml.meta_loss(module, tasks, maml.config.inner_rate, source.task.kind)
    loss.backward()  # type: ignore[no-untyped-call]
    ours = maml.meta_update(tasks)
    torch.testing.assert_close(ours["loss/query"], loss.detach(), rtol=1e-4, atol=1e-5)
    weights = [p for p in maml.policy.network.parameters() if p.dim() > 1]
    of_modules = [p for p in module.parameters() if p.dim() > 1]
    torch.testing.assert_close([p.grad for p in weights], [p.grad for p in of_modules], rtol=1e-3, atol=1e-4)
