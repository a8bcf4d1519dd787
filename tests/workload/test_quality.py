"""Dirty data is found, clean data is not called dirty, and the workload does as it is told."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.cli import main
from markopt.errors import ConfigError, DataError
from markopt.workload import Trace, TraceWorkload, read_trace
from markopt.workload.quality import KINDS, check_trace, masked_intervals
from markopt.workload.quality import rule as quality_rule


def trace_of(counts, bin_s=60.0, first=0):
    """Return a trace of counts; rows whose count is NaN are left out, as files leave them."""
    counts = np.asarray(counts, dtype=float)
    known = np.flatnonzero(np.isfinite(counts))
    return Trace.from_rows("made", bin_s * (first + known), counts[known], counts=True)


def poisson(rate=40.0, count=2000, seed=0):
    return np.random.default_rng(seed).poisson(rate, count).astype(float)


def kinds(counts, **kwargs):
    return [finding.kind for finding in check_trace(trace_of(counts, **kwargs))]


def only(counts, kind):
    """Return the one finding of ``kind``; nothing but gaps may be found beside it."""
    findings = [f for f in check_trace(trace_of(counts)) if f.kind != "gap" or kind == "gap"]
    assert [f.kind for f in findings] == [kind], findings
    assert kind in KINDS
    assert findings[0].evidence
    return findings[0]


def test_a_gap_is_found_where_rows_are_missing():
    counts = poisson()
    counts[500:530] = np.nan
    finding = only(counts, "gap")
    assert (finding.start_s, finding.length_s) == (30000.0, 1800.0)


def test_a_burst_that_holds_what_the_gap_lacks_is_a_catch_up():
    counts = poisson()
    counts[500:530] = np.nan
    counts[530:532] += 600.0
    finding = only(counts, "catch_up")
    assert (finding.start_s, finding.end_s) == (31800.0, 31920.0)


def test_an_ordinary_burst_after_a_gap_is_no_catch_up():
    counts = poisson()
    counts[np.arange(len(counts)) % 60 < 5] *= 4.0
    counts[570:600] = np.nan  # the burst of minute 600 comes at its hour, as all do
    assert kinds(counts) == ["gap"]


def test_a_cumulative_counter_is_told_from_counts_and_its_resets_are_found():
    counter = np.cumsum(poisson())
    counter[700:] -= counter[699]
    findings = check_trace(trace_of(counter))
    assert [f.kind for f in findings] == ["counter", "counter_reset"]
    assert findings[0].length_s == 60.0 * len(counter)
    assert findings[1].start_s == 42000.0


def test_zeros_in_a_busy_process_are_no_data():
    counts = poisson()
    counts[900:930] = 0.0
    finding = only(counts, "silence")
    assert (finding.start_s, finding.length_s) == (54000.0, 1800.0)


def test_an_outage_of_a_service_that_also_idles_is_found_by_its_length():
    idle = np.cumsum(np.random.default_rng(4).random(4000) < 0.2) % 2
    counts = poisson(30.0, 4000) * idle
    assert kinds(counts) == []
    counts[2000:2600] = 0.0
    finding = only(counts, "silence")
    assert finding.start_s <= 120000.0 < 155900.0 <= finding.end_s


def test_a_value_that_sticks_is_found_and_a_steady_load_is_not_dirty():
    counts = poisson()
    counts[300:312] = counts[300]
    finding = only(counts, "stuck")
    assert finding.start_s <= 18000.0 < 18660.0 <= finding.end_s
    assert kinds(np.full(500, 600.0)) == []


def test_a_copied_stretch_is_found_and_a_periodic_series_is_not_dirty():
    counts = poisson()
    counts[1200:1260] = counts[100:160]
    finding = only(counts, "copy")
    assert abs(finding.start_s - 72000.0) <= 120.0
    assert finding.length_s >= 3500.0
    assert kinds(250.0 + 100.0 * (np.arange(2000) % 7)) == []


@pytest.mark.parametrize("factor", [60.0, 1 / 60.0, 1000.0])
def test_a_change_of_unit_is_found_with_its_end(factor):
    counts = poisson(5000.0)
    counts[600:900] = np.round(counts[600:900] * factor)
    finding = only(counts, "unit_change")
    assert (finding.start_s, finding.length_s) == (36000.0, 18000.0)


def test_a_surge_of_another_size_is_no_change_of_unit():
    counts = poisson(50.0)
    counts[600:900] *= 20.0
    assert kinds(counts) == []


def mmpp(rng, count, rate):
    state = np.cumsum(rng.random(count) < rng.uniform(0.01, 0.2)) % 3
    return rng.poisson(np.array([0.0, rate, 10.0 * rate])[state]).astype(float)


def test_clean_poisson_and_modulated_traces_give_no_false_alarm():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(60):
        rate = 10.0 ** rng.uniform(-2.0, 3.0)
        alarms += bool(kinds(rng.poisson(rate, 1500)))
        alarms += bool(kinds(mmpp(rng, 1500, rate)))
    assert alarms == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(0, 100))
def test_any_short_trace_can_be_checked_and_findings_lie_within_it(values, first):
    trace = trace_of(values, first=first)
    for finding in check_trace(trace):
        assert finding.start_s >= 0.0
        assert finding.length_s > 0.0
        assert finding.end_s <= trace.duration_s + 1e-6


def test_masked_intervals_are_those_that_a_finding_touches():
    counts = poisson()
    counts[900:930] = 0.0
    findings = check_trace(trace_of(counts))
    masked = masked_intervals(findings, 0.0, 300.0, 400)
    assert np.flatnonzero(masked).tolist() == [180, 181, 182, 183, 184, 185]
    assert not masked_intervals(findings, 60000.0, 300.0, 10).any()


@pytest.fixture
def dirty(write_trace):
    """A file with half an hour of zeros in its first third."""
    counts = poisson()
    counts[500:530] = 0.0
    rows = [f"{60 * k},{int(n)}" for k, n in enumerate(counts)]
    return write_trace("\n".join(["second,requests", *rows]) + "\n")


def built(path, **settings):
    return TraceWorkload(path, history_s=60000.0, evaluate_s=60000.0, **settings).build()


def test_a_warning_is_one_line_with_count_first_finding_and_option(dirty, caplog):
    quality_rule._said.clear()
    with caplog.at_level(logging.WARNING, logger="markopt.workload"):
        warned = built(dirty)
        built(dirty)
    [line] = [record.getMessage() for record in caplog.records]
    assert "\n" not in line
    assert "1 suspicious stretch;" in line
    assert "silence of 1800 s from 30000 s" in line
    assert "workload.quality=mask" in line
    assert np.all(np.isfinite(warned.history.rate_rps))


def test_mask_makes_no_data_of_the_history_alone(dirty, caplog):
    plain, masked = built(dirty, quality="ignore"), built(dirty, quality="mask")
    assert not caplog.records
    missing = np.isnan(masked.history.rate_rps)
    assert np.flatnonzero(missing).tolist() == list(range(500, 530))
    np.testing.assert_array_equal(
        plain.history.rate_rps[~missing], masked.history.rate_rps[~missing]
    )
    for workload in (plain, masked):
        assert (workload.start_s, workload.end_s) == (60000.0, 120000.0)


def test_a_mask_does_not_look_at_what_comes_after_the_history(dirty, write_trace):
    rows = read_trace(dirty)
    counts = rows.rate_rps * 60.0
    counts[1000:] = 7.0
    text = "".join(f"{60 * k},{n:.0f}\n" for k, n in enumerate(counts))
    other = write_trace("second,requests\n" + text, "other.csv")
    one, two = built(dirty, quality="mask"), built(other, quality="mask")
    np.testing.assert_array_equal(one.history.rate_rps, two.history.rate_rps)


def test_error_refuses_a_dirty_trace_in_one_line(dirty):
    with pytest.raises(DataError, match=r"silence of 1800 s from 30000 s.*quality=warn") as caught:
        built(dirty, quality="error")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="quality"):
        built(dirty, quality="loud")


def test_a_masked_counter_leaves_no_history_and_says_so(write_trace):
    text = "".join(f"{60 * k},{n:.0f}\n" for k, n in enumerate(np.cumsum(poisson())))
    path = write_trace("second,requests\n" + text)
    with pytest.raises(DataError, match="leaves no data in the history: counter"):
        built(path, quality="mask")


def test_data_check_lists_findings_as_a_table_and_as_json(dirty, capsys):
    assert main(["data", "check", dirty]) == 0
    shown = capsys.readouterr().out
    assert "silence" in shown
    assert "30000" in shown
    assert main(["data", "check", dirty, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["bin_s"] == 60.0
    [finding] = document["findings"]
    assert (finding["kind"], finding["start_s"], finding["length_s"]) == (
        "silence",
        30000.0,
        1800.0,
    )


def test_data_check_refuses_what_is_no_trace_with_one_line(write_trace, capsys):
    for path in ("missing.csv", write_trace("a,b\n1,2\n")):
        assert main(["data", "check", path]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert len(captured.err.splitlines()) == 1


def test_the_shipped_sample_is_clean():
    assert check_trace(read_trace("traces/sample.csv.gz")) == ()


def test_real_traces_show_their_holes_and_no_invented_silence(real_traces):
    twitter = read_trace(real_traces / "twitter_2021-08_14d_per_second.csv.gz")
    findings = check_trace(twitter)
    assert {f.kind for f in findings} == {"gap"}
    nightly = [f for f in findings if f.length_s > 1700.0 and f.start_s % 86400.0 > 84000.0]
    assert len(nightly) >= 13
    names = [f"azure_functions_2019_f{k}_per_minute" for k in ("00", "02", "04", "06", "08")]
    for name in [*names, "worldcup98_first50d_per_minute", "nab_elb_2014_5min"]:
        found = {f.kind for f in check_trace(read_trace(real_traces / f"{name}.csv.gz"))}
        # f04 calls like a timer: twice in each of 86 minutes, which is worth a look.
        assert found <= ({"stuck"} if "f04" in name else {"gap"}), name
