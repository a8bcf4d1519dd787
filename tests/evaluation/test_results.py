import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.errors import ConfigError, DataError
from markopt.evaluation.folder import require_free, whole_folder
from markopt.evaluation.outcome import SUMMARY_SCHEMA, summarize, summarize_timing
from markopt.evaluation.results import interval_table, read_episode, write_episode
from tests.evaluation.synthetic import episode

REQUIRED_KEYS = {
    "policy",
    "trace",
    "seed",
    "requests",
    "slo",
    "latency_s",
    "cost_usd",
    "launches",
    "interruptions",
    "planner",
    "forecast",
    "clairvoyant_bound_usd",
    "cost_over_bound",
}


def test_summary_has_every_key_of_the_contract():
    summary = summarize(episode())
    assert summary.keys() >= REQUIRED_KEYS
    assert summary["schema"] == SUMMARY_SCHEMA
    assert summary["requests"].keys() == {
        "total",
        "instances",
        "lambda",
        "refused",
        "throttled",
        "lost",
    }
    assert summary["slo"].keys() >= {"rt_max_s", "sl_min", "attainment", "worst_window_attainment"}
    assert summary["latency_s"].keys() >= {"p50", "p90", "p95", "p98", "p99", "p999", "max"}
    assert summary["cost_usd"].keys() == {
        "total",
        "on_demand",
        "spot",
        "burstable",
        "lambda",
        "warm",
    }
    assert summary["planner"]["rungs"] == {"incumbent": 26, "optimal": 154}


def test_requests_are_served_spilled_or_refused():
    requests = summarize(episode())["requests"]
    assert requests["instances"] + requests["lambda"] + requests["refused"] == requests["total"]


def test_total_cost_is_the_sum_of_its_kinds():
    cost = summarize(episode())["cost_usd"]
    assert sum(usd for kind, usd in cost.items() if kind != "total") == pytest.approx(cost["total"])


@settings(max_examples=25, deadline=None)
@given(st.floats(0.0, 0.2), st.integers(1, 130))
def test_worst_window_never_exceeds_the_attainment(missed_share, intervals):
    slo = summarize(episode(missed_share=missed_share, intervals=intervals))["slo"]
    assert 0.0 <= slo["worst_window_attainment"] <= slo["attainment"] + 1e-12


def test_cost_over_bound_is_given_only_where_the_slo_is_met():
    assert summarize(episode(missed_share=0.01))["cost_over_bound"] == pytest.approx(1.0 / 0.6)
    missing = summarize(episode(missed_share=0.05))
    assert missing["cost_over_bound"] is None
    assert missing["clairvoyant_bound_usd"] is not None


def test_clock_readings_stay_out_of_the_summary():
    slow = episode()
    quick = replace(
        slow,
        wall_s={},
        intervals=tuple(replace(r, plan_wall_s=0.0, forecast_wall_s=0.0) for r in slow.intervals),
    )
    assert summarize(slow) == summarize(quick)
    assert summarize_timing(slow)["plan_s"] != summarize_timing(quick)["plan_s"]


def test_an_episode_without_requests_has_a_summary_without_nan():
    empty = episode(intervals=2)
    nothing = np.zeros(24, dtype=np.int64)
    statistics = replace(
        empty.statistics,
        arrivals=nothing,
        late=nothing,
        refused=nothing,
        spilled=nothing,
        latency_counts={"instances": np.zeros(530, dtype=np.int64)},
        latency_sum_s=0.0,
    )
    summary = summarize(replace(empty, statistics=statistics))
    json.dumps(summary, allow_nan=False)
    assert summary["latency_s"]["p98"] is None
    assert summary["slo"]["worst_window_attainment"] is None


def test_same_result_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_episode(episode(), tmp_path / name)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_an_episode_reads_back_as_it_was_written(tmp_path):
    result = episode()
    write_episode(result, tmp_path)
    files = read_episode(tmp_path)
    origin = {"config": result.config, "provenance": {}}
    assert files.summary == {**summarize(result), **origin}
    assert len(files.intervals) == files.decision_count == len(result.intervals)
    assert files.intervals["arrivals"].sum() == result.statistics.requests
    assert files.intervals["bill_usd"].iloc[-1] == result.intervals[-1].bill_usd
    answered = sum(int(c.sum()) for c in result.statistics.latency_counts.values())
    assert files.latency[["instances", "lambda"]].to_numpy().sum() == answered


def test_interval_rows_keep_every_request_that_the_statistics_count():
    result = episode(intervals=10)
    extra = replace(
        result.statistics,
        **{
            name: np.append(getattr(result.statistics, name), 3)
            for name in ("arrivals", "late", "refused", "spilled")
        },
    )
    table = interval_table(replace(result, statistics=extra))
    assert sum(table["arrivals"].to_pylist()) == extra.requests


@pytest.mark.parametrize("name", ["summary.json", "timing.json", "intervals.parquet"])
def test_a_missing_file_is_named(tmp_path, name):
    write_episode(episode(intervals=5), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=name):
        read_episode(tmp_path)


def test_damaged_files_are_named_with_what_was_expected(tmp_path):
    write_episode(episode(intervals=5), tmp_path)
    (tmp_path / "decisions.jsonl").write_text('{"time_s": 0}\nnot json\n')
    with pytest.raises(DataError, match=r"decisions\.jsonl, line 2: expected a JSON object"):
        read_episode(tmp_path)
    (tmp_path / "latency.parquet").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"latency\.parquet: expected a Parquet table"):
        read_episode(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps({**summary, "schema": "markopt.summary/99"}))
    with pytest.raises(DataError, match=r"schema.*markopt\.summary/1.*markopt\.summary/99"):
        read_episode(tmp_path)


def test_an_error_leaves_no_folder_behind(tmp_path):
    target = tmp_path / "deep" / "result"
    with pytest.raises(RuntimeError), whole_folder(target) as folder:  # noqa: PT012
        (folder.path / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_folders_of_others(tmp_path):
    target = tmp_path / "deep" / "result"
    with pytest.raises(RuntimeError), whole_folder(target):  # noqa: PT012
        (tmp_path / "deep" / "other").mkdir()
        raise RuntimeError
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["other"]


def test_a_folder_that_cannot_be_made_is_an_error_of_its_setting(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", "deep")

    monkeypatch.setattr(Path, "mkdir", refuse)
    refused = pytest.raises(ConfigError, match="result: cannot be made: Permission denied")
    with refused, whole_folder(tmp_path / "deep" / "result"):
        pass


def test_a_folder_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "result"
    with whole_folder(target) as folder:
        (folder.path / "file").write_text("x")
        assert not target.exists()
    assert (target / "file").read_text() == "x"
    assert folder.final == target


def test_an_existing_result_is_never_overwritten(tmp_path):
    (tmp_path / "result").mkdir()
    require_free(tmp_path / "result")
    (tmp_path / "result" / "file").write_text("x")
    with pytest.raises(ConfigError, match="must not exist yet"):
        require_free(tmp_path / "result")
    with pytest.raises(ConfigError, match="it is a file"):
        require_free(tmp_path / "result" / "file" / "below")


def test_numbered_folders_take_the_next_free_number(tmp_path):
    finals = []
    for text in "abc":
        with whole_folder(tmp_path / "run", numbered=True) as folder:
            (folder.path / "file").write_text(text)
        finals.append(folder.final)
    assert finals == [tmp_path / "run", tmp_path / "run-2", tmp_path / "run-3"]
    assert [Path(final, "file").read_text() for final in finals] == ["a", "b", "c"]
