from __future__ import annotations

import dataclasses
import io
import json
import logging
import re
import time
import urllib.request
from pathlib import Path

import pytest
from rich.console import Console

from markopt.cli import main
from markopt.control.guards import GuardSettings
from markopt.control.journal import Journal, JournalReader
from markopt.deployment import Listeners, deploy
from markopt.deployment.watching.audience import watched
from markopt.deployment.watching.board import read_board
from markopt.deployment.watching.log import JsonLog, redacted
from markopt.deployment.watching.metrics import Metrics, MetricsServer
from markopt.deployment.watching.top import frame, sparkline
from markopt.errors import BackendError, ConfigError
from tests.deployment import surviving_cloud
from tests.deployment.toy import toy_parts

DASHBOARD = Path(__file__).parents[2] / "data" / "grafana" / "markopt.json"
GUARDS = GuardSettings(max_launches=2)


def scrape(port, host="127.0.0.1"):
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
        return answer.read().decode()


def samples_of(text):
    """Every sample by name and labels."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
        pairs = frozenset(re.findall(r'(\w+)="([^"]*)"', labels or ""))
        found[name, pairs] = float(value)
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A deployment that was watched: its folder, its last metrics, its log."""
    folder = tmp_path_factory.mktemp("watched")
    log = folder / "logs.jsonl"
    parts = toy_parts(folder, guards=GUARDS, log=str(log))
    metrics = Metrics("toy", "act")
    told = Listeners(
        on_observation=metrics.observed, on_carried=metrics.carried, on_interval=metrics.interval
    )
    with watched(parts, told) as listeners:
        deploy(parts, listeners)
    server = MetricsServer(metrics, 0, "127.0.0.1")
    text = scrape(server.port)
    server.close()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return folder, text, lines


# --- metrics ---


def test_metrics_say_what_the_journal_says(run):
    folder, text, _ = run
    samples = samples_of(text)

    def value(name, **labels):
        return samples[f"markopt_{name}", frozenset({("name", "toy"), *labels.items()})]

    with JournalReader(folder / "journal") as reader:
        actions, intervals = reader.actions(), reader.intervals()
        seen = [e.observation for e in reader.observations(last=10**6)]
    assert value("requests_total", outcome="arrivals") == sum(int(o.arrivals.sum()) for o in seen)
    assert value("requests_total", outcome="late") == sum(int(o.late.sum()) for o in seen)
    launched = sum(len(a.report.launched.get("spot", ())) for a in actions)
    assert value("launches_total", offer="spot") == launched > 0
    assert value("terminations_total") == sum(len(a.report.terminated) for a in actions) > 0
    cuts = sum(len(a.cuts) for a in actions)
    assert value("guard_cuts_total", rule="max_launches") == cuts > 0
    assert value("decisions_total", kind="plan") == sum(a.kind == "plan" for a in actions)
    assert value("bill_usd") == pytest.approx(intervals[-1].bill_usd)
    assert value("load_rps") == pytest.approx(intervals[-1].arrivals / 60.0)
    ready = sum(i.state.value == "ready" for i in seen[-1].instances)
    shown = [v for (name, labels), v in samples.items() if name == "markopt_instances"]
    assert sum(shown) == len(seen[-1].instances) >= ready
    assert value("plan_seconds_count") == len(intervals)
    assert value("mode", mode="act") == 1.0


def queries():
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    expressions = [t["expr"] for panel in document["panels"] for t in panel["targets"]]
    return expressions + [
        v["query"] for v in document["templating"]["list"] if v["type"] == "query"
    ]


def test_the_dashboard_asks_only_for_what_a_deployment_serves(run):
    samples = samples_of(run[1])
    served = {}
    for name, labels in samples:
        served.setdefault(name, set()).update(key for key, _ in labels)
    served.pop("markopt_plan_gap_share", None)
    assert len(queries()) > 20
    for query in queries():
        for name, labels in re.findall(r"(markopt_\w+)(?:\{([^}]*)\})?", query):
            if name in ("markopt_plan_gap_share", "markopt_troubles_total"):
                continue  # of proven plans and silent clouds, which this run had none of
            assert name in served, query
            assert set(re.findall(r"(\w+)=", labels or "")) <= served[name], query
        for keys in re.findall(r"by \(([^)]*)\)", query):
            metric = re.findall(r"markopt_\w+", query)[0]
            assert set(re.split(r",\s*", keys)) <= served[metric], query


