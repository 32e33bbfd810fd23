from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim2real.deploy import BundlePolicy, load_bundle
from sim2real.deploy.__main__ import main
from sim2real.deploy.step_log import read_step_log
from sim2real.evaluate import evaluate
from tests.deploy import fake_ros
from tests.deploy.conftest import point_env

Run = Callable[..., int]


@pytest.fixture
def run(point_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on the point's bundle, in an empty folder, with the point as the simulation."""
    monkeypatch.chdir(tmp_path)
    asked = []

    def simulator(env: str, dynamics: str) -> Any:
        asked.append((env, dynamics))
        return point_env()

    def run(*args: str, **options: Any) -> int:
        return main([str(point_folder), *args], **{"prog": "sim2real run", "simulator": simulator, **options})

    run.asked = asked  # type: ignore[attr-defined]
    return run


def write(name: str, content: Any) -> str:
    Path(name).write_text(content if isinstance(content, str) else json.dumps(content))
    return name


# ---- robots ----------------------------------------------------------------------------------------------------------


def test_sim_gives_what_the_evaluation_gives(run: Any, point_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--robot", "sim", "--episodes", "7", "--seed", "4", "--json", "summary.json") == 0
    expected = evaluate(BundlePolicy(load_bundle(point_folder)), point_env(), episodes=7, seed=4)
    lines = capsys.readouterr().out.splitlines()
    words = ["success" if s else "failure" for s in expected.success]
    assert [line.split(": ")[1].split(",")[0] for line in lines[:7]] == words
    assert lines[0].startswith("episode    1/7: ")
    assert lines[7] == f"success {int(expected.success.sum())}/7 = {expected.success.mean():.3f}"
    assert lines[8].startswith("56 steps of 40 ms; work p50 ")
    summary = json.loads(Path("summary.json").read_text())
    # The evaluator keeps float32.
    np.testing.assert_allclose([e["distance"] for e in summary["episodes"]], expected.final_distance, rtol=1e-6)
    assert (summary["work"]["steps"], summary["latches"], summary["reasons"]) == (56, 0, {"started": 7})
    assert run.asked == [("Toy", "nominal")]


def test_env_alone_means_sim_and_steps_end_it(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--env", "sim2real/Point-v0", "--dynamics", "unseen", "--steps", "10", "--log", "steps.jsonl") == 0
    assert run.asked == [("sim2real/Point-v0", "unseen")]
    out = capsys.readouterr().out
    assert "episode    1: " in out
    assert "episode    2" not in out  # it was not over
    log = read_step_log("steps.jsonl")
    assert len(log.now) == 10
    assert log.header["robot"] == "sim"
    # The log, replayed: the same commands.
    assert run("--robot", "replay", "--from", "steps.jsonl") == 0
    assert "10 commands compared with the recorded ones: largest difference 0.0e+00" in capsys.readouterr().out


def test_replay_proves_the_bundle_and_goes_round(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--robot", "replay", "--steps", "130") == 0
    out = capsys.readouterr().out
    assert "130 commands compared" in out
    assert "allowed are 1e-05" in out
    # What the golden rollout did, halved by a low-pass, is something else.
    assert run("--robot", "replay", "--safety", write("slow.json", {"low_pass": 0.5, "ramp_steps": 0})) == 1


def test_a_log_is_never_written_over(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--robot", "replay", "--steps", "5", "--log", "steps.jsonl") == 0
    before = Path("steps.jsonl").read_text()
    assert run("--robot", "replay", "--from", "steps.jsonl", "--log", "steps.jsonl") == 2
    assert "--log steps.jsonl is there already, from another run; give another name" in capsys.readouterr().err
    assert Path("steps.jsonl").read_text() == before


def test_a_dry_run_moves_nothing(run: Run) -> None:
    assert run("--robot", "sim", "--episodes", "1", "--dry-run", "--log", "steps.jsonl") == 0
    log = read_step_log("steps.jsonl")
    assert (log.readings[:, 0] == log.readings[0, 0]).all()
    assert np.abs(log.sent).max() > 0


def test_a_latch_is_told_and_is_the_exit_code(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    safety = write("safety.json", {"reading_ranges": {"obs_0": [7, 8]}, "timeout_s": 0.1, "max_observation_age_s": 0.1})
    assert run("--robot", "sim", "--episodes", "1", "--safety", safety) == 0  # never started: nothing to latch
    assert "waiting 8" in capsys.readouterr().out
    monkeypatch.setattr("sys.path", list(sys.path))
    write("stuck_robot.py", OWN.replace("time.monotonic() % 1", "0.5"))
    safety = write("safety.json", {"max_faults": 1, "fault_window": 1, "frozen_steps": 1, "ramp_steps": 0})
    stuck = ("--robot", "stuck_robot:Still", "--steps", "9", "--safety", safety)
    assert run(*stuck, "--dry-run") == 0  # nothing was sent, so nothing had to move
    assert "latched" not in capsys.readouterr().err
    assert run(*stuck) == 1
    out, err = capsys.readouterr()
    assert "frozen" in out
    assert "note: no rate limit binds for act_0; give rate_limits with --safety" in err
    assert "\nlatched: " in err


OWN = """
import time

class Still:
    instances = []
    def __init__(self, contract):
        self.contract, self.told, self.closed = contract, [], False
        Still.instances.append(self)
    def read(self):
        from sim2real.deploy.robot import Reading
        return Reading(time.monotonic(), {name: time.monotonic() % 1 for name in self.contract.readings})
    def write(self, command): self.told.append(command)
    def hold(self): self.told.append("hold")
    def now(self): return time.monotonic()
    def sleep_until(self, t): time.sleep(max(t - time.monotonic(), 0))
    def close(self): self.closed = True
"""


def test_an_own_robot(run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", list(sys.path))
    write("still_robot.py", OWN)
    assert run("--robot", "still_robot:Still", "--steps", "4") == 0
    import still_robot  # type: ignore[import-not-found]

    [robot] = still_robot.Still.instances
    assert [sorted(c) if c != "hold" else c for c in robot.told] == [["act_0"]] * 4 + ["hold"]
    assert robot.closed
    out = capsys.readouterr().out
    assert "act_0: -0.3 to 0.3 m" in out  # what the filter allows, before anything moves
    assert "began late by p50" in out
    assert "ramp 4" in out  # unlike a simulation, it is not where episodes start

    assert run("--robot", "still_robot:Stil") == 2
    assert "unknown factory in still_robot 'Stil'. Did you mean 'Still'?" in capsys.readouterr().err
    assert run("--robot", "no_such_robot:Still") == 2
    assert "there is no module 'no_such_robot' here, nor is one installed" in capsys.readouterr().err
    write(
        "half_robot.py", OWN.replace("def hold", "def halt") + "\nclass Named(Still):\n    def __init__(self): pass\n"
    )
    assert run("--robot", "half_robot:Still") == 2
    assert "gives no robot: it has no hold (examples/own_robot.py shows one)" in capsys.readouterr().err
    assert run("--robot", "half_robot:Named") == 2
    assert "it is called with the policy's contract alone" in capsys.readouterr().err
    write("needs_more.py", "import a_driver_that_is_not_there")
    with pytest.raises(ModuleNotFoundError, match="a_driver_that_is_not_there"):
        run("--robot", "needs_more:Still")


def test_ros2_from_start_to_end(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ros = fake_ros.install(monkeypatch)
    mapping = {
        "readings": {
            "obs_0": {"body": "point", "field": "position.x"},
            "goal_0": {"body": "goal", "field": "position.x"},
        },
        "commands": {"act_0": {"to": "twist", "field": "linear.x", "scale": 25.0}},
    }

    def messages() -> None:
        header = fake_ros.Header(stamp=fake_ros.stamp(ros.time))
        for body in ("point", "goal"):
            ros.deliver(f"{body}/pose", fake_ros.PoseStamped(header=header))

    ros.on_spin = messages
    args = ("--robot", "ros2", "--ros2-mapping", write("mapping.json", mapping), "--steps", "12")
    # One message and then none: the policy starts, the reading gets old, the filter latches, an operator could re-arm.
    assert run(*args, "--ros-args", "-p", "command_frame:=base") == 1
    assert ros.init["args"] == ["--ros-args", "-p", "command_frame:=base"]
    assert set(ros.services) == {"~/stop", "~/rearm"}
    assert ros.services["~/stop"]().success
    speeds = [content.twist.linear.x for topic, content in ros.published if topic == "delta_twist_cmds"]
    assert len(speeds) == 13  # 12 steps and the hold
    assert speeds[-1] == 0.0
    assert ros.events[-1] == "shut down"
    out, err = capsys.readouterr()
    assert "started 1" in out and "timeout 1" in out
    assert "latched: " in err

    assert run("--topics", "--ros2-mapping", "mapping.json") == 0
    assert capsys.readouterr().out.splitlines() == [
        "in  point/pose           geometry_msgs/PoseStamped: point",
        "in  goal/pose            geometry_msgs/PoseStamped: goal",
        "out delta_twist_cmds     geometry_msgs/TwistStamped: act_0",
    ]


def test_ctrl_c_is_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Any, time: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("sim2real.deploy.sim_robot.SimRobot.sleep_until", interrupted)
    assert run("--robot", "sim") == 130


# ---- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "--robot is needed: sim, replay, ros2, or MODULE:FACTORY for your own"),
        (["--robot", "sym"], "unknown robot 'sym'. Did you mean 'sim'? Allowed: replay, ros2, sim, or MODULE:FACTORY"),
        (["--robot", "sim", "--steps", "0"], "--steps has to be at least 1, got 0"),
        (["--robot", "sim", "--seed", "-1"], "--seed has to be at least 0, got -1"),
        (["--robot", "replay", "--episodes", "2"], "--episodes is for --robot sim, not replay"),
        (["--robot", "replay", "--seed", "0"], "--seed is for --robot sim, not replay"),
        (["--robot", "sim", "--from", "x"], "--from is for --robot replay, not sim"),
        (["--robot", "ros2", "--realtime"], "--realtime is for --robot sim or replay, not ros2"),
        (["--robot", "replay", "--from", "x"], "can't read the step log x"),
        (["--robot", "replay", "--safety", "x"], "can't read safety settings from x"),
        (["--robot", "sim", "--log", "no/steps.jsonl"], "can't write the step log no/steps.jsonl"),
        (
            ["--robot", "sim", "--json", "no/s.json"],
            "can't write --json no/s.json: it has to be a file in a folder that exists",
        ),
        (["--robot", "ros2"], "nothing says which ROS 2 message carries obs_0"),
    ],
)
def test_a_mistake_gives_one_message(
    args: list[str], message: str, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert err.startswith("sim2real: error: ")
    assert message in err
    assert (out, err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


def test_without_the_training_side_sim_says_where_to_go(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--robot", "sim", simulator=None) == 2
    assert "pip install sim2real, then `sim2real run DIR --robot sim`" in capsys.readouterr().err

    def bare(env: str, dynamics: str) -> Any:
        raise ModuleNotFoundError("No module named 'gymnasium'", name="gymnasium")

    assert run("--robot", "sim", simulator=bare) == 2
    assert "a simulated robot needs gymnasium, which is not installed" in capsys.readouterr().err


def test_a_bundle_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--robot", "replay"]) == 2
    assert "python: error: there is no policy.yaml in" in capsys.readouterr().err
    assert main(["--robot", "replay"], bundle=tmp_path) == 2
    assert "runner.pyz: error: there is no policy.yaml in" in capsys.readouterr().err


def test_the_parser_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (["x", "--stpes", "3"], ["x", "--backend", "tf"], []):
        with pytest.raises(SystemExit) as caught:
            main(args)
        assert caught.value.code == 2
        assert "usage: " in capsys.readouterr().err
