from __future__ import annotations

from pathlib import Path

from sim2real.result_cache import ResultCache


def opened(file: Path) -> ResultCache:
    cache = ResultCache()
    cache.open(file)
    return cache


def test_results_are_found_again_whatever_the_order_of_the_keys(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    opened(file).put({"a": 1, "b": ["x"]}, {"reward": 0.25})
    again = opened(file)
    assert again.get({"b": ["x"], "a": 1}) == {"reward": 0.25} and len(again) == 1
    assert again.get({"a": 2, "b": ["x"]}) is None


def test_a_line_that_was_cut_off_is_dropped_and_the_file_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    cache = opened(file)
    cache.put({"a": 1}, {"reward": 0.25})
    cache.put({"a": 2}, {"reward": 0.5})
    file.write_text(file.read_text()[:-9])  # a kill in the middle of the last line
    after = opened(file)
    assert len(after) == 1 and after.get({"a": 2}) is None
    after.put({"a": 2}, {"reward": 0.75})
    assert opened(file).get({"a": 2}) == {"reward": 0.75} and opened(file).get({"a": 1}) == {"reward": 0.25}


def test_without_a_file_results_live_in_memory() -> None:
    cache = ResultCache()
    cache.put({"a": 1}, {"reward": 1.0})
    assert cache.get({"a": 1}) == {"reward": 1.0}
