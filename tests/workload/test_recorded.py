import numpy as np
import pytest

from markopt.errors import ConfigError, DataError
from markopt.workload import ReplayWorkload, TraceWorkload, read_trace, realised_rates

MINUTES = 60
RATES_RPS = 20.0 + 10.0 * np.sin(np.arange(MINUTES * 6) / 20.0)


def counts_text(rates_rps=RATES_RPS, bin_s=10, left_out=()):
    rows = (
        f"{k * bin_s},{round(rate * bin_s)}\n"
        for k, rate in enumerate(rates_rps)
        if k not in left_out
    )
    return "second,requests\n" + "".join(rows)


@pytest.fixture
def hour(write_trace):
    return write_trace(counts_text(), "hour.csv.gz")


def test_the_evaluated_span_is_the_traces_end_and_the_history_lies_before_it(hour):
    workload = TraceWorkload(hour, history_s=1200.0, evaluate_s=600.0).build()
    assert (workload.start_s, workload.end_s) == (3000.0, 3600.0)
    assert workload.history.start_s == 1800.0
    assert workload.history.end_s == workload.start_s
    assert workload.name == "hour"
    expected = np.rint(RATES_RPS * 10.0)[180:300].reshape(-1, 6).mean(axis=1) / 10.0
    np.testing.assert_allclose(workload.history.rate_rps, expected)


def test_lengths_that_are_not_given_follow_from_the_trace(hour):
    quarter = TraceWorkload(hour).build()
    assert (quarter.start_s, quarter.end_s, len(quarter.history)) == (2700.0, 3600.0, 45)
    rest = TraceWorkload(hour, history_s=600.0).build()
    assert (rest.start_s, rest.end_s, len(rest.history)) == (600.0, 3600.0, 10)
    last = TraceWorkload(hour, evaluate_s=1200.0).build()
    assert (last.start_s, len(last.history)) == (2400.0, 40)
    chosen = TraceWorkload(hour, start_s=1200.0, evaluate_s=600.0, history_s=300.0).build()
    assert (chosen.start_s, chosen.end_s, chosen.history.start_s) == (1200.0, 1800.0, 900.0)
    onward = TraceWorkload(hour, start_s=1200.0).build()
    assert (onward.start_s, onward.end_s, len(onward.history)) == (1200.0, 3600.0, 20)


def test_a_last_part_of_an_interval_is_left_out(write_trace):
    path = write_trace(counts_text(RATES_RPS[:-4]))
    workload = TraceWorkload(path, evaluate_s=600.0).build()
    assert workload.end_s == 3540.0


def test_a_history_of_nothing_is_allowed(hour):
    assert len(TraceWorkload(hour, history_s=0.0, evaluate_s=600.0).build().history) == 0


@pytest.mark.parametrize("thin", ["poisson", "exact"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 1.8])
def test_scale_multiplies_history_and_arrivals(hour, thin, scale):
    workload = TraceWorkload(hour, scale=scale, thin=thin, evaluate_s=1800.0).build()
    plain = TraceWorkload(hour, evaluate_s=1800.0).build()
    np.testing.assert_allclose(workload.history.rate_rps, scale * plain.history.rate_rps)
    drawn = realised_rates(workload, 60.0, np.random.default_rng(1)).rate_rps.sum() * 60.0
    mean = scale * np.rint(RATES_RPS * 10.0)[180:].sum()
    assert abs(drawn - mean) < 5.0 * np.sqrt(mean)


def test_exact_thinning_keeps_the_counts_of_the_file(hour):
    workload = TraceWorkload(hour, thin="exact", evaluate_s=1800.0).build()
    drawn = realised_rates(workload, 10.0, np.random.default_rng(1)).rate_rps * 10.0
    np.testing.assert_allclose(drawn, np.rint(RATES_RPS * 10.0)[180:])


def test_bins_wider_than_the_interval_are_spread_over_it(write_trace):
    path = write_trace("second,requests\n0,300\n300,600\n600,900\n900,1200\n")
    workload = TraceWorkload(path, evaluate_s=300.0).build()
    np.testing.assert_allclose(workload.history.rate_rps, np.repeat([1.0, 2.0, 3.0], 5))


def test_a_trace_with_a_gap_is_refused_unless_told_how_to_fill_it(write_trace):
    path = write_trace(counts_text(left_out=range(100, 130)), "holed.csv")
    with pytest.raises(DataError, match=r"holed\.csv: gap of 300 s from 1000 s on.*workload.gaps"):
        TraceWorkload(path).build()
    for gaps in ("hold", "interpolate", "split"):
        assert TraceWorkload(path, gaps=gaps).build().end_s > 0.0


