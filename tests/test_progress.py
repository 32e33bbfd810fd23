from __future__ import annotations

import io

import pytest

from sim2real.progress import ProgressReport, counting, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("sim2real.progress.time.monotonic", lambda: now[0])
    return now


def test_plain_lines_are_ten_seconds_apart(clock: list[float]) -> None:
    out = io.StringIO()
    progress = ProgressReport(1000, 5000, None, out)
    for seconds in (4, 8, 12, 20):
        clock[0] = 100.0 + seconds
        progress.update(1000 + 100 * seconds, seconds, {"best success": 0.5})
    progress.close()
    # 100/s in this session, which began at 1,000; at 20 s 3,000 samples are done and 2,000 left.
    assert out.getvalue().splitlines() == [
        " 28%  1,400/5,000 samples  100/s  ETA 0:36  best success 0.5",
        " 60%  3,000/5,000 samples  100/s  ETA 0:20  best success 0.5",
    ]


def test_the_time_limit_bounds_the_eta(clock: list[float]) -> None:
    out = io.StringIO()
    progress = ProgressReport(0, 1_000_000, 60.0, out)
    clock[0] += 10.0
    progress.update(100, 50.0)
    assert "ETA 0:10" in out.getvalue()


def test_lines_that_stay_are_never_held_back(clock: list[float]) -> None:
    out = io.StringIO()
    progress = ProgressReport(0, 100, None, out)
    progress.say("one [not markup]")
    progress.say("two")
    assert out.getvalue() == "one [not markup]\ntwo\n"


def test_a_terminal_gets_a_bar() -> None:
    out = Terminal()
    progress = ProgressReport(0, 100, None, out)
    progress.update(40, 1.0, {"best success": 0.25})
    progress.say("evaluation [done]")
    progress.close()
    shown = out.getvalue()
    assert "40%" in shown
    assert "40/100 samples" in shown
    assert "evaluation [done]" in shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599.5, "1:00:00"), (7384, "2:03:04")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counting_says_nothing_of_what_is_soon_over(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with counting(200, "episodes") as progress:
        for done, seconds in ((16, 1), (32, 12), (48, 13), (200, 25)):
            clock[0] = 100.0 + seconds
            progress(done)
    assert capsys.readouterr().err.splitlines() == [
        " 16%  32/200 episodes  3/s  ETA 1:03",
        "100%  200/200 episodes  8/s  ETA 0:00",
    ]
