import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.errors import DataError
from markopt.workload import Gap, RequestTrace, Trace, read_trace


def test_counts_become_rates_of_their_bin(write_trace):
    trace = read_trace(write_trace("second,requests\n0,20\n10,0\n20,35\n"))
    assert isinstance(trace, Trace)
    assert trace.bin_s == 10.0
    assert trace.duration_s == 30.0
    np.testing.assert_allclose(trace.rate_rps, [2.0, 0.0, 3.5])
    assert trace.gaps == ()


def test_rates_stay_rates(write_trace):
    trace = read_trace(write_trace("timestamp_s,rate_rps\n0,2\n60,1.5\n"))
    np.testing.assert_allclose(trace.rate_rps, [2.0, 1.5])
    assert trace.duration_s == 120.0


def test_request_times_may_repeat_and_have_other_columns(write_trace):
    trace = read_trace(write_trace("tokens,arrival_s\n7,0.5\n8,0.5\n9,1.25\n"))
    assert isinstance(trace, RequestTrace)
    np.testing.assert_allclose(trace.times_s, [0.5, 0.5, 1.25])
    assert trace.duration_s == 2.0


def test_gzip_gives_the_same_as_plain(write_trace):
    text = "second,requests\n0,20\n10,0\n"
    plain, zipped = read_trace(write_trace(text)), read_trace(write_trace(text, "trace.csv.gz"))
    np.testing.assert_array_equal(plain.rate_rps, zipped.rate_rps)
    assert plain.name == zipped.name == "trace"


def test_windows_line_ends_and_a_byte_order_mark_are_accepted(write_trace):
    trace = read_trace(write_trace("\ufeffsecond,requests\r\n0,20\r\n10,0\r\n"))
    np.testing.assert_allclose(trace.rate_rps, [2.0, 0.0])


def test_blank_lines_and_blanks_around_numbers_are_passed_over(write_trace):
    trace = read_trace(write_trace("second, requests\n0, 20\n\n 10 ,30\n\n"))
    np.testing.assert_allclose(trace.rate_rps, [2.0, 3.0])


def test_time_starts_at_zero_and_the_files_own_zero_is_kept(write_trace):
    trace = read_trace(write_trace("second,requests\n1000,1\n1060,2\n1120,3\n"))
    assert trace.origin_s == 1000.0
    np.testing.assert_allclose(trace.edges_s, [0.0, 60.0, 120.0, 180.0])


def test_gaps_are_listed_and_have_no_rate(write_trace):
    trace = read_trace(write_trace("second,requests\n0,1\n1,2\n2,3\n5,4\n6,5\n10,6\n"))
    assert trace.bin_s == 1.0
    assert trace.gaps == (Gap(3.0, 2.0), Gap(7.0, 3.0))
    np.testing.assert_array_equal(
        np.isnan(trace.rate_rps), [False, False, False, True, False, False, True, False]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; expected the header"),
        ("\n\n", "the file is empty"),
        ("second,requests\n", "no rows; expected at least two"),
        ("second,requests", "no rows; expected at least two"),
        ("second,requests\n0,1\n", "at least two rows after the header, got one"),
        ("arrival_s\n0.5\n", "at least two rows after the header, got one"),
        ("seconds,requests\n0,1\n1,2\n", "row 1: expected the header .* got 'seconds,requests'"),
        ("second,requests,x\n0,1,2\n1,2,2\n", "row 1: expected the header"),
        ("0,1\n1,2\n", "row 1: expected the header .* got '0,1'"),
        ("second,requests\n0,1\n1,nan\n2,3\n", "row 3: requests must be finite, got 'nan'"),
        ("second,requests\n0,1\n1,\n2,3\n", "row 3: requests must be a number, got ''"),
        ("second,requests\n0,1\n1,-4\n2,3\n", "row 3: requests must not be negative, got -4"),
        ("second,requests\n0,1\n1,inf\n2,3\n", "row 3: requests must be finite, got 'inf'"),
        ("second,requests\n0,1\nNaN,2\n2,3\n", "row 3: second must be finite, got 'NaN'"),
        ("second,requests\n-1,1\n0,2\n1,3\n", "row 2: second must not be negative, got -1"),
        ("second,requests\n0,1\n1,many\n2,3\n", "row 3: requests must be a number, got 'many'"),
        ("second,requests\n0,1\n2,2\n1,3\n", "row 4: second must be sorted, got 1 after 2"),
        ("second,requests\n0,1\n1,2\n1,3\n", "row 4: second must not repeat, got 1 again"),
        ("second,requests\n0,1\n1,2,9\n2,3\n", "row 3: expected 2 values, got 3"),
        ("second,requests\n0,1\n1\n2,3\n", "row 3: expected 2 values, got 1"),
        ("timestamp_s,rate_rps\n0,1\n1,-0.5\n", "row 3: rate_rps must not be negative, got -0.5"),
        ("second,requests\r0,1\r1,2\r", "row 1: expected the header .*no CSV"),
        ("arrival_s,arrival_s\n0.5,1\n0.6,2\n", "one column 'arrival_s', got several"),
        ("second,requests\n0,1\n1_0,2\n11,3\n", "cannot be read as CSV: .*1_0"),
        ("second,requests\n0,1\n1,\0\n11,3\n", "row 3: "),
        ("arrival_s\n0.5\n0.25\n", "row 3: arrival_s must be sorted, got 0.25 after 0.5"),
        ("arrival_s\n0.5\ninf\n", "row 3: arrival_s must be finite, got 'inf'"),
        ("arrival_s\n0.5\n\n-0.25\n", "row 4: arrival_s must not be negative, got -0.25"),
    ],
)
@pytest.mark.parametrize("name", ["bad.csv", "bad.csv.gz"])
def test_bad_rows_are_named_in_one_line(write_trace, text, message, name):
    with pytest.raises(DataError, match=message) as raised:
        read_trace(write_trace(text, name))
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named():
    with pytest.raises(DataError, match=r"nowhere/x\.csv: no such file"):
        read_trace("nowhere/x.csv")


