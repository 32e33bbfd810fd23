from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2real.commands import resolve
from sim2real.goals_domain import DOMAIN
from sim2real.types import FloatArray, Obs

pytest.importorskip("stable_baselines3", reason="needs the extra 'baselines'")

from sb3_peers import KEYS, PEERS, Peer, PeerPolicy, Scoring, again, build, learner_env, settings

SMALL = Peer("DDPG", {"batch_size": 8, "learning_starts": 50, "policy_kwargs": {"net_arch": [8]}}, envs=1, noise=0.2)


class Recording:
    """Does nothing and remembers the goals it was asked for."""

    def __init__(self) -> None:
        self.goals: list[FloatArray] = []

    def initial_state(self, n: int) -> tuple[()]:
        return ()

    def act(self, obs: Obs, state: Any, *, deterministic: bool) -> tuple[FloatArray, Any]:
        self.goals.append(np.asarray(obs["desired_goal"]))
        return np.zeros((len(obs["desired_goal"]), 4), np.float32), state


def options(tmp_path: Path, **changes: Any) -> argparse.Namespace:
    given = {"task": "FetchReach", "dynamics": "nominal", "seed": 3, "episodes": 5, "eval_every": 60}
    return argparse.Namespace(**{**given, "minutes": 5.0, "stop_at": 2.0, **changes})


def test_peers_are_scored_on_the_episodes_that_our_trainer_scores_on(tmp_path: Path) -> None:
    ours, theirs = Recording(), Recording()
    overrides = ["env.dynamics=nominal", "env.near_starts=0.5", "trainer.eval_episodes=5"]
    DOMAIN.training_scores(resolve("fetch_reach", overrides, seed=3))(ours)
    scoring = Scoring(options(tmp_path), lambda curve: None)
    scoring._policy = theirs  # type: ignore[assignment]
    scoring._begin = 0.0
    scoring._score()
    np.testing.assert_array_equal(ours.goals, theirs.goals)


def test_learners_see_nothing_privileged() -> None:
    env = learner_env("FetchReach", "nominal")
    assert set(env.observation_space) == set(KEYS)  # type: ignore[call-overload]
    env.close()


def test_a_short_training_is_scored_where_it_was_asked_for_and_stops_at_the_mark(tmp_path: Path) -> None:
    model = build(SMALL, "FetchReach", "nominal", seed=0)
    written: list[Any] = []
    scoring = Scoring(options(tmp_path, stop_at=0.0), written.append)
    model.learn(10_000, callback=scoring)
    assert [point["samples"] for point in scoring.points] == [60] == [model.num_timesteps]
    assert 0 < scoring.points[0]["seconds"] <= scoring.seconds() + 0.001  # points are rounded to a millisecond
    assert scoring.evaluation_seconds > 0
    assert [curve["points"] for curve in written] == [scoring.points]


def test_known_steps_are_laid_on_the_time_that_a_step_takes_here(tmp_path: Path) -> None:
    points = [{"samples": 60, "seconds": 999.0, "success": 0.4}]
    run = {"learner": "ddpg_her", "task": "FetchReach", "dynamics": "nominal", "seed": 3, "commit": "c", "command": "x"}
    path = tmp_path / "steps.json"
    path.write_text(json.dumps({**run, "points": points, "samples": 100}))
    args = options(tmp_path, peer="ddpg_her", steps_of=path, steps=10)
    curve = again(SMALL, args)
    each = curve["ms_per_step"] / 1e3
    assert curve["points"] == [{"samples": 60, "seconds": pytest.approx(60 * each, abs=1e-3), "success": 0.4}]
    assert curve["seconds"] == pytest.approx(100 * each, abs=1e-3)
    assert "projected" not in curve  # its steps were measured, so it counts among the peers that were trained
    with pytest.raises(SystemExit, match="seed 3, and 4 is asked for"):
        again(SMALL, options(tmp_path, peer="ddpg_her", steps_of=path, steps=10, seed=4))


def test_observations_are_normalised_as_in_training() -> None:
    model = build(SMALL, "FetchReach", "nominal", seed=0)
    normalize = model.get_vec_normalize_env()
    assert normalize is not None
    normalize.obs_rms["observation"].mean[:] = 1.0
    obs = {key: np.ones((2, box.shape[0])) for key, box in normalize.observation_space.items()}  # type: ignore[attr-defined]
    action, _ = PeerPolicy(model).act(obs, (), deterministic=True)
    by_hand, _ = model.policy.predict(normalize.normalize_obs(dict(obs)), deterministic=True)
    np.testing.assert_array_equal(action, by_hand)
    raw, _ = model.policy.predict(obs, deterministic=True)
    assert not np.array_equal(action, raw)


def test_settings_of_a_task() -> None:
    assert settings(PEERS["sac_her"], "FetchPush")["tau"] == 0.05
    assert settings(PEERS["sac_her"], "FetchReach")["tau"] == 0.005
    assert settings(PEERS["tqc_her"], "FetchPush")["batch_size"] == 512
