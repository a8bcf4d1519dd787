"""Forecasters of the arrival rate, all as joint sample paths.

Models are loaded when they are asked for, so that importing this package loads neither torch,
statsmodels nor statsforecast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from markopt.forecasting.protocol import Forecaster

if TYPE_CHECKING:
    from markopt.forecasting.arima import Arima
    from markopt.forecasting.calibration import Calibrated
    from markopt.forecasting.carried_rate import CarriedRate
    from markopt.forecasting.combination import Combination
    from markopt.forecasting.drift import Drift
    from markopt.forecasting.ewma import Ewma
    from markopt.forecasting.holt_winters import HoltWinters
    from markopt.forecasting.kalman_level import KalmanLevel
    from markopt.forecasting.last_value import LastValue
    from markopt.forecasting.lstm import Lstm
    from markopt.forecasting.mark_lstm import MarkLstm
    from markopt.forecasting.oracle import Oracle
    from markopt.forecasting.oracle_with_error import OracleWithError
    from markopt.forecasting.recurring_surges import RecurringSurges
    from markopt.forecasting.seasonal_naive import SeasonalNaive
    from markopt.forecasting.statsforecast_models import StatsForecast
    from markopt.forecasting.stl_arima import StlArima

__all__ = [
    "Arima",
    "Calibrated",
    "CarriedRate",
    "Combination",
    "Drift",
    "Ewma",
    "Forecaster",
    "HoltWinters",
    "KalmanLevel",
    "LastValue",
    "Lstm",
    "MarkLstm",
    "Oracle",
    "OracleWithError",
    "RecurringSurges",
    "SeasonalNaive",
    "StatsForecast",
    "StlArima",
]

_MODULE_OF = {
    "Arima": "arima",
    "Calibrated": "calibration",
    "CarriedRate": "carried_rate",
    "Combination": "combination",
    "Drift": "drift",
    "Ewma": "ewma",
    "HoltWinters": "holt_winters",
    "KalmanLevel": "kalman_level",
    "LastValue": "last_value",
    "Lstm": "lstm",
    "MarkLstm": "mark_lstm",
    "Oracle": "oracle",
    "OracleWithError": "oracle_with_error",
    "RecurringSurges": "recurring_surges",
    "SeasonalNaive": "seasonal_naive",
    "StatsForecast": "statsforecast_models",
    "StlArima": "stl_arima",
}


def __getattr__(name: str) -> Any:
    """Import a model's module on first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