def test_every_metric_is_on_the_dashboard(run):
    asked = set(re.findall(r"markopt_\w+", " ".join(queries())))
    families = set(re.findall(r"^# TYPE (\w+) (?:gauge|counter|histogram)$", run[1], re.M))
    families = {name for name in families if not name.endswith("_created")}
    asked |= {name.removesuffix("_bucket") for name in asked}
    assert families - asked == {"markopt_mode"}


def test_panels_do_not_overlap():
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    cells = [
        (x, y)
        for p in panels
        for x in range(p["gridPos"]["x"], p["gridPos"]["x"] + p["gridPos"]["w"])
        for y in range(p["gridPos"]["y"], p["gridPos"]["y"] + p["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({p["id"] for p in panels}) == len(panels)


def test_metrics_are_served_to_this_machine_only_and_while_it_runs(tmp_path):
    assert toy_parts(tmp_path).deploy.metrics_host == "127.0.0.1"
    parts = toy_parts(tmp_path, for_s=120.0, metrics_port=0)
    with watched(parts) as listeners:
        deploy(parts, listeners)
    metrics = Metrics("toy", "act")
    server = MetricsServer(metrics, 0, "127.0.0.1")
    with pytest.raises(ConfigError, match="cannot be served"):
        MetricsServer(metrics, server.port, "127.0.0.1")
    port = server.port
    server.close()
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_a_silent_cloud_is_counted(tmp_path, monkeypatch):
    observed = surviving_cloud.SurvivingBackend.observe

    def observe(self):
        if self.clock.now_s() == 120.0:
            raise BackendError("no route to host")
        return observed(self)

    monkeypatch.setattr(surviving_cloud.SurvivingBackend, "observe", observe)
    metrics = Metrics("toy", "act")
    deploy(toy_parts(tmp_path, for_s=180.0), Listeners(on_trouble=metrics.trouble))
    value = metrics.registry.get_sample_value("markopt_troubles_total", {"name": "toy"})
    assert value == 1.0


# --- logs ---


def test_logs_tell_the_story_line_by_line(run):
    folder, _, lines = run
    with JournalReader(folder / "journal") as reader:
        actions, intervals = reader.actions(), reader.intervals()
    events = [line["event"] for line in lines]
    assert (events[0], events[-1]) == ("start", "end")
    decisions = [line for line in lines if line["event"] == "decision"]
    assert [d["decision_id"] for d in decisions] == [a.decision_id for a in actions]
    assert [d["reason"] for d in decisions] == [a.wanted.reason for a in actions]
    assert {c["rule"] for d in decisions for c in d["cuts"]} == {"max_launches"}
    assert events.count("interval") == len(intervals)
    assert all(line["deployment"] == "toy" for line in lines)
    times = [line["unix_s"] for line in lines]
    assert times == sorted(times)
    assert abs(times[-1] - time.time()) < 3600.0


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("denied for AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("ASIAIOSFODNN7EXAMPLE: expired", "ASIAIOSFODNN7EXAMPLE"),
        ("GET https://x/?X-Amz-Signature=abc123&y=1", "abc123"),
        ("X-Amz-Security-Token=FwoGZXIv//// failed", "FwoGZXIv////"),
        ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI/K7MDENG"),
        ("aws_session_token: abcDEF+/=", "abcDEF+/="),
        ("http://user:hunter2@proxy:3128 refused", "hunter2"),
    ],
)
def test_what_looks_like_a_credential_never_reaches_a_log(tmp_path, text, secret):
    assert secret not in redacted(text)
    log = JsonLog(str(tmp_path / "log"), "toy")
    log.trouble(text)
    logging.getLogger("markopt.cloud.aws").warning("%s", text)
    log.close()
    written = (tmp_path / "log").read_text()
    assert secret not in written
    assert written.count("[redacted]") >= 2
    assert len([json.loads(line) for line in written.splitlines()]) == 2


def test_what_loggers_say_is_in_the_log_until_it_is_closed(tmp_path):
    log = JsonLog(str(tmp_path / "log"), "toy")
    logging.getLogger("markopt.cloud").warning("throttled %d times", 3)
    log.close()
    logging.getLogger("markopt.cloud").warning("after")
    (line,) = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (line["event"], line["text"], line["level"]) == ("log", "throttled 3 times", "WARNING")


def test_a_log_can_go_to_standard_error(tmp_path, capsys):
    parts = toy_parts(tmp_path, for_s=60.0, log="-")
    with watched(parts) as listeners:
        deploy(parts, listeners)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[0]["event"] == "start"


def test_a_log_that_cannot_be_written_is_refused_before_anything_runs(tmp_path):
    parts = toy_parts(tmp_path, log=str(tmp_path / "no" / "log"))
    with pytest.raises(ConfigError, match=r"deploy\.log"), watched(parts):
        pass


# --- top ---


def text_of(board, width=120):
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(frame(board, width))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_a_frame_shows_load_fleet_service_money_and_the_reason(run, width):
    text = text_of(read_board(run[0] / "journal"), width)
    assert "toy  act" in text
    assert "ended: done" in text
    for title in ("load", "service and money", "fleet", "last decision, and why", "last changes"):
        assert title in text
    assert "for the load" in text
    assert "guard rails:" in text
    assert "max_launches" in text
    assert "planner by_load, rung rule" in text
    assert max(len(line) for line in text.splitlines()) <= width


def test_a_board_counts_as_the_journal_does(run):
    board = read_board(run[0] / "journal")
    with JournalReader(run[0] / "journal") as reader:
        intervals = reader.intervals()
        seen = reader.observations(last=1)[0].observation
    assert board.last_hour.arrivals == sum(i.arrivals for i in intervals)
    missed = sum(i.late + i.refused for i in intervals)
    assert board.last_hour.attainment_share == 1.0 - missed / board.last_hour.arrivals
    assert sum(r.ready + r.booting for r in board.offers) == len(seen.instances)
    prices = {"small": 0.36, "spot": 0.108}
    expected = sum(prices[i.offer] for i in seen.instances)
    assert board.fleet_usd_per_h == pytest.approx(expected)


def test_a_frame_can_be_drawn_at_every_moment(tmp_path):
    texts = []

    def draw(_):
        texts.append(text_of(read_board(tmp_path / "journal")))

    deploy(toy_parts(tmp_path, for_s=180.0), Listeners(on_observation=draw, on_carried=draw))
    assert "no interval is over yet" in texts[0]
    assert all("runs (process" in text for text in texts)


def test_a_new_journal_and_a_killed_one_can_be_looked_at(tmp_path):
    journal = Journal(tmp_path / "j", "toy")
    assert "has not begun" in text_of(read_board(tmp_path / "j"))
    journal.begin_session(journal.open_epoch(0.0, "{}"), "act")
    board = read_board(tmp_path / "j")
    assert "runs" in text_of(board)
    assert "silent for 900 s" in text_of(dataclasses.replace(board, silent_s=900.0))
    journal.close("done")


def test_once_prints_a_frame_and_svg_draws_it(run, tmp_path, capsys):
    path = tmp_path / "top.svg"
    assert main(["top", str(run[0] / "journal"), "--once"]) == 0
    assert "last decision, and why" in capsys.readouterr().out
    assert main(["top", str(run[0] / "journal"), "--svg", str(path)]) == 0
    assert path.read_text().startswith("<svg")
    assert "font-face" not in path.read_text()
    assert main(["top", str(tmp_path / "none")]) == 2


def test_blocks_span_from_the_least_to_the_largest():
    assert sparkline([1.0, 2.0, 3.0], 1.0, 3.0) == "▁▅█"
    assert sparkline([2.0, 2.0], 2.0, 2.0) == "▁▁"
