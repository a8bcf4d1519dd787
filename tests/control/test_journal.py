from __future__ import annotations

import multiprocessing
import sqlite3
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.control.guards import Cut
from markopt.control.journal import Journal, JournalReader
from markopt.control.journal.documents import (
    pack_observation,
    packed,
    read_actions,
    read_observation,
    to_json,
    unpacked,
)
from markopt.core import (
    ActionReport,
    Actions,
    InstanceState,
    InstanceStatus,
    Observation,
    RateSeries,
)
from markopt.core.documents import plan_to_json, problem_from_json, problem_to_json
from markopt.errors import ConfigError, DataError
from tests.control.fake_backend import make_plan

PROBLEM = "tests/data/problem_small.json"


def make_observation(time_s=60.0, **changes):
    counts = {"arrivals": [3, 4], "late": [0, 1], "refused": [0, 0], "spilled": [1, 0]}
    return Observation(
        time_s=time_s,
        instances=(InstanceStatus("i-1", "small", InstanceState.BOOTING, 10.0, 90.0, True),),
        bin_s=5.0,
        bill_usd=0.25,
        spot_price_usd_per_s={"spot": 1e-5},
        **counts | changes,
    )


def opened(path, **kwargs):
    journal = Journal(path, "toy", **kwargs)
    journal.begin_session(journal.open_epoch(0.0, "{}"), "act")
    return journal


def small_problem():
    with open(PROBLEM, encoding="utf-8") as file:  # noqa: PTH123
        return problem_from_json(file.read())


def test_what_is_written_reads_back_equal(tmp_path):
    journal = opened(tmp_path / "j")
    problem, plan = small_problem(), make_plan({"small": 2})
    actions = Actions("plan-0.000", {"small": 1}, ("i-7",), 3, 0.25, reason="as told")
    cut = Cut("max_launches", "one less")
    report = ActionReport("plan-0.000", {"small": ("i-9",)}, ("i-7",), ("x: no",), ("small",))
    journal.observation(make_observation())
    journal.rate(RateSeries(0.0, 60.0, [np.nan], [[1.0, np.nan]]))
    journal.plan(problem, plan, planner="p", wall_s=0.5, at_deadline=True)
    entry = journal.intend(60.0, actions, actions, (cut,), kind="plan", mode="act")
    (pending,) = journal.reader.pending()
    assert pending.report is None
    journal.report(entry, report)
    journal.close("done")
    with JournalReader(tmp_path / "j") as reader:
        seen, rate, planned, acted = reader.entries(1)
        (session,) = reader.sessions()
    assert to_json(seen.observation, Observation) == to_json(make_observation(), Observation)
    assert rate.observed.start_s == 0.0
    np.testing.assert_array_equal(rate.observed.rate_rps, [np.nan])
    np.testing.assert_array_equal(rate.observed.within_rps, [[1.0, np.nan]])
    assert problem_to_json(planned.problem) == problem_to_json(problem)
    assert plan_to_json(planned.plan) == plan_to_json(plan)
    assert planned.at_deadline
    assert acted.plan == planned.entry
    assert (acted.wanted, acted.wanted.reason, acted.cuts) == (actions, "as told", (cut,))
    assert acted.report == report
    assert session.ending == "done"


@given(
    st.floats(0.0, 1e12),
    st.lists(st.integers(0, 10**9), max_size=4),
    st.floats(0.0, 1e9, allow_subnormal=False),
)
@settings(max_examples=50, deadline=None)
def test_an_observation_survives_bit_for_bit(time_s, counts, bill_usd):
    seen = Observation(time_s, (), 5.0, counts, counts, counts, counts, bill_usd=bill_usd)
    again = read_observation(pack_observation(seen), "here")
    assert (again.time_s, again.bill_usd) == (time_s, bill_usd)
    assert again.arrivals.tolist() == counts


def test_a_reader_sees_each_entry_while_the_writer_goes_on(tmp_path):
    journal = opened(tmp_path / "j")
    with JournalReader(tmp_path / "j") as reader:
        for number in range(5):
            journal.observation(make_observation(5.0 * number))
            assert len(list(reader.entries(1))) == number + 1
            assert reader.last_time_s() == 5.0 * number
    journal.close("done")


