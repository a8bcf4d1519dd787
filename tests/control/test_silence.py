"""A metric that stalls at zero is no idle service, and an idle service no stalled metric."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.control.decisions import decisions_of
from markopt.control.silence import SilenceWatch
from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from tests.control.test_controller import episode

BUSY = RateSeries(-1800.0, 60.0, np.full(30, 10.0))


def forecast(rate_rps, samples=20):
    return Forecast.equally_likely(0.0, 60.0, np.full((samples, 3), rate_rps))


def verdicts(watch, rates, forecast_rps=10.0):
    return [
        bool(watch.suspicion(60.0 * k, 60.0 * k + 60.0, round(60 * r), r, forecast(forecast_rps)))
        for k, r in enumerate(rates)
    ]


def watch_of(history=BUSY, suspect_s=180.0, chance=1e-6):
    return SilenceWatch(history, suspect_s=suspect_s, chance=chance)


def test_silence_against_a_busy_forecast_is_suspicious_for_its_time_and_then_believed():
    rates = [10.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert verdicts(watch_of(), rates) == [False, True, True, True, False, False]
    assert verdicts(watch_of(suspect_s=0.0), rates) == [False] * 6


def test_requests_end_a_suspicion_and_the_next_silence_starts_its_own():
    rates = [0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0]
    # After silences that were not believed, the past still holds none.
    assert verdicts(watch_of(), rates) == [True, True, False, True, True, True, False]


def test_a_service_that_idles_is_believed_by_its_past_whatever_the_forecast():
    rates = np.where(np.random.default_rng(0).random(2000) < 0.02, 0.0, 10.0)
    watch = watch_of(RateSeries(-120000.0, 60.0, rates))
    assert not any(verdicts(watch, [0.0] * 5 + [10.0, 0.0]))


@pytest.mark.parametrize("forecast_rps", [0.0, 0.02, 0.1])
def test_a_forecast_of_few_requests_makes_silence_likely(forecast_rps):
    assert not any(verdicts(watch_of(), [0.0] * 4, forecast_rps))


def test_no_data_is_no_silence_and_one_path_that_falls_makes_silence_possible():
    watch = watch_of()
    assert verdicts(watch, [math.nan, math.nan][:0]) == []
    assert watch.suspicion(0.0, 60.0, 0, math.nan, forecast(10.0)) == ""
    paths = np.full((100, 2), 10.0)
    paths[0] = 0.0
    assert not watch.suspicion(0.0, 60.0, 0, 0.0, Forecast.equally_likely(0.0, 60.0, paths))


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 3.0), st.integers(0, 1000))
def test_a_poisson_service_as_it_was_forecast_is_never_suspected(rate_rps, seed):
    rng = np.random.default_rng(seed)
    history = RateSeries(-6000.0, 60.0, rng.poisson(60.0 * rate_rps, 100) / 60.0)
    rates = rng.poisson(60.0 * rate_rps, 200) / 60.0
    # The chance of a false alarm over the test is 200 x 1e-6 at most.
    assert not any(verdicts(watch_of(history), rates, rate_rps))


def test_the_loop_tells_its_forecaster_nan_freezes_scale_in_and_logs_the_reason():
    # 10 requests/s, then a metric that reads zero for three minutes, then load again.
    arrivals = [50] * 24 + [0] * 36 + [50] * 24
    records, backend, planner = episode(arrivals, until_s=420.0, suspect_silence_s=600.0)
    told = [float(series.rate_rps[0]) for series in _updates(backend)]
    assert told[:2] == [10.0, 10.0]
    assert all(math.isnan(rate) for rate in told[2:5])
    assert told[5] == 10.0
    assert [r.scale_in_frozen for r in records] == [False] * 3 + [True] * 3 + [False]
    assert all(r.forecast_mean_rps > 5.0 for r in records)
    plan = decisions_of(records[3])[0]
    assert plan.seen.rate_rps is None
    assert "no request since 120 s where" in plan.reason
    assert "taken for no data" in plan.reason
    assert 0.0 not in planner.problems[5].recent_rps
    assert all(math.isnan(records[k].pinball) for k in (2, 3, 4))


def test_the_loop_believes_a_silence_that_lasts():
    arrivals = [50] * 12
    records, backend, _ = episode(arrivals, until_s=420.0, suspect_silence_s=120.0)
    told = [float(series.rate_rps[0]) for series in _updates(backend)]
    assert [math.isnan(rate) for rate in told] == [False, True, True, False, False, False]
    assert records[-1].forecast_mean_rps == 0.0


def _updates(backend):
    return backend.forecaster.updates


@pytest.mark.parametrize(("key", "value"), [("suspect_silence_s", -1.0), ("suspect_chance", 0.0)])
def test_settings_out_of_range_are_config_errors(key, value):
    with pytest.raises(ConfigError, match=f"controller.{key}"):
        episode([50] * 12, until_s=60.0, **{key: value})