def test_history_in_a_gap_is_no_data_and_the_evaluated_span_is_filled(write_trace):
    path = write_trace(counts_text(left_out=[*range(100, 130), *range(330, 340)]))
    workload = TraceWorkload(path, gaps="hold", evaluate_s=600.0).build()
    missing = np.flatnonzero(np.isnan(workload.history.rate_rps))
    # Of minute 16 a third lies in the gap, of minute 21 two thirds.
    np.testing.assert_array_equal(missing, [17, 18, 19, 20, 21])
    filled = TraceWorkload(path, gaps="hold", evaluate_s=600.0, history_gaps="filled").build()
    assert np.all(np.isfinite(filled.history.rate_rps))
    drawn = realised_rates(workload, 60.0, np.random.default_rng(1))
    assert np.all(drawn.rate_rps > 5.0)


def test_nan_typed_on_a_command_line_means_no_data(write_trace):
    path = write_trace(counts_text(left_out=range(100, 130)))
    workload = TraceWorkload(path, gaps="hold", history_gaps=float("nan")).build()
    assert np.any(np.isnan(workload.history.rate_rps))


def test_split_evaluates_the_longest_span_without_gap(write_trace):
    path = write_trace(counts_text(left_out=range(100, 130)))
    workload = TraceWorkload(path, gaps="split", history_s=600.0).build()
    assert (workload.start_s, workload.end_s) == (600.0, 2280.0)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"scale": 0.0}, ConfigError, r"workload\.scale: must be a positive"),
        ({"scale": float("nan")}, ConfigError, r"workload\.scale: must be a positive"),
        ({"scale": "much"}, ConfigError, r"workload\.scale: .*got 'much'"),
        ({"evaluate_s": "hour"}, ConfigError, r"workload\.evaluate_s: .*got 'hour'"),
        ({"thin": "none"}, ConfigError, r"workload\.thin: expected one of poisson, exact, got 'n"),
        ({"history_gaps": "x"}, ConfigError, r"workload\.history_gaps: expected one of nan"),
        ({"gaps": "drop"}, ConfigError, r"workload\.gaps: expected one of error"),
        ({"interval_s": 0.0}, ConfigError, r"workload\.interval_s: must be a positive"),
        ({"history_s": -60.0}, ConfigError, r"workload\.history_s: must be a whole number"),
        ({"history_s": 90.0}, ConfigError, r"history_s: .* intervals of 60 s.*got 90.0 s"),
        ({"evaluate_s": 0.0}, ConfigError, r"workload\.evaluate_s: .* at least 1, got 0.0 s"),
        ({"evaluate_s": 61.0}, ConfigError, r"workload\.evaluate_s: must be a whole number"),
        (
            {"start_s": -1.0},
            ConfigError,
            r"workload\.start_s: must be a finite number",
        ),
        (
            {"history_s": 3600.0, "evaluate_s": 60.0},
            DataError,
            r"the trace lasts 3600 s.*too short",
        ),
        ({"history_s": 3600.0}, DataError, r"the trace lasts 3600 s.*too short"),
        ({"evaluate_s": 7200.0}, DataError, r"the trace lasts 3600 s.*too short"),
        ({"start_s": 3000.0, "evaluate_s": 1200.0}, DataError, r"reach to 4200 s"),
        ({"start_s": 3590.0}, DataError, r"too short"),
        ({"start_s": 600.0, "history_s": 1200.0}, DataError, r"too short"),
    ],
)
def test_settings_out_of_range_are_named_in_one_line(hour, settings, error, message):
    with pytest.raises(error, match=message) as raised:
        TraceWorkload(hour, **settings).build()
    assert "\n" not in str(raised.value)


def test_every_new_process_replays_the_same_for_the_same_seed(hour):
    workload = TraceWorkload(hour).build()
    runs = [
        workload.new_arrivals().arrivals(2700.0, 3600.0, np.random.default_rng(3)) for _ in range(2)
    ]
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize("thin", ["poisson", "exact"])
def test_altering_the_traces_future_leaves_history_and_earlier_arrivals(write_trace, thin):
    altered = RATES_RPS.copy()
    altered[300:] *= 4.0
    paths = [write_trace(counts_text(r), f"{k}.csv") for k, r in enumerate((RATES_RPS, altered))]
    one, two = (TraceWorkload(p, thin=thin, evaluate_s=1800.0).build() for p in paths)
    np.testing.assert_array_equal(one.history.rate_rps, two.history.rate_rps)
    rates = [realised_rates(w, 60.0, np.random.default_rng(5)).rate_rps for w in (one, two)]
    np.testing.assert_array_equal(rates[0][:20], rates[1][:20])
    assert np.all(rates[0][20:] < rates[1][20:])


@pytest.fixture
def request_file(write_trace):
    times_s = np.sort(np.random.default_rng(2).uniform(0.0, 1200.0, 6000))
    return write_trace("arrival_s\n" + "".join(f"{t:.6f}\n" for t in times_s), "single.csv")