def test_a_journal_has_one_driver_at_a_time(tmp_path):
    journal = opened(tmp_path / "j")
    with pytest.raises(ConfigError, match="driven by process"):
        Journal(tmp_path / "j", "toy")
    journal.close("done")
    Journal(tmp_path / "j", "toy").close("done")


def test_a_killed_driver_holds_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=die_holding, args=(tmp_path / "j", ready))
    process.start()
    assert ready.wait(60.0)
    with pytest.raises(ConfigError, match=f"driven by process {process.pid}"):
        Journal(tmp_path / "j", "toy")
    process.kill()
    process.join()
    journal = Journal(tmp_path / "j", "toy")
    (session,) = journal.reader.sessions()
    assert session.ending is None
    journal.close("done")


def die_holding(path, ready):
    journal = opened(path)
    ready.set()
    time.sleep(600.0)
    journal.close("not killed")


def test_a_journal_of_another_deployment_is_refused(tmp_path):
    opened(tmp_path / "j").close("done")
    with pytest.raises(ConfigError, match="is the journal of deployment 'toy'"):
        Journal(tmp_path / "j", "other")


@pytest.mark.parametrize(
    "content", [b"", b"no database at all", b"SQLite format 3\0" + b"\0" * 500]
)
def test_what_is_no_journal_is_refused(tmp_path, content):
    path = tmp_path / "j"
    path.write_bytes(content)
    with pytest.raises(DataError, match="j'"):
        JournalReader(path)


def test_a_database_of_something_else_is_neither_read_nor_written(tmp_path):
    path = tmp_path / "j"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE meta (key, value)")
    other.close()
    before = path.read_bytes()
    for kind in (JournalReader, lambda path: Journal(path, "toy")):
        with pytest.raises(DataError, match="expected a journal"):
            kind(path)
    assert path.read_bytes() == before


def test_a_journal_of_a_later_version_is_refused(tmp_path):
    opened(tmp_path / "j").close("done")
    with sqlite3.connect(tmp_path / "j") as other:
        other.execute("UPDATE meta SET value = 'markopt.journal/9' WHERE key = 'schema'")
    other.close()
    with pytest.raises(DataError, match=r"reads 'markopt\.journal/1', got 'markopt\.journal/9'"):
        JournalReader(tmp_path / "j")


@pytest.mark.parametrize(
    "blob",
    [b"", b"\x80\x04.", packed("{}"), packed("[1]"), packed('{"time_s": 1}')[:-3]],
    ids=["empty", "pickle", "no keys", "list", "cut short"],
)
def test_a_damaged_document_is_a_data_error_that_names_its_entry(tmp_path, blob):
    journal = opened(tmp_path / "j")
    journal.observation(make_observation())
    journal.close("done")
    with sqlite3.connect(tmp_path / "j") as other:
        other.execute("UPDATE observation SET document = ?", (blob,))
    other.close()
    with JournalReader(tmp_path / "j") as reader, pytest.raises(DataError, match="entry 1"):
        list(reader.entries(1))


def test_what_inflates_beyond_measure_is_refused(monkeypatch):
    monkeypatch.setattr("markopt.control.journal.documents.LARGEST_DOCUMENT", 1000)
    with pytest.raises(DataError, match="at most 1000 bytes"):
        unpacked(packed("x" * 10_000), "entry 1")


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_a_text_that_is_no_actions_is_a_data_error(text):
    with pytest.raises(DataError, match="entry 1"):
        read_actions(text, "entry 1")


def test_an_intent_that_is_there_twice_is_refused(tmp_path):
    journal = opened(tmp_path / "j")
    journal.intend(0.0, Actions("a"), Actions("a"), (), kind="plan", mode="act")
    with pytest.raises(sqlite3.IntegrityError):
        journal.intend(0.0, Actions("a"), Actions("a"), (), kind="plan", mode="act")
    assert len(list(journal.reader.entries(1))) == 1
    journal.close("done")
