"""EWMA, drift, Holt-Winters and the local level against hand computation and statsmodels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.statespace.structural import UnobservedComponents

from markopt.core import RateSeries
from markopt.errors import ConfigError
from markopt.forecasting import Drift, Ewma, HoltWinters, KalmanLevel
from markopt.forecasting.holt_winters import (
    Smoothing,
    SmoothingState,
    initial_state,
    smoothed,
)
from tests.forecasting.models import INTERVAL_S, burst_series, part


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def series_of(logs: np.ndarray) -> RateSeries:
    return RateSeries(0.0, INTERVAL_S, np.expm1(logs))


def wandering(count: int = 500, seed: int = 0, noise: float = 0.1) -> np.ndarray:
    random = np.random.default_rng(seed)
    level = 4.0 + np.cumsum(0.03 * random.standard_normal(count))
    return level + noise * random.standard_normal(count)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.0, 8.0), min_size=3, max_size=30), st.floats(60.0, 1200.0))
def test_the_weights_of_ewma_halve_every_half_life(logs: list[float], half_life_s: float) -> None:
    kept = 0.5 ** (INTERVAL_S / half_life_s)
    ages = np.arange(len(logs))[::-1]
    weights = (1.0 - kept) * kept**ages
    weights[0] = kept ** (len(logs) - 1)  # the first value stands for all before it
    level = np.log1p(Ewma(half_life_s).fit(series_of(np.array(logs))).level_rps)
    assert level == pytest.approx(float(weights @ np.array(logs)), abs=1e-9)


def test_every_ewma_path_is_the_level_with_one_stretch_of_its_past_errors() -> None:
    logs = np.log1p(burst_series(120).rate_rps)
    levels = np.array(
        [np.log1p(Ewma().fit(series_of(logs[: n + 1])).level_rps) for n in range(120)]
    )
    drawn = np.log1p(Ewma().fit(series_of(logs)).forecast(4, 30, rng()).paths_rps)
    possible = np.array([logs[o + 1 : o + 5] - levels[o] for o in range(116)])
    for path in drawn - levels[-1]:
        assert np.abs(possible - path).max(axis=1).min() < 1e-9


def test_ewma_keeps_its_level_over_a_gap_and_spreads_as_for_the_longer_lead() -> None:
    logs = wandering(400, noise=0.0)
    gap = logs.copy()
    gap[-10:] = np.nan
    whole, holed = Ewma().fit(series_of(logs[:-10])), Ewma().fit(series_of(gap))
    assert holed.level_rps == whole.level_rps
    far = whole.forecast(12, 200, rng()).paths_rps
    after = holed.forecast(2, 200, rng()).paths_rps
    np.testing.assert_allclose(after.std(axis=0), far[:, 10:].std(axis=0), rtol=0.1)


def test_drift_is_exact_on_a_straight_line() -> None:
    logs = 2.0 + 0.01 * np.arange(200.0)
    drawn = np.log1p(Drift(1200.0).fit(series_of(logs)).forecast(5, 7, rng()).paths_rps)
    np.testing.assert_allclose(drawn, np.tile(2.0 + 0.01 * np.arange(200, 205), (7, 1)))


def test_drift_joins_the_ends_of_its_window() -> None:
    logs = wandering(80)
    forecast = Drift(20 * INTERVAL_S).fit(series_of(logs)).forecast(3, 60, rng())
    # With a draw of every past error, the mean path is the line plus the mean error.
    steps = np.arange(1, 4)
    line = logs[79] + (logs[79] - logs[59]) / 20 * steps
    origins = np.arange(20, 77)
    past = logs[origins][:, None] + np.outer(logs[origins] - logs[origins - 20], steps / 20)
    errors = logs[origins[:, None] + steps] - past
    possible = line + errors
    for path in np.log1p(forecast.paths_rps):
        assert np.abs(possible - path).max(axis=1).min() < 1e-9


def test_holt_winters_smooths_as_statsmodels_does() -> None:
    period, values = 6, wandering(120) + np.tile([0.0, 0.3, 0.5, -0.2, -0.4, -0.2], 20)
    smoothing = Smoothing(level=0.4, trend=0.05, season=0.2, damping=0.9)
    start = SmoothingState(4.0, 0.01, [0.0, 0.3, 0.5, -0.2, -0.4, -0.2])
    errors, state = smoothed(values.tolist(), start, smoothing)
    model = ETSModel(
        pd.Series(values),  # its prediction's variance wants an index
        error="add",
        trend="add",
        damped_trend=True,
        seasonal="add",
        seasonal_periods=period,
        initialization_method="known",
        initial_level=4.0,
        initial_trend=0.01,
        initial_seasonal=np.array(start.seasons),
    )
    theirs = model.smooth(np.array([0.4, 0.05, 0.2, 0.9]))
    np.testing.assert_allclose(errors, theirs.resid, atol=1e-9)
    np.testing.assert_allclose(state.center(10, smoothing), theirs.forecast(10), atol=1e-9)
    # The variance of step h is that of the errors times the summed squares of the responses.
    squares = np.cumsum(smoothing.responses(10, period) ** 2)
    variance = theirs.get_prediction(start=120, end=129).forecast_variance
    np.testing.assert_allclose(squares / squares[0], variance / variance[0], rtol=1e-9)


def test_every_holt_winters_path_is_what_the_state_equation_makes_of_a_stretch_of_errors() -> None:
    logs = np.log1p(burst_series(300).rate_rps)
    forecaster = HoltWinters(1800.0, refit_every=None, max_evaluations=60).fit(series_of(logs))
    drawn = np.log1p(forecaster.forecast(4, 20, rng()).paths_rps)
    errors = forecaster._errors.rows[:, 0]
    simulated = []
    for first in range(300 - 3):
        state = SmoothingState(
            forecaster._state.level,
            forecaster._state.trend,
            forecaster._state.seasons.copy(),
            forecaster._state.phase,
        )
        path = []
        for error in errors[first : first + 4]:
            log_rate = state.center(1, forecaster.smoothing)[0] + error
            state.append(float(log_rate), forecaster.smoothing)
            path.append(log_rate)
        simulated.append(path)
    for path in drawn:
        assert np.abs(np.array(simulated) - path).max(axis=1).min() < 1e-8


def test_holt_winters_finds_the_season_and_the_likelihood_that_statsmodels_finds() -> None:
    logs = np.log1p(burst_series(360).rate_rps)
    ours = HoltWinters(1800.0, trend=False, refit_every=None).fit(series_of(logs))
    center = np.expm1(ours.center(30))
    assert np.all(center[10:15] > 90.0)
    assert np.all(center[16:] < 60.0)
    start = initial_state(logs, 30)
    reference = ETSModel(
        logs,
        error="add",
        seasonal="add",
        seasonal_periods=30,
        initialization_method="known",
        initial_level=start.level,
        initial_seasonal=np.array(start.seasons),
    )
    theirs = reference.fit(disp=False)
    errors = ours._errors.rows[:, 0]
    assert np.mean(errors**2) < 1.005 * np.mean(theirs.resid**2)


def test_a_refit_replaces_parameters_on_schedule_and_not_before() -> None:
    series = burst_series(400)
    model = HoltWinters(1800.0, True, 9000.0, refit_every=20, max_evaluations=60)
    model.fit(part(series, 0, 300))
    before = model.smoothing
    model.update(part(series, 300, 319))
    assert model.smoothing == before
    model.update(part(series, 319, 320))
    assert model.smoothing != before
    fresh = HoltWinters(1800.0, True, 9000.0, refit_every=None, max_evaluations=60)
    fresh.fit(part(series, 0, 320))
    np.testing.assert_allclose(model.center(5), fresh.center(5))


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.5])
def test_the_local_level_has_the_likelihood_and_forecasts_of_statsmodels(noise: float) -> None:
    logs = wandering(400, noise=noise) + 2.0
    logs[100:110] = np.nan
    ours = KalmanLevel(refit_every=None).fit(series_of(logs))
    # statsmodels starts with a large variance instead of a diffuse one: the same in the limit.
    reference = UnobservedComponents(logs, "local level")
    best = reference.fit(disp=False)
    at_ours = reference.smooth(np.array(ours.variances))
    assert at_ours.llf > best.llf - 0.05
    mean, covariance = ours.predict(8)
    theirs = at_ours.get_forecast(8)
    np.testing.assert_allclose(mean, theirs.predicted_mean, rtol=1e-5)
    np.testing.assert_allclose(np.diag(covariance), theirs.var_pred_mean, rtol=1e-4)
    # Steps share the level's path: the covariance of steps i < j is the variance of level i.
    level = np.diag(covariance) - ours.variances[0]
    np.testing.assert_allclose(covariance[2, 3:], level[2], rtol=1e-9)


def test_settings_out_of_range_are_config_errors() -> None:
    with pytest.raises(ConfigError, match="half_life_s: must be positive"):
        Ewma(0.0)
    for model in (HoltWinters, KalmanLevel):
        with pytest.raises(ConfigError, match="refit_every: must be at least 1"):
            model(refit_every=0)
    with pytest.raises(ConfigError, match="window_s must be a positive multiple"):
        Drift(90.0).fit(burst_series())
