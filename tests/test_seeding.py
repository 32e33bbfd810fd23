from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from sim2real.seeding import component_seed, numpy_generator, torch_generator

ROOT = Path(__file__).resolve().parent.parent


def test_the_same_seed_and_name_give_the_same_numbers() -> None:
    np.testing.assert_array_equal(numpy_generator(3, "walk").random(5), numpy_generator(3, "walk").random(5))
    assert torch.equal(
        torch.rand(5, generator=torch_generator(3, "walk")), torch.rand(5, generator=torch_generator(3, "walk"))
    )


def test_seeds_and_names_are_independent() -> None:
    draws = [numpy_generator(seed, name).random(1000) for seed in (0, 1) for name in ("walk", "noise")]
    correlation = np.corrcoef(draws) - np.eye(4)
    # 1000 pairs: a correlation of 0.15 is 4.7 standard errors.
    assert np.abs(correlation).max() < 0.15
    assert len({component_seed(seed, name) for seed in range(50) for name in ("a", "b")}) == 100


def test_component_seeds_fit_a_signed_64_bit_integer() -> None:
    seeds = [component_seed(0, str(i)) for i in range(2000)]
    assert min(seeds) >= 0
    assert 2**62 < max(seeds) < 2**63


def test_numbers_do_not_change_between_processes_and_versions() -> None:
    code = "from sim2real.seeding import component_seed; print(component_seed(7, 'weights'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(other.stdout) == component_seed(7, "weights") == 4072126795191003592
