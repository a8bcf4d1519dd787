"""STL with ARIMA, and the search for ARIMA's order."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.tsa.seasonal import STL
from statsmodels.tsa.statespace.sarimax import SARIMAX

from markopt.core import RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting import Arima, StlArima
from markopt.forecasting.arima_estimation import (
    differences_needed,
    estimated,
    order_of_least_aicc,
)
from tests.forecasting.models import INTERVAL_S, PERIOD, burst_series, part

NO_SEASON = (0, 0, 0, 0)


def autoregression(count: int, share: float, seed: int = 0) -> np.ndarray:
    random, values = np.random.default_rng(seed), np.zeros(count)
    for at in range(1, count):
        values[at] = share * values[at - 1] + 0.1 * random.standard_normal()
    return values


def test_the_forecast_is_the_last_season_and_the_arima_of_the_rest() -> None:
    series = burst_series(305)
    ours = StlArima(PERIOD * INTERVAL_S, (1, 0, 0), refit_every=None, max_iterations=20)
    ours.fit(part(series, 0, 287))
    logs = np.log1p(series.rate_rps)
    seasonal = STL(logs[:287], period=PERIOD, robust=True).fit().seasonal
    repeated = seasonal[-PERIOD:][(np.arange(305) - 287) % PERIOD]
    rest = logs - repeated
    level = rest[:287].mean()
    for count in (287, 305):
        ours.update(part(series, 287, 305)) if count == 305 else None
        reference = SARIMAX(rest[:count] - level, order=(1, 0, 0)).filter(ours._parameters)
        theirs = reference.get_forecast(6)
        mean, covariance = ours.predict(6)
        ahead = seasonal[-PERIOD:][(np.arange(count, count + 6) - 287) % PERIOD]
        np.testing.assert_allclose(mean, theirs.predicted_mean + level + ahead, rtol=1e-6)
        np.testing.assert_allclose(np.diag(covariance), theirs.var_pred_mean, rtol=1e-5)


def test_bursts_are_forecast_at_their_clock_whatever_the_window() -> None:
    series = burst_series(300)
    for window_s in (9000.0, 9420.0, 18000.0):  # two of them no whole number of periods
        model = StlArima(1800.0, (1, 0, 0), window_s, None, 10).fit(part(series, 0, 295))
        mean = np.expm1(model.predict(PERIOD)[0])
        burst = np.isin(np.arange(295, 295 + PERIOD) % PERIOD, np.arange(10, 15))
        assert np.all(mean[burst] > 80.0)
        assert np.all(mean[~burst] < 80.0)


def test_a_season_without_two_periods_of_data_is_refused() -> None:
    with pytest.raises(DataError, match="needs at least 2, and a history of at least 61"):
        StlArima(1800.0).fit(burst_series(60))
    with pytest.raises(ConfigError, match="order: needs 3 whole numbers"):
        StlArima(order=(1, 0))


def test_a_random_walk_is_differenced_and_a_stationary_series_is_not() -> None:
    noise = np.random.default_rng(1).standard_normal(400)
    assert differences_needed(autoregression(400, 0.5)) == 0
    assert differences_needed(np.cumsum(noise)) == 1
    assert differences_needed(np.full(50, 3.0)) == 0


def test_the_order_found_is_as_good_as_the_best_of_an_exhaustive_search_or_nearly() -> None:
    values = autoregression(150, 0.7)
    p, d, q = order_of_least_aicc(values, NO_SEASON, 30)
    assert d == 0
    criteria = {
        (other_p, other_q): estimated(values, (other_p, 0, other_q), NO_SEASON, None, 30).aicc
        for other_p in range(3)
        for other_q in range(3)
    }
    assert criteria[1, 0] < criteria[0, 0]
    assert criteria[p, q] <= min(criteria.values()) + 1.0


def test_order_auto_is_searched_at_fit_and_kept_at_refits() -> None:
    logs = 5.0 + autoregression(140, 0.8)
    series = RateSeries(0.0, INTERVAL_S, np.expm1(logs))
    model = Arima("auto", refit_every=5, max_iterations=15).fit(part(series, 0, 130))
    chosen = model.chosen_order
    assert chosen is not None
    assert chosen[1] == 0
    assert len(model.parameters) == chosen[0] + chosen[2] + 1
    model.update(part(series, 130, 140))
    assert model.chosen_order == chosen
    with pytest.raises(ConfigError, match="3 whole numbers or auto, got best"):
        Arima("best").fit(series)