def test_a_folder_is_no_trace(tmp_path):
    with pytest.raises(DataError, match=r"expected a trace.*got a folder"):
        read_trace(tmp_path)


def test_a_file_named_gz_must_be_gzip(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_text("second,requests\n0,1\n1,2\n")
    with pytest.raises(DataError, match=r"expected gzip content in a file named \.gz, got bytes"):
        read_trace(path)


def test_a_truncated_gzip_file_is_refused(write_trace):
    path = write_trace("second,requests\n" + "".join(f"{k},{k}\n" for k in range(999)), "t.csv.gz")
    with open(path, "rb+") as file:  # noqa: PTH123 - truncates in place
        file.truncate(200)
    with pytest.raises(DataError, match="damaged gzip file"):
        read_trace(path)


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match="not UTF-8"):
        read_trace(path)


@settings(deadline=None)
@given(
    steps=st.lists(st.integers(1, 5), min_size=1, max_size=40),
    counts=st.lists(st.integers(0, 1000), min_size=41, max_size=41),
)
def test_no_request_is_lost_between_file_and_trace(tmp_path_factory, steps, counts):
    seconds = np.concatenate([[0], np.cumsum(steps)])
    path = tmp_path_factory.mktemp("t") / "t.csv"
    rows = list(zip(seconds.tolist(), counts, strict=False))
    path.write_text("second,requests\n" + "".join(f"{s},{c}\n" for s, c in rows))
    trace = read_trace(path)
    requests = np.nansum(trace.rate_rps * np.diff(trace.edges_s))
    np.testing.assert_allclose(requests, sum(c for _, c in rows))
    assert abs(trace.duration_s - seconds[-1] - trace.bin_s) < 1e-9


def test_the_real_twitter_trace_has_the_holes_that_its_readme_tells_of(real_traces):
    trace = read_trace(real_traces / "twitter_2021-08_14d_per_second.csv.gz")
    assert trace.bin_s == 1.0
    assert trace.duration_s == 1207861.0
    nightly = [gap for gap in trace.gaps if gap.length_s in (1739.0, 1740.0)]
    assert len(nightly) == 13
    assert len(trace.gaps) == 40
    known_s = trace.duration_s - sum(gap.length_s for gap in trace.gaps)
    assert known_s == 1184298.0
    assert np.nanmean(trace.rate_rps) == pytest.approx(65.0, abs=1.0)


@pytest.mark.parametrize(
    "name",
    [
        "nab_elb_2014_5min",
        "worldcup98_first50d_per_minute",
        "azure_functions_2019_f08_per_minute",
        "azure_llm_2023_conv_arrivals",
        "twitter_may25_07h_08h_arrivals",
    ],
)
def test_every_kind_of_real_trace_is_read(real_traces, name):
    trace = read_trace(real_traces / f"{name}.csv.gz")
    assert trace.name == name
    assert trace.duration_s > 3400.0
