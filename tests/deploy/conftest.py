from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path

import pytest

from sim2real.export import write_bundle
from sim2real.golden import episode_readings
from tests.bundles import META, make_policy
from tests.toys import PointReach


@pytest.fixture(scope="session")
def lstm_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with an LSTM; not to be written to."""
    folder = tmp_path_factory.mktemp("lstm_bundle")
    write_bundle(folder, make_policy("lstm"), META)
    return folder


@pytest.fixture
def broken(lstm_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the bundle for tests to damage."""
    return Path(shutil.copytree(lstm_bundle, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def point_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of an untrained policy for `tests.toys.PointReach`, as `point_env` scales it; not to be written to."""
    folder = tmp_path_factory.mktemp("point_folder")
    readings = functools.partial(episode_readings, point_env())
    write_bundle(folder, make_policy("lstm", point_env().task), META, readings=readings)
    return folder


def point_env(num_envs: int = 1) -> PointReach:
    """A point on a line whose command is a displacement of up to 0.3 m."""
    env = PointReach(num_envs, hidden_sign=False)
    action = (dataclasses.replace(env.task.action[0], kind="target/body/displacement"),)
    env.task = dataclasses.replace(env.task, action=action, action_scale=(0.3,))
    return env
