from __future__ import annotations

import torch

from sim2real.envs.fewshot import SinusoidSource


def test_a_task_is_one_sinusoid() -> None:
    batch = SinusoidSource(5, 7, seed=1).sample(100)
    assert batch.support.inputs.shape == (100, 5, 1) and batch.query.targets.shape == (100, 7, 1)
    amplitude, phase = batch.parameters[:, 0, None, None], batch.parameters[:, 1, None, None]
    for part in (batch.support, batch.query):
        torch.testing.assert_close(part.targets, amplitude * torch.sin(part.inputs - phase))
        assert float(part.inputs.abs().max()) <= 5.0


def test_tasks_cover_the_published_ranges() -> None:
    batch = SinusoidSource(5, 5, seed=2).sample(4000)
    low, high = batch.parameters.min(0).values, batch.parameters.max(0).values
    torch.testing.assert_close(low, torch.tensor([0.1, 0.0]), atol=0.02, rtol=0)
    torch.testing.assert_close(high, torch.tensor([5.0, 3.1416]), atol=0.02, rtol=0)
    # The mean of the amplitudes is 2.55, and a mean of 4000 is off by 1.4 / 63 = 0.02.
    assert abs(float(batch.parameters[:, 0].mean()) - 2.55) < 0.1


def test_a_source_continues_where_it_was() -> None:
    source, resumed = SinusoidSource(5, 5, seed=3), SinusoidSource(5, 5, seed=4)
    source.sample(3)
    resumed.load_state_dict(source.state_dict())
    assert torch.equal(source.sample(2).query.targets, resumed.sample(2).query.targets)
    assert not torch.equal(source.sample(2).query.targets, SinusoidSource(5, 5, seed=3).sample(2).query.targets)


def test_an_oracle_is_told_the_task() -> None:
    batch = SinusoidSource(5, 5, seed=1, reveal=True).sample(10)
    x, amplitude, phase = batch.query.inputs.unbind(-1)
    torch.testing.assert_close(batch.query.targets[..., 0], amplitude * torch.sin(x - phase))
    assert torch.equal(amplitude[:, 0], batch.parameters[:, 0])
