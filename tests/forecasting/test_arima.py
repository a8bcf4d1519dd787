"""ARIMA against statsmodels' own filter, forecasts and simulations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from statsmodels.tsa.statespace.sarimax import SARIMAX

from markopt.core import RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import Arima
from tests.forecasting.models import INTERVAL_S, burst_series, part

ORDERS = [((2, 0, 1), (0, 0, 0, 0)), ((1, 1, 1), (0, 0, 0, 0)), ((1, 0, 0), (0, 1, 1, 5))]
SERIES = burst_series(300, gaps=(slice(50, 54), slice(222, 225)))
FITTED = 220


def fitted_and_reference(order: Any, seasonal_order: Any) -> tuple[Arima, Any, float]:
    """Return ours after 30 updates, and a statsmodels filter over the same data."""
    ours = Arima(order, seasonal_order, refit_every=None, max_iterations=15)
    ours.fit(part(SERIES, 0, FITTED))
    for at in range(FITTED, FITTED + 30):
        ours.update(part(SERIES, at, at + 1))
    logs = np.log1p(SERIES.rate_rps[: FITTED + 30])
    level = np.nanmean(logs[:FITTED]) if order[1] + seasonal_order[1] == 0 else 0.0
    model = SARIMAX(logs - level, order=order, seasonal_order=seasonal_order)
    return ours, model.filter(ours.parameters), level


@pytest.mark.parametrize(("order", "seasonal_order"), ORDERS)
def test_mean_and_variance_equal_those_of_statsmodels(order: Any, seasonal_order: Any) -> None:
    ours, reference, level = fitted_and_reference(order, seasonal_order)
    mean, covariance = ours.predict(12)
    theirs = reference.get_forecast(12)
    np.testing.assert_allclose(mean, theirs.predicted_mean + level, rtol=1e-6)
    np.testing.assert_allclose(np.diag(covariance), theirs.var_pred_mean, rtol=1e-5)


def test_drawn_paths_have_the_predicted_mean_and_covariance() -> None:
    ours, _, _ = fitted_and_reference(*ORDERS[0])
    mean, covariance = ours.predict(5)
    logs = np.log1p(ours.forecast(5, 4000, np.random.default_rng(0)).paths_rps)
    np.testing.assert_allclose(logs.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(logs.T), covariance, atol=0.06 * covariance.max())


def test_refitting_after_so_many_updates_equals_a_fresh_fit_of_the_same_window() -> None:
    ours = Arima((1, 0, 0), refit_every=20, window_s=100 * INTERVAL_S).fit(part(SERIES, 0, 150))
    before = ours.parameters.copy()
    ours.update(part(SERIES, 150, 169))
    np.testing.assert_array_equal(ours.parameters, before)
    ours.update(part(SERIES, 169, 170))
    assert not np.array_equal(ours.parameters, before)
    fresh = Arima((1, 0, 0), window_s=100 * INTERVAL_S).fit(part(SERIES, 0, 170))
    np.testing.assert_allclose(ours.predict(5)[0], fresh.predict(5)[0], rtol=1e-3)


def test_without_log_the_rate_itself_is_modelled() -> None:
    rng = np.random.default_rng(0)
    series = RateSeries(0.0, INTERVAL_S, 100.0 + rng.standard_normal(200))
    forecast = Arima((1, 0, 0), log=False).fit(series).forecast(3, 200, rng)
    np.testing.assert_allclose(forecast.mean_rps(), 100.0, atol=1.0)
    np.testing.assert_allclose(forecast.paths_rps.std(axis=0), 1.0, atol=0.25)


def test_orders_that_are_not_whole_numbers_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match="order: needs 3 whole numbers"):
        Arima((1, 0)).fit(SERIES)
    with pytest.raises(ConfigError, match="seasonal_order: needs 4"):
        Arima((1, 0, 0), (1, 0, -1, 5)).fit(SERIES)
    with pytest.raises(ConfigError, match="refit_every"):
        Arima((1, 0, 0), refit_every=0).fit(SERIES)
