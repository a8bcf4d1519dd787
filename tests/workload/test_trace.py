import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.errors import ConfigError, DataError
from markopt.workload import Gap, RequestTrace, Trace


def with_gap() -> Trace:
    times_s = np.array([0.0, 10.0, 20.0, 60.0, 70.0])
    return Trace.from_rows("t", times_s + 500.0, np.array([10.0, 20, 30, 70, 80]), counts=True)


def test_error_names_the_first_gap_in_the_files_time_and_the_option():
    with pytest.raises(DataError, match=r"gap of 30 s from 530 s on \(the first of 1\).*gaps=hold"):
        with_gap().filled("error")


def test_hold_goes_on_with_the_mean_before_the_gap():
    filled = with_gap().filled("hold")
    np.testing.assert_allclose(filled.rate_rps, [1, 2, 3, 2, 2, 2, 7, 8])
    np.testing.assert_allclose(filled.edges_s, np.arange(9) * 10.0)


def test_interpolate_goes_in_a_line_between_the_means_beside_the_gap():
    filled = with_gap().filled("interpolate")
    before, after = 2.0, 7.5
    line = before + (after - before) * np.array([1.0, 3.0, 5.0]) / 6.0
    np.testing.assert_allclose(filled.rate_rps, [1, 2, 3, *line, 7, 8])


def test_split_keeps_the_longest_span_and_starts_over_at_zero():
    trace = Trace.from_rows(
        "t", np.array([0.0, 1, 5, 6, 7, 20]), np.arange(6.0), counts=False
    ).filled("split")
    np.testing.assert_allclose(trace.rate_rps, [2, 3, 4])
    np.testing.assert_allclose(trace.edges_s, [0, 1, 2, 3])
    assert trace.origin_s == 5.0
    assert trace.gaps == ()


def test_a_filled_trace_still_lists_its_gaps():
    assert with_gap().filled("hold").gaps == (Gap(30.0, 30.0),)
    np.testing.assert_allclose(with_gap().filled("hold").gap_shares(0.0, 20.0, 4), [0, 0.5, 1, 0])


def test_an_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match=r"workload\.gaps: expected one of error, hold"):
        with_gap().filled("ignore")


def test_a_trace_without_gaps_passes_every_rule():
    trace = Trace.from_rows("t", np.arange(3.0), np.ones(3), counts=True)
    assert all(trace.filled(rule) is trace for rule in ("error", "hold", "interpolate", "split"))


def test_a_slightly_late_row_is_no_gap():
    trace = Trace.from_rows("t", np.array([0.0, 10, 20, 34, 44]), np.full(5, 14.0), counts=True)
    assert trace.gaps == ()
    np.testing.assert_allclose(trace.rate_rps, [1.4, 1.4, 1.0, 1.4, 1.4])


def test_a_window_before_the_first_row_is_not_needed_to_fill():
    trace = Trace.from_rows("t", np.array([0.0, 900, 901, 902]), np.full(4, 3.0), counts=True)
    np.testing.assert_allclose(trace.filled("interpolate").rate_rps, 3.0)


def test_request_times_are_counted_per_bin():
    binned = RequestTrace("t", 0.0, np.array([0.0, 0.5, 0.5, 2.999, 3.0])).binned()
    np.testing.assert_allclose(binned.rate_rps, [3, 0, 1, 1])


@pytest.mark.parametrize("times_s", [[], [1.0, 0.5], [np.nan], [-1.0, 0.0]])
def test_request_times_must_be_some_finite_sorted_and_not_negative(times_s):
    with pytest.raises(DataError, match="times_s must be"):
        RequestTrace("t", 0.0, np.array(times_s))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.floats(0.0, 1e4)), min_size=2, max_size=30),
    st.sampled_from(["hold", "interpolate"]),
)
def test_filling_keeps_every_known_bin_and_leaves_no_hole(rows, rule):
    times_s = np.cumsum([step for step, _ in rows]).astype(float)
    values = np.array([value for _, value in rows])
    trace = Trace.from_rows("t", times_s, values, counts=False)
    filled = trace.filled(rule)
    assert np.all(np.isfinite(filled.rate_rps))
    assert filled.duration_s == trace.duration_s
    assert np.all(filled.rate_rps <= values.max() * (1 + 1e-9) + 1e-9)
    at = np.searchsorted(filled.edges_s, trace.edges_s[:-1][~np.isnan(trace.rate_rps)])
    np.testing.assert_array_equal(filled.rate_rps[at], trace.rate_rps[~np.isnan(trace.rate_rps)])


@settings(deadline=None)
@given(st.lists(st.floats(0.0, 1e4), min_size=6, max_size=60), st.integers(1, 7))
def test_mean_rates_keep_the_number_of_requests(rates, interval):
    trace = Trace("t", 0.0, 1.0, np.arange(len(rates) + 1.0), np.array(rates))
    count = len(rates) // interval
    if count:
        means = trace.mean_rates(0.0, float(interval), count)
        np.testing.assert_allclose(
            means.sum() * interval, sum(rates[: count * interval]), rtol=1e-9, atol=1e-9
        )


def test_a_gap_of_thirty_thousand_years_is_filled_all_the_same():
    trace = Trace.from_rows("t", np.array([0.0, 1, 2, 1e12]), np.ones(4), counts=True)
    assert trace.filled("interpolate").duration_s == 1e12 + 1.0


def test_bins_of_nanoseconds_are_told_apart():
    trace = Trace.from_rows("t", np.array([0.0, 1e-9, 2e-9]), np.ones(3), counts=True)
    assert trace.bin_s == pytest.approx(1e-9)


def test_a_gap_that_is_not_filled_counts_as_no_requests():
    np.testing.assert_allclose(with_gap().mean_rates(0.0, 20.0, 4), [1.5, 1.5, 0.0, 7.5])


def test_another_gap_nearby_does_not_dilute_what_a_gap_is_filled_with():
    times_s = np.array([0.0, 1, 2, 3, 6, 16, 17, 18])
    trace = Trace.from_rows("t", times_s, np.full(8, 5.0), counts=True)
    assert len(trace.gaps) == 2
    np.testing.assert_allclose(trace.filled("interpolate").rate_rps, 5.0)
