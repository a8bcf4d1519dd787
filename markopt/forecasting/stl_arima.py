"""STL's season carried forward, and an ARIMA of what is left."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting.arima_estimation import Order, estimated, require_enough
from markopt.forecasting.draws import correlated_normals
from markopt.forecasting.error_paths import rates_of
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of
from markopt.forecasting.state_space import Filter

Array = NDArray[np.float64]

_NO_SEASON = (0, 0, 0, 0)


@final
class StlArima:
    """Takes the season of STL out of log(1 + rate) and forecasts the rest by an ARIMA.

    Season by loess (Cleveland et al., Journal of Official Statistics 6(1), 1990; statsmodels' STL,
    robust to bursts), over the last ``window_s``; its last period is repeated, as in Hyndman and
    Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., section 5.7. Trend and remainder
    together are the ARIMA's, whose Kalman filter takes in every interval; paths are joint normal
    around the season. Gaps are bridged by straight lines for STL only.

    Args:
        period_s: of the season, seconds.
        order: (p, d, q) of the ARIMA.
        window_s: the newest part of the history that a fit uses, seconds.
        refit_every: intervals between two fits while updating; None never fits again.
        max_iterations: of the likelihood's maximisation.

    Raises:
        ConfigError: a setting is out of range.
    """

    def __init__(
        self,
        period_s: float = 3600.0,
        order: Sequence[int] = (2, 0, 1),
        window_s: float = 259200.0,
        refit_every: int | None = 1440,
        max_iterations: int = 50,
    ) -> None:
        if len(order) != 3 or any(int(o) != o or o < 0 for o in order):
            raise ConfigError(
                f"forecaster.order: needs 3 whole numbers of at least 0, got {list(order)}"
            )
        if refit_every is not None and refit_every < 1:
            raise ConfigError(
                f"forecaster.refit_every: must be at least 1 or null, got {refit_every}"
            )
        self.period_s = period_s
        self.order = order
        self.window_s = window_s
        self.refit_every = refit_every
        self.max_iterations = max_iterations
        self._history: ObservedHistory | None = None
        self._filter: Filter | None = None
        self._parameters: Array | None = None
        self._season: Array = np.zeros(1)
        self._since_fit = 0

    def fit(self, history: RateSeries) -> Self:
        """Decompose and estimate.

        Raises:
            DataError: the window holds fewer than two periods, or too few for the order.
            ConfigError: a span is not a multiple of the interval.
        """
        self._history = ObservedHistory("StlArima", history)
        self._parameters = None
        self._estimate()
        return self

    def update(self, observed: RateSeries) -> None:
        """Filter the new intervals one by one; fit again when ``refit_every`` have passed."""
        history = require_fitted("StlArima", self._history)
        for index in range(len(observed)):
            at = observed.start_s + index * observed.interval_s
            rate = observed.rate_rps[index : index + 1]
            season = float(self._seasonal(len(history), 1)[0])
            history.append(RateSeries(at, observed.interval_s, rate))
            self._fitted_filter().append(float(np.log1p(rate[0])) - season)
            self._since_fit += 1
            if self.refit_every is not None and self._since_fit >= self.refit_every:
                self._estimate()

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint log-normal paths, cut off at zero."""
        history = require_fitted("StlArima", self._history)
        require_size("StlArima", horizon, samples)
        mean, covariance = self.predict(horizon)
        paths = rates_of(mean + correlated_normals(rng, samples, covariance))
        return Forecast.equally_likely(history.end_s, history.interval_s, paths)

    def predict(self, horizon: int) -> tuple[Array, Array]:
        """Return mean (horizon,) and covariance (horizon, horizon) of the next log(1 + rate)."""
        history = require_fitted("StlArima", self._history)
        mean, covariance = self._fitted_filter().predict(horizon)
        return mean + self._seasonal(len(history), horizon), covariance

    def _seasonal(self, first: int, count: int) -> Array:
        """Return the repeated season of ``count`` intervals from index ``first``."""
        season: Array = self._season[(first + np.arange(count)) % len(self._season)]
        return season

    def _fitted_filter(self) -> Filter:
        if self._filter is None:
            raise ConfigError("StlArima: must be fitted before it forecasts, got no history")
        return self._filter

    def _estimate(self) -> None:
        """Decompose the newest window, fit to the rest and stand behind its last interval."""
        history = require_fitted("StlArima", self._history)
        window = steps_of("StlArima", "window_s", self.window_s, history.interval_s)
        period = steps_of("StlArima", "period_s", self.period_s, history.interval_s)
        values = history.logs[-window:].copy()
        known = int(np.isfinite(values).sum())
        if period < 2 or known < 2 * period + 1:
            raise DataError(
                f"StlArima: a period of {period} intervals needs at least 2, and a history of at "
                f"least {2 * period + 1} with data in its window, got {known}"
            )
        p, d, q = (int(o) for o in self.order)
        order: Order = (p, d, q)
        require_enough("StlArima", values, order, _NO_SEASON)
        first = len(history) - len(values)
        self._season = last_season(values, period, first)
        rest = values - self._seasonal(first, len(values))
        fitted = estimated(rest, order, _NO_SEASON, self._parameters, self.max_iterations)
        self._parameters, self._filter = fitted.parameters, fitted.filter
        self._since_fit = 0


def last_season(values: Array, period: int, first: int) -> Array:
    """Return STL's season over the last period, (period,), from phase 0 of the whole series.

    ``first`` is the index of the first value in the whole series.
    """
    from statsmodels.tsa.seasonal import STL

    known = np.flatnonzero(np.isfinite(values))
    bridged = np.interp(np.arange(len(values)), known, values[known])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a flat series has nothing to weigh
        seasonal = STL(bridged, period=period, robust=True).fit().seasonal
    last: Array = np.asarray(seasonal, dtype=np.float64)[-period:]
    if not np.all(np.isfinite(last)):
        return np.zeros(period)
    return np.roll(last, (first + len(values)) % period)
