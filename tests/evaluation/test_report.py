import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.errors import DataError
from markopt.evaluation.compare import CompareSettings, Comparison, write_comparison
from markopt.evaluation.differences import cost_and_attainment_differences
from markopt.evaluation.report import report_folder
from markopt.evaluation.report.style import MAX_POINTS, thinned
from markopt.evaluation.results import write_episode
from tests.evaluation.fluid import ToyParts
from tests.evaluation.synthetic import dearer, episode

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects ids, headings, links and table cells, and checks that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.sources, self.open, self.headings, self.cells = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.sources += [attributes[k] for k in ("src", "href") if k in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)
        if self.open and self.open[-1] == "td":
            self.cells.append(data.strip())


def figures_of(text):
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.S)
    return json.loads(found.group(1))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("episode")
    write_episode(episode(intervals=3000), folder)
    return report_folder(folder).read_text(encoding="utf-8")


def write_toy_comparison(folder):
    episodes = []
    for at, policy in enumerate(("program", "greedy")):
        for seed in (0, 1):
            missed = 0.05 if policy == "greedy" else 0.01
            toy = episode(policy=policy, seed=seed, missed_share=missed)
            episodes.append(dearer(toy, 1.0 + 0.2 * at + 0.05 * seed))
    differences = cost_and_attainment_differences(
        episodes[:2], episodes[2:], np.random.default_rng(0)
    )
    settings_ = CompareSettings(("program", "greedy"), (0, 1))
    comparison = Comparison(settings_, tuple(episodes), differences, ())
    write_comparison(comparison, ToyParts(), folder)
    return comparison


def test_report_stands_alone(page):
    parsed = Page(page)
    assert all(source.startswith("#") for source in parsed.sources)
    assert page.count("plotly.js v") == 1


def test_report_shows_every_part(page):
    ids = Page(page).ids
    for part in ("load", "fleet", "spill", "cost", "attainment", "latency", "planning"):
        assert part in ids
    assert "Last decisions" in Page(page).headings


def test_reasons_are_escaped(page):
    assert "&lt;in 2 min&gt;" in page
    assert "<in 2 min>" not in page


def test_no_trace_holds_more_points_than_a_screen_shows(page):
    for figure in figures_of(page).values():
        for trace in figure["data"]:
            assert len(trace["x"]) == len(trace["y"]) <= MAX_POINTS


def test_latency_figure_keeps_the_share_of_every_path(page):
    shares = [sum(trace["y"]) for trace in figures_of(page)["latency"]["data"]]
    assert sum(shares) == pytest.approx(100.0, abs=0.05)


def test_report_is_rebuilt_from_files_alone(tmp_path):
    write_episode(episode(intervals=30), tmp_path)
    first = report_folder(tmp_path).read_bytes()
    (tmp_path / "report.html").unlink()
    assert report_folder(tmp_path).read_bytes() == first


def test_comparison_report_marks_who_misses_the_slo(tmp_path):
    write_toy_comparison(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    cells = Page(text).cells
    assert any(cell.endswith("†") and cell.startswith("95.") for cell in cells)
    assert {"scatter", "bills", "kinds", "fleet0", "fleet1"} <= set(Page(text).ids)
    assert "paired t over seeds" in text
    (tmp_path / "report.html").unlink()
    assert report_folder(tmp_path).read_text(encoding="utf-8") == text


def test_comparison_writes_a_complete_episode_for_each_policy_and_seed(tmp_path):
    write_toy_comparison(tmp_path)
    folders = sorted(path.name for path in (tmp_path / "episodes").iterdir())
    assert folders == ["greedy-seed0", "greedy-seed1", "program-seed0", "program-seed1"]
    for name in folders:
        files = {path.name for path in (tmp_path / "episodes" / name).iterdir()}
        assert {"summary.json", "intervals.parquet", "decisions.jsonl", "report.html"} <= files
    rows = (tmp_path / "comparison.csv").read_text().splitlines()
    assert len(rows) == 5
    assert len((tmp_path / "differences.csv").read_text().splitlines()) == 3
    table = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert len(table) == 4
    assert {line.count("|") for line in table} == {11}
    assert "95.01 % †" in table[3]


@pytest.mark.parametrize("content", [None, {}, {"other.txt": "x"}])
def test_a_folder_without_results_is_refused(tmp_path, content):
    folder = tmp_path / "folder"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    with pytest.raises(DataError, match="folder"):
        report_folder(folder)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.0, 1e6), min_size=1, max_size=300),
    st.integers(1, 50),
    st.sampled_from(["mean", "max", "min", "first"]),
)
def test_thinning_stays_within_limit_and_range(values, limit, how):
    thin = thinned(values, limit, how)
    assert 1 <= len(thin) <= limit
    assert min(thin) >= min(values) * (1 - 1e-4)
    assert max(thin) <= max(values) * (1 + 1e-4)
    if how == "max":
        assert max(thin) == pytest.approx(max(values), rel=1e-4)


def test_the_report_says_how_many_requests_were_throttled_and_lost(tmp_path):
    result = episode(intervals=30)
    statistics = dataclasses.replace(result.statistics, throttled=1234, lost=56)
    write_episode(dataclasses.replace(result, statistics=statistics), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert (summary["requests"]["throttled"], summary["requests"]["lost"]) == (1234, 56)
    text = report_folder(tmp_path).read_text(encoding="utf-8")
    assert "refused, 1,234 of them throttled; 56 lost" in text
