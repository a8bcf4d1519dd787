from __future__ import annotations

import subprocess
import sys

import pytest

from markopt.control import DecisionLog
from markopt.errors import DataError
from tests.control.fake_backend import FakeBackend, Scripted
from tests.control.test_controller import OFFERS, make_controller


def write_log(path, *, late=60):
    backend = FakeBackend(
        OFFERS, arrivals=[100] * 36, late=[late] * 12, refuse=("spot",), silent=[(60.0, 120.0)]
    )
    backend.add("small")
    planner = Scripted(lambda p: {"small": 2, "spot": 1} if p.time_s < 100.0 else None)
    with DecisionLog(path) as log:
        make_controller(backend, planner, on_interval=log.append).run(0.0, 180.0)


def test_a_log_reads_back_every_decision_in_order(tmp_path):
    path = tmp_path / "decisions.jsonl"
    write_log(path)
    decisions = DecisionLog.read(path)
    assert [(d.kind, d.time_s) for d in decisions] == [
        ("plan", 0.0),
        ("monitor", 5.0),
        ("monitor", 35.0),
        ("plan", 60.0),
        ("plan", 120.0),
        ("monitor", 125.0),
        ("monitor", 155.0),
    ]
    first, added, _, second, held, *_ = decisions
    assert first.target == {"small": 2, "spot": 1}
    assert first.launch == {"small": 1, "spot": 1}
    assert first.launched == {"small": ("i-0002",)}
    assert first.refused == ("spot: no stock",)
    assert first.seen is not None
    assert (first.seen.ready, first.seen.pending, first.seen.rate_rps) == (1, 0, 10.0)
    assert added.launch == {"small": 1}
    assert added.seen is None
    assert second.seen is not None
    assert (second.seen.window_requests, second.seen.window_violations) == (1200, 720)
    assert held.rung == "hold"
    assert held.scale_in_frozen
    assert held.seen is not None
    assert held.seen.rate_rps is None


def test_the_same_decisions_give_the_same_bytes(tmp_path):
    for name in ("one", "two", "three"):
        write_log(tmp_path / name, late=60 if name != "three" else 0)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes() != (tmp_path / "three").read_bytes()


def test_the_bytes_are_the_same_in_another_process(tmp_path, request):
    write_log(tmp_path / "here")
    code = (
        "import sys, pathlib; from tests.control.test_decisions import write_log; "
        "write_log(pathlib.Path(sys.argv[1]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there")],
        check=True,
        cwd=request.config.rootpath,
    )
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()


def test_the_file_appears_only_when_the_log_is_closed(tmp_path):
    path = tmp_path / "decisions.jsonl"
    log = DecisionLog(path)
    assert not path.exists()
    log.close()
    log.close()
    assert path.exists()
    assert DecisionLog.read(path) == ()
    assert [p.name for p in tmp_path.iterdir()] == ["decisions.jsonl"]


def test_a_failed_run_leaves_no_file(tmp_path):
    with pytest.raises(KeyError), DecisionLog(tmp_path / "decisions.jsonl"):
        raise KeyError("boom")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_line_is_named(tmp_path):
    path = tmp_path / "decisions.jsonl"
    write_log(path)
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace('"time_s":5.0', '"time_s":"soon"')
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"decisions.jsonl:2': time_s: .*, got 'soon'"):
        DecisionLog.read(path)


def test_files_that_cannot_be_read_or_written_are_named(tmp_path):
    with pytest.raises(DataError, match="must be readable"):
        DecisionLog.read(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="must be writable"):
        DecisionLog(tmp_path / "missing" / "decisions.jsonl")


def test_a_closed_log_takes_nothing_more(tmp_path):
    backend = FakeBackend(OFFERS)
    records = make_controller(backend, Scripted(lambda _: {"small": 0})).run(0.0, 60.0)
    log = DecisionLog(tmp_path / "decisions.jsonl")
    log.close()
    with pytest.raises(DataError, match="must be open to append"):
        log.append(records[0])
