"""Last value, seasonal naive and oracle against plain references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.core import RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting import LastValue, Oracle, SeasonalNaive
from tests.forecasting.models import INTERVAL_S, burst_series, part


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def series_of(rates: np.ndarray) -> RateSeries:
    return RateSeries(0.0, INTERVAL_S, rates)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 12), st.integers(1, 20), st.integers(0, 2**32))
def test_seasonal_naive_is_exact_on_a_periodic_series(period: int, horizon: int, seed: int) -> None:
    season = np.random.default_rng(seed).gamma(2.0, 50.0, period)
    rates = np.tile(season, 12)
    history = rates[: 2 * period + horizon + seed % period]
    forecast = (
        SeasonalNaive(period * INTERVAL_S).fit(series_of(history)).forecast(horizon, 5, rng())
    )
    expected = season[(len(history) + np.arange(horizon)) % period]
    np.testing.assert_allclose(forecast.paths_rps, np.tile(expected, (5, 1)))


def test_seasonal_naive_looks_further_back_where_a_period_has_a_gap() -> None:
    season = np.array([10.0, 20.0, 30.0, 40.0])
    rates = np.tile(season, 6)
    rates[-3] = np.nan
    forecast = SeasonalNaive(4 * INTERVAL_S).fit(series_of(rates)).forecast(2, 3, rng())
    np.testing.assert_allclose(forecast.paths_rps, np.tile([10.0, 20.0], (3, 1)))


def test_seasonal_naive_bridges_a_phase_that_never_had_data() -> None:
    rates = np.tile([10.0, np.nan, 10.0, 40.0, 40.0, 40.0], 6)
    forecast = SeasonalNaive(6 * INTERVAL_S).fit(series_of(rates)).forecast(2, 3, rng())
    np.testing.assert_allclose(forecast.paths_rps, 10.0)


def test_last_value_of_a_constant_series_is_that_constant() -> None:
    forecast = LastValue().fit(series_of(np.full(40, 7.0))).forecast(5, 9, rng())
    np.testing.assert_allclose(forecast.paths_rps, 7.0)


def test_every_last_value_path_is_the_last_value_with_one_stretch_of_past_changes() -> None:
    series = burst_series(120)
    logs = np.log1p(series.rate_rps)
    forecast = LastValue().fit(series).forecast(4, 30, rng())
    possible = np.array([logs[o + 1 : o + 5] - logs[o] for o in range(116)])
    for path in np.log1p(forecast.paths_rps) - logs[-1]:
        assert np.abs(possible - path).max(axis=1).min() < 1e-9


def test_more_paths_than_past_errors_use_each_error_equally_often() -> None:
    logs = np.log1p(burst_series(50).rate_rps)
    forecast = LastValue().fit(burst_series(50)).forecast(1, 490, rng())
    errors = np.sort(np.diff(logs))
    drawn = np.sort(np.log1p(forecast.paths_rps[:, 0]) - logs[-1])
    np.testing.assert_allclose(drawn, np.repeat(errors, 10), atol=1e-9)


def test_after_a_gap_last_value_uses_the_errors_of_the_longer_lead() -> None:
    rates = np.exp(0.1 * np.arange(60.0))
    rates[-5:] = np.nan
    forecast = LastValue().fit(series_of(rates)).forecast(2, 4, rng())
    # The growth of log(1 + rate) over 6 and 7 intervals, not over 1 and 2.
    growth = np.log1p(forecast.paths_rps) - np.log1p(rates[-6])
    assert np.all(growth > 0.1 * 5 * 0.5)
    assert np.all(growth[:, 0] <= 0.6 + 1e-9)
    assert np.all(growth[:, 1] <= 0.7 + 1e-9)


def test_spans_that_are_not_whole_intervals_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match="period_s must be a positive multiple"):
        SeasonalNaive(90.0).fit(burst_series())
    with pytest.raises(ConfigError, match="errors_s must be a positive multiple"):
        LastValue(30.0).fit(burst_series())


def test_the_oracle_is_right_and_holds_the_last_rate_beyond_the_end() -> None:
    series = burst_series(20)
    oracle = Oracle().with_rates(series).fit(part(series, 0, 12))
    np.testing.assert_array_equal(
        oracle.forecast(6, 3, rng()).paths_rps, np.tile(series.rate_rps[12:18], (3, 1))
    )
    oracle.update(part(series, 12, 18))
    expected = [series.rate_rps[18], *[series.rate_rps[19]] * 3]
    np.testing.assert_array_equal(oracle.forecast(4, 1, rng()).paths_rps, [expected])


def test_the_oracle_holds_the_rate_before_a_gap() -> None:
    series = series_of(np.array([5.0, np.nan, np.nan, 8.0]))
    oracle = Oracle(series).fit(part(series, 0, 1))
    np.testing.assert_array_equal(oracle.forecast(3, 1, rng()).paths_rps, [[5.0, 5.0, 8.0]])


def test_an_oracle_without_rates_or_on_another_grid_is_refused() -> None:
    with pytest.raises(ConfigError, match="with_rates"):
        Oracle().fit(burst_series())
    with pytest.raises(ConfigError, match="with_rates"):
        Oracle().forecast(1, 1, rng())
    with pytest.raises(DataError, match="grid"):
        Oracle(burst_series()).fit(RateSeries(30.0, INTERVAL_S, np.ones(5)))
