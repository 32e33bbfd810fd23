"""``policy.yaml`` against LEAPP's own reader, where that is installed (pip install leapp)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim2real.export import write_bundle
from tests.bundles import META, TASK, make_policy

leapp = pytest.importorskip("leapp", reason="LEAPP's reader is not installed: pip install leapp")


@pytest.mark.parametrize("memory", ["lstm", "gru", "history", "none"])
def test_leapp_repeats_the_golden_rollout(memory: str, tmp_path: Path) -> None:
    import torch

    write_bundle(tmp_path, make_policy(memory), META)
    manager = leapp.InferenceManager(str(tmp_path / "policy.yaml"))
    with np.load(tmp_path / "parity.npz") as file:
        golden = {name: file[name] for name in file.files}
    scale = np.array(TASK.action_scale, np.float32)
    previous = np.zeros(4, np.float32)
    for t, readings in enumerate(golden["readings"]):
        if golden["step"][t] == 0:
            manager.reset()
            previous = np.zeros(4, np.float32)
        obs = torch.from_numpy(np.concatenate([readings, previous])[None])
        action = manager({"policy/obs": obs})["policy/actions"].numpy(force=True)[0]
        np.testing.assert_allclose(action / scale, golden["actions"][t] / scale, atol=1e-5)
        previous = np.clip(action / scale, -1, 1)
