from __future__ import annotations

from typing import Any

import pytest

import deployment_tables
import meta_tables
import peng_tables
import performance_tables
import results_table
from performance_tables import span
from results_table import rewritten


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ([12.34, 12.34], "12.3 s"),
        ([9000.0, None], "> 9000 s"),
        ([2.0, 5.0], "2 to 5 s"),
        ([0.0, None], "?"),
        ([0.0, 3.0], "0 to 3 s"),
    ],
)
def test_a_range_as_text(ends: list[float | None], text: str) -> None:
    assert span(ends, " s") == text


def test_only_what_stands_between_the_marks_changes() -> None:
    begin, end = "<!-- x: written by benchmarks/results_table.py -->", "<!-- end of x -->"
    assert rewritten(f"a\n{begin}\nold\n{end}\nb", {"x": ["new"]}) == f"a\n{begin}\nnew\n{end}\nb"
    with pytest.raises(ValueError, match="end of y"):
        rewritten(f"{begin}{end}", {"y": []})


def test_without_files_every_table_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (deployment_tables, meta_tables, peng_tables, performance_tables, results_table):
        monkeypatch.setattr(module, "load", lambda name: None)
    for name, sections in results_table.documents().items():
        for lines in sections.values():
            assert "not measured yet" in "\n".join(lines), name
    for lines in (results_table.presets(), results_table.ratios()):
        assert "not measured yet" in "\n".join(lines)
        assert len({line.count("|") for line in lines}) == 1


def test_rows_of_measured_and_projected_learners(monkeypatch: pytest.MonkeyPatch) -> None:
    def marks(seconds: list[float | None]) -> dict[str, Any]:
        return {m: {"seconds": seconds, "samples": [1000.0, 1000.0]} for m in ("0.5", "0.8", "0.9", "0.95")}

    result = {
        "ours": "fetch_push",
        "learners": {
            "fetch_push": {"seeds": [0, 1, 2], "marks": marks([300.0, 300.0])},
            "ddpg_her": {"seeds": [0], "ms_per_step": 20.4, "marks": marks([3600.0, None])},
            "tqc_her": {"seeds": [0], "projected": True, "ms_per_step": 136.2, "marks": marks([26832.0, 26832.0])},
        },
        "times_faster": {
            "tqc_her": {m: [89.44, 89.44] for m in ("0.5", "0.8", "0.9", "0.95")},
            "best_measured": {m: [12.0, None] for m in ("0.5", "0.8", "0.9", "0.95")},
        },
    }
    monkeypatch.setattr(performance_tables, "load", lambda name: result if name == "time_to_solve_FetchPush" else None)
    text = "\n".join(performance_tables.time_to_solve())
    assert "| `fetch_push` | 3 | 300 s | 300 s | 300 s | 300 s | 1000 |  |" in text
    assert "| `tqc_her` (projected: 136 ms a step) | 1 |" in text and "| 89.4 |" in text
    asked = "\n".join(performance_tables.asked())
    assert "| <= 6 | 5 min |" in asked and "| >= 50 | 89.4 |" in asked
    assert "| >= 10 | > 12 (ddpg_her) |" in asked


def test_a_claim_shows_the_mean_and_half_the_width_of_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"setting": "step_0", "metric": "return", "value": -40.44, "low": -44.54, "high": -36.34},
        {"setting": "step_1", "metric": "return", "value": -0.5, "low": None, "high": None},
    ]
    monkeypatch.setattr(meta_tables, "load", lambda name: {"rows": rows})
    claim = meta_tables.Claim(
        "maml", "MAML", (("step_0", "return"), ("step_1", "return"), ("step_2", "return")), "-40.4"
    )
    (line,) = meta_tables.claims([claim], ("0", "1", "2"))[2:]
    assert line == "| MAML | [`maml`](../results/maml.json) | -40.4 ± 4.1 | -0.500 | - | -40.4 |  |"


def test_the_readme_names_its_rows_and_shows_what_was_measured_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"setting": "step_3", "metric": "accuracy", "value": 0.931, "low": 0.929, "high": 0.933}]
    monkeypatch.setattr(meta_tables, "load", lambda name: {"rows": rows} if name == "maml_omniglot_20w1s" else None)
    lines = meta_tables.summary()
    (measured,) = (line for line in lines if "`maml_omniglot_20w1s`" in line)
    assert measured.startswith("| Omniglot 20w1s / 20w5s, MAML |") and "| 0.931 |" in measured
    assert sum("not measured yet" in line for line in lines) == len(lines) - 3  # two lines are the head
    assert not any("nearest_neighbour" in line for line in lines)