def test_replayed_requests_come_at_their_recorded_times(request_file):
    workload = ReplayWorkload(request_file, evaluate_s=600.0).build()
    times_s = workload.new_arrivals().arrivals(600.0, 1200.0, np.random.default_rng(1))
    recorded = read_trace(request_file).times_s
    np.testing.assert_array_equal(times_s, recorded[(recorded >= 600.0) & (recorded < 1200.0)])
    counts = np.histogram(recorded, 60.0 * np.arange(11))[0]
    np.testing.assert_allclose(workload.history.rate_rps, counts / 60.0)


def test_a_trace_workload_reads_request_times_too(request_file):
    exact = TraceWorkload(request_file, thin="exact", evaluate_s=600.0).build()
    replay = ReplayWorkload(request_file, evaluate_s=600.0).build()
    rates = [realised_rates(w, 60.0, np.random.default_rng(1)).rate_rps for w in (exact, replay)]
    np.testing.assert_array_equal(*rates)
    poisson = TraceWorkload(request_file, evaluate_s=600.0).build()
    total = realised_rates(poisson, 60.0, np.random.default_rng(1)).rate_rps.sum() * 60.0
    assert abs(total - 3000.0) < 6.0 * np.sqrt(6000.0)


def test_replay_of_a_trace_of_counts_is_refused(hour):
    with pytest.raises(DataError, match="expected one row per request with a column 'arrival_s'"):
        ReplayWorkload(hour).build()


@pytest.mark.parametrize("settings", [{"scale": -1.0}, {"jitter_s": -1.0}])
def test_replay_settings_out_of_range_are_refused(request_file, settings):
    with pytest.raises(ConfigError, match=r"workload\.(scale|jitter_s): must be a"):
        ReplayWorkload(request_file, **settings).build()


def test_the_twitter_trace_gives_thirteen_days_of_history_and_a_day_to_serve(real_traces):
    path = str(real_traces / "twitter_2021-08_14d_per_second.csv.gz")
    with pytest.raises(DataError, match=r"gap of 1739 s from 84661 s on \(the first of 40\)"):
        TraceWorkload(path).build()
    workload = TraceWorkload(
        path, gaps="interpolate", history_s=1123200.0, evaluate_s=84600.0, scale=1.8
    ).build()
    assert (workload.history.start_s, workload.start_s) == (60.0, 1123260.0)
    assert len(workload.history) == 18720
    missing = np.isnan(workload.history.rate_rps)
    assert 13 * 28 < missing.sum() < 13 * 30 + 10
    assert np.nanmean(workload.history.rate_rps) == pytest.approx(1.8 * 65.0, rel=0.02)
    drawn = realised_rates(workload, 300.0, np.random.default_rng(1))
    assert len(drawn) == 282
    assert np.all(drawn.rate_rps > 20.0)


def test_the_history_has_the_rates_in_the_bins_of_each_interval_but_for_gaps(write_trace):
    rates_rps = 20.0 + 10.0 * np.sin(np.arange(1200) / 7.0)
    missing = range(300, 330)
    path = write_trace(counts_text(rates_rps, bin_s=1, left_out=missing))
    history = TraceWorkload(path, gaps="hold", evaluate_s=300.0).build().history
    assert history.within_rps.shape == (15, 12)
    counts = np.rint(rates_rps)[:900].reshape(15, 12, 5).mean(axis=2)
    known = np.isfinite(history.within_rps)
    assert np.flatnonzero(~known).tolist() == list(range(60, 66))
    np.testing.assert_allclose(history.within_rps[known], counts[known])


def test_a_trace_of_coarser_bins_tells_nothing_of_what_lies_within(hour):
    assert TraceWorkload(hour).build().history.within_rps is None


@pytest.mark.parametrize("block_s", [60.0, 5.0, 2.0, 30.0])
def test_realised_bins_are_the_counts_of_the_arrivals_whatever_the_blocks(hour, block_s):
    workload = TraceWorkload(hour, evaluate_s=300.0).build()
    drawn = realised_rates(workload, 60.0, np.random.default_rng(1), block_s=block_s)
    process, rng = workload.new_arrivals(), np.random.default_rng(1)
    starts_s = workload.start_s + block_s * np.arange(round(300.0 / block_s))
    times_s = np.concatenate([process.arrivals(s, s + block_s, rng) for s in starts_s])
    edges_s = workload.start_s + 5.0 * np.arange(61)
    expected = np.histogram(times_s, edges_s)[0].reshape(5, 12) / 5.0
    np.testing.assert_allclose(drawn.within_rps, expected)
    np.testing.assert_allclose(drawn.rate_rps, expected.mean(axis=1))
