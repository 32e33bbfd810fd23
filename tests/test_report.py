from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real.evaluate import Evaluation
from sim2real.report import write_report
from sim2real.svg import Chart, Scale, log_ticks, short, ticks
from tests.toys import toy_task


def evaluation(rate: float, *, low: float = 1.0, high: float = 2.0, n: int = 40) -> Evaluation:
    rng = np.random.default_rng(0)
    success = (np.arange(n) < rate * n).astype(float)
    return Evaluation(
        task=toy_task(horizon=5, observation=1, goal=1, action=1, dynamics=2),
        seed=7,
        success=success,
        base_rate=np.zeros(n),
        episode_return=-np.ones(n),
        action_rate=np.full(n, 0.1),
        initial_distance=np.ones(n),
        final_distance=np.ones(n),
        time_to_success=np.where(success > 0, 0.5, np.nan),
        dynamics_values=np.stack([rng.uniform(low, high, n), np.full(n, 3.0)], 1),
    )


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    rows = [
        {"samples": 100, "seconds": 1.0, "collect/success": 0.1},
        {"samples": 100, "seconds": 1.0, "eval/success": 0.2, "eval/success_low": 0.1, "eval/success_high": 0.3},
        {"samples": 200, "seconds": 2.0, "eval/success": 0.9, "eval/success_low": 0.8, "eval/success_high": None},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    versions = {"versions": {"torch": "2.13.0"}, "commit": "abc", "samples": 200, "seconds": 120.0}
    (tmp_path / "run.json").write_text(json.dumps({**versions, "command": "sim2real train <x>"}))
    (tmp_path / "config.yaml").write_text("algorithm: rdpg  # <script>\n")
    return tmp_path


class Tags(HTMLParser):
    """Collects the tags and checks that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def test_report_is_one_well_formed_file_without_outside_resources(run_dir: Path) -> None:
    settings = {"nominal": evaluation(0.95), "train": evaluation(0.8), "unseen": evaluation(0.5, low=3, high=4)}
    path = write_report(run_dir, settings, units={"mu_0": "kg"})
    page = path.read_text()
    assert path == run_dir / "report.html"
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.links == []
    assert not {"script", "img", "link", "iframe"} & set(tags.seen)
    assert "url(" not in page and "@import" not in page
    assert set(re.findall(r"https?://[^\"]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in page


def test_report_shows_the_figures(run_dir: Path) -> None:
    page = write_report(
        run_dir, {"train": evaluation(0.8), "unseen": evaluation(0.5)}, units={"mu_0": "kg"}
    ).read_text()
    assert "<b>80.0%</b>" in page and "<b>50.0%</b>" in page
    # Wilson, 32 of 40: (0.8 + 0.04802) / 1.09604 = 0.7737, +- 1.95996 sqrt(0.004 + 0.00060) / 1.09604 = 0.1213.
    assert "0.800 [0.652, 0.895]" in page
    assert "mu 0 (kg)" in page
    assert "mu 1" not in page  # constant: nothing to show
    assert "2.0 minutes of training" in page and "2.13.0" in page
    assert "algorithm: rdpg  # &lt;script&gt;" in page
    assert "sim2real train &lt;x&gt;" in page
    assert "evaluated 0.90" in page


def test_report_of_a_run_that_has_nothing_yet(tmp_path: Path) -> None:
    page = write_report(tmp_path, {"train": evaluation(0.0)}).read_text()
    assert "Learning" not in page and "Configuration" not in page and "Made with" not in page
    assert "Transfer" in page


def test_every_chart_is_valid_xml_with_a_label(run_dir: Path) -> None:
    page = write_report(run_dir, {"train": evaluation(0.8)}).read_text()
    charts = re.findall(r"<svg.*?</svg>", page)
    assert len(charts) == 4  # learning, transfer, one key, one parameter
    for chart in charts:
        root = ElementTree.fromstring(chart)
        assert root.attrib["role"] == "img" and root.attrib["aria-label"]


def test_scale_hand_computed() -> None:
    assert Scale(0, 2, 100, 200)(0.5) == 125
    assert Scale(0, 1, 200, 100)(0.25) == 175  # upwards, as on a screen
    assert Scale(1, 100, 0, 200, log=True)(10) == pytest.approx(100)
    assert Scale(3, 3, 0, 10)(3) == 5


def test_ticks_hand_computed() -> None:
    assert ticks(0, 600_000, 8) == [0, 100_000, 200_000, 300_000, 400_000, 500_000, 600_000]
    assert ticks(0.13, 0.48, 4) == [0.2, 0.3, 0.4]
    assert ticks(2, 2, 4) == [2]
    assert ticks(1.0, 1.000001, 10) == pytest.approx([1 + 2e-7 * k for k in range(6)], abs=1e-12)
    assert log_ticks(0.2, 5, 5) == pytest.approx([0.2, 0.5, 1, 2, 5])
    assert log_ticks(0.2, 5, 3) == pytest.approx([0.3, 1, 3])


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 10))
def test_ticks_are_few_and_inside(low: float, width: float, most: int) -> None:
    high = low + width
    values = ticks(low, high, most)
    assert len(values) <= max(most, 1)
    assert all(low - 1e-6 * width <= value <= high + 1e-6 * width for value in values)


@settings(deadline=None)
@given(st.floats(1e-6, 1e3), st.floats(1.5, 1e9), st.integers(3, 8))
def test_log_ticks_are_few_and_inside(low: float, ratio: float, most: int) -> None:
    values = log_ticks(low, low * ratio, most)
    assert 1 <= len(values) <= most
    assert all(low * (1 - 1e-6) <= value <= low * ratio * (1 + 1e-6) for value in values)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (250_000, "250k"), (1.5e6, "1.5M"), (0.05, "0.05"), (1e-5, "1e-5"), (-2000, "-2k")]
)
def test_short(value: float, text: str) -> None:
    assert short(value) == text


def test_every_series_has_its_own_marker() -> None:
    def shape(series: int) -> str:
        chart = Chart(10, 10, "x")
        chart.marker(0, 0, series)
        return re.sub(r'class="[^"]*"', "", chart.render())

    assert len({shape(k) for k in range(5)}) == 5
    assert shape(5) == shape(0)


def test_text_is_escaped() -> None:
    chart = Chart(10, 10, 'a "label" <b>')
    chart.text(1, 2, "x < y & z")
    chart.marker(1, 2, 3, hint="<i>")
    assert ElementTree.fromstring(chart.render()).attrib["aria-label"] == 'a "label" <b>'
