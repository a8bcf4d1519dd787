"""Small series, and one small instance of every forecaster, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from markopt.core import RateSeries
from markopt.forecasting import (
    Arima,
    Calibrated,
    CarriedRate,
    Combination,
    Drift,
    Ewma,
    Forecaster,
    HoltWinters,
    KalmanLevel,
    LastValue,
    Lstm,
    MarkLstm,
    Oracle,
    OracleWithError,
    RecurringSurges,
    SeasonalNaive,
    StatsForecast,
    StlArima,
)

INTERVAL_S = 60.0
PERIOD = 30
HISTORY = 480
TOTAL = 600


def burst_series(count: int = TOTAL, seed: int = 3, gaps: tuple[slice, ...] = ()) -> RateSeries:
    """Return a noisy series with a burst of five intervals in every half hour."""
    rng = np.random.default_rng(seed)
    clock = np.arange(count) % PERIOD
    level = np.where((clock >= 10) & (clock < 15), 120.0, 40.0)
    rates = level * np.exp(0.05 * rng.standard_normal(count))
    for gap in gaps:
        rates[gap] = np.nan
    return RateSeries(0.0, INTERVAL_S, rates)


def part(series: RateSeries, first: int, last: int) -> RateSeries:
    """Return the intervals first .. last - 1."""
    return RateSeries(
        series.start_s + first * series.interval_s, series.interval_s, series.rate_rps[first:last]
    )


def small_lstm(cache_folder: Path | str, **changed: object) -> Lstm:
    """Return a network that trains in a second."""
    settings: dict[str, object] = {
        "horizon": 6,
        "context_s": 1800.0,
        "hidden": 12,
        "head": 16,
        "periods_s": (1800.0,),
        "harmonics": 2,
        "members": 1,
        "epochs": 60,
        "batch_size": 8,
        "learning_rate": 0.02,
        "validation_share": 0.2,
        "cache_folder": str(cache_folder),
    }
    return Lstm(**{**settings, **changed})  # type: ignore[arg-type]


# Every forecaster by name: made for the realised series, with a folder for its cache.
MAKERS: dict[str, Callable[[RateSeries, Path], Forecaster]] = {
    "last_value": lambda rates, folder: LastValue(errors_s=14400.0),
    "seasonal_naive": lambda rates, folder: SeasonalNaive(period_s=1800.0),
    "arima": lambda rates, folder: Arima(
        (2, 0, 0), refit_every=30, window_s=9000.0, max_iterations=10
    ),
    "sarima": lambda rates, folder: Arima(
        (1, 0, 0), (1, 0, 0, 6), None, window_s=9000.0, max_iterations=10
    ),
    "lstm": lambda rates, folder: small_lstm(folder),
    "oracle": lambda rates, folder: Oracle(rates),
    "oracle_with_error": lambda rates, folder: OracleWithError(0.2, rates=rates),
    "drift": lambda rates, folder: Drift(1800.0, errors_s=14400.0),
    "ewma": lambda rates, folder: Ewma(120.0, errors_s=14400.0),
    "holt_winters": lambda rates, folder: HoltWinters(
        1800.0, refit_every=30, window_s=14400.0, max_evaluations=40
    ),
    "kalman_level": lambda rates, folder: KalmanLevel(14400.0, refit_every=30),
    "combination": lambda rates, folder: Combination(
        {"ewma": Ewma(120.0), "seasonal_naive": SeasonalNaive(1800.0)}, switch_s=1800.0
    ),
    "statsforecast": lambda rates, folder: StatsForecast(
        "AutoETS", horizon=6, window_s=7200.0, forward_s=3600.0, errors_s=14400.0, refit_every=30
    ),
    "statsforecast_mstl": lambda rates, folder: StatsForecast(
        "MSTL", (1800.0,), 6, window_s=7200.0, forward_s=3600.0, errors_s=14400.0
    ),
    "stl_arima": lambda rates, folder: StlArima(1800.0, (1, 0, 0), 7200.0, None, max_iterations=10),
    "mark_lstm": lambda rates, folder: MarkLstm(
        4, 10, 3, errors_s=14400.0, cache_folder=str(folder)
    ),
    "calibrated": lambda rates, folder: Calibrated(LastValue(errors_s=14400.0)),
    "carried_rate": lambda rates, folder: CarriedRate(LastValue(errors_s=14400.0)),
    "recurring_surges": lambda rates, folder: RecurringSurges(LastValue(errors_s=14400.0)),
}
