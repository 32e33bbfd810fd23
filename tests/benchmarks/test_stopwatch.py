from __future__ import annotations

import sys
import threading
import time

import pytest

from stopwatch import Stopwatch, Watched

HERE = __name__


def busy(seconds: float) -> None:
    """Use the processor for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def inner() -> None:
    busy(0.03)


def outer() -> None:
    inner()
    busy(0.01)


@pytest.fixture(autouse=True)
def findable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watched functions are found by the name of their module, which pytest may keep to itself."""
    monkeypatch.setitem(sys.modules, HERE, sys.modules.get(HERE) or sys.modules[outer.__module__])


def test_the_inner_function_is_not_charged_to_the_outer_one() -> None:
    watch = Stopwatch()
    with watch.watching(Watched(f"{HERE}:outer", "a"), Watched(f"{HERE}:inner", "b")):
        outer()
        inner()
    (track,) = watch.tracks
    assert track.main
    assert dict(track.calls) == {"a": 1, "b": 2}
    assert 0.01 <= track.wall["a"] < track.wall["b"]
    assert track.wall["b"] >= 0.06


def test_what_counts_as_a_whole_is_not_split() -> None:
    watch = Stopwatch()
    with watch.watching(Watched(f"{HERE}:outer", "a", whole=True), Watched(f"{HERE}:inner", "b")):
        outer()
    (track,) = watch.tracks
    assert dict(track.calls) == {"a": 1}
    assert track.wall["a"] >= 0.04


def test_threads_have_books_of_their_own() -> None:
    watch = Stopwatch()
    with watch.watching(Watched(f"{HERE}:inner", "b")):
        thread = threading.Thread(target=lambda: inner())
        thread.start()
        thread.join()
        inner()
    assert sorted(track.main for track in watch.tracks) == [False, True]
    assert all(track.calls["b"] == 1 for track in watch.tracks)


def test_functions_are_as_before_afterwards_even_after_an_error() -> None:
    before = inner
    watch = Stopwatch()
    with pytest.raises(RuntimeError), watch.watching(Watched(f"{HERE}:inner", "b")):
        raise RuntimeError
    assert inner is before


def test_processor_time_leaves_out_waiting() -> None:
    watch = Stopwatch()
    with watch.watching(Watched("time:sleep", "asleep")):
        time.sleep(0.05)
    (track,) = watch.tracks
    assert track.wall["asleep"] >= 0.05
    assert track.cpu["asleep"] < 0.02


def test_a_function_that_does_not_exist_is_named() -> None:
    with pytest.raises(LookupError, match="math:cosine"), Stopwatch().watching(Watched("math:cosine", "a")):
        pass
