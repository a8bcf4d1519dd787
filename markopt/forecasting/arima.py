"""ARIMA and seasonal ARIMA: fitted seldom by statsmodels, filtered every interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting.arima_estimation import (
    Order,
    Seasonal,
    estimated,
    order_of_least_aicc,
    require_enough,
)
from markopt.forecasting.draws import correlated_normals
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of
from markopt.forecasting.state_space import Filter

_LARGEST_LOG_RATE = 25.0  # 7e10 requests/s: keeps exp of an unlucky path finite


@final
class Arima:
    """(Seasonal) ARIMA of the rate, Gaussian joint paths from its state space.

    Parameters are estimated by maximum likelihood on the last ``window_s``; between two fits the
    Kalman filter takes in every interval at once, and gaps as missing observations.

    Args:
        order: (p, d, q), or ``auto``: d by the KPSS test, p and q of least AICc (Hyndman and
            Khandakar, Journal of Statistical Software 27(3), 2008), searched when first fitted.
        seasonal_order: (P, D, Q, s), s in intervals; (0, 0, 0, 0) without a season.
        refit_every: intervals between two fits while updating; None never fits again.
        log: model log(1 + rate) instead of the rate.
        window_s: the newest part of the history that a fit uses, seconds.
        max_iterations: of the likelihood's maximisation.
    """

    def __init__(
        self,
        order: Sequence[int] | str = (2, 0, 1),
        seasonal_order: Sequence[int] = (0, 0, 0, 0),
        refit_every: int | None = 1440,
        log: bool = True,
        *,
        window_s: float = 259200.0,
        max_iterations: int = 50,
    ) -> None:
        self.order = order
        self.seasonal_order = seasonal_order
        self.refit_every = refit_every
        self.log = log
        self.window_s = window_s
        self.max_iterations = max_iterations
        self.converged = False
        self.chosen_order: Order | None = None
        self._history: ObservedHistory | None = None
        self._filter: Filter | None = None
        self._parameters: NDArray[np.float64] | None = None
        self._since_fit = 0

    def fit(self, history: RateSeries) -> Self:
        """Estimate the parameters.

        Raises:
            DataError: fewer intervals with data than ten per parameter and two seasons.
            ConfigError: the orders are not whole numbers of the right count.
        """
        self._check_orders()
        steps_of("Arima", "window_s", self.window_s, history.interval_s)
        self._history = ObservedHistory("Arima", history)
        self._parameters = None
        self.chosen_order = None
        self._estimate()
        return self

    def update(self, observed: RateSeries) -> None:
        """Filter the new intervals one by one; fit again when ``refit_every`` have passed."""
        history = require_fitted("Arima", self._history)
        filtered = self._fitted_filter()
        for index in range(len(observed)):
            rate = observed.rate_rps[index : index + 1]
            at = observed.start_s + index * observed.interval_s
            history.append(RateSeries(at, observed.interval_s, rate))
            self._since_fit += 1
            if self.refit_every is not None and self._since_fit >= self.refit_every:
                self._estimate()
                filtered = self._fitted_filter()
            else:
                filtered.append(float(np.log1p(rate[0]) if self.log else rate[0]))

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint Gaussian paths (log-normal with ``log``), cut off at zero."""
        history = require_fitted("Arima", self._history)
        require_size("Arima", horizon, samples)
        mean, covariance = self._fitted_filter().predict(horizon)
        paths = mean + correlated_normals(rng, samples, covariance)
        if self.log:
            paths = np.expm1(np.minimum(paths, _LARGEST_LOG_RATE))
        return Forecast.equally_likely(history.end_s, history.interval_s, np.maximum(paths, 0.0))

    @property
    def parameters(self) -> NDArray[np.float64]:
        """The estimated parameters, in the order of statsmodels' SARIMAX.

        Raises:
            ConfigError: nothing was fitted.
        """
        if self._parameters is None:
            raise ConfigError("Arima: must be fitted before it has parameters, got no history")
        return self._parameters

    def predict(self, horizon: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean (horizon,) and covariance (horizon, horizon) of the next values.

        Of log(1 + rate) with ``log``, else of the rate.
        """
        return self._fitted_filter().predict(horizon)

    def _check_orders(self) -> None:
        if isinstance(self.order, str) and self.order != "auto":
            raise ConfigError(
                f"forecaster.order: must be 3 whole numbers or auto, got {self.order}"
            )
        order = (0, 0, 0) if isinstance(self.order, str) else self.order
        for key, orders, count in (
            ("order", order, 3),
            ("seasonal_order", self.seasonal_order, 4),
        ):
            if len(orders) != count or any(int(o) != o or o < 0 for o in orders):
                raise ConfigError(
                    f"forecaster.{key}: needs {count} whole numbers of at least 0, got "
                    f"{list(orders)}"
                )
        if self.refit_every is not None and self.refit_every < 1:
            raise ConfigError(
                f"forecaster.refit_every: must be at least 1 or null, got {self.refit_every}"
            )

    def _fitted_filter(self) -> Filter:
        if self._filter is None:
            raise ConfigError("Arima: must be fitted before update or forecast, got no history")
        return self._filter

    def _estimate(self) -> None:
        """Fit to the newest window and take over the filter's state at its end."""
        history = require_fitted("Arima", self._history)
        window = steps_of("Arima", "window_s", self.window_s, history.interval_s)
        values = (history.logs if self.log else history.rates)[-window:].copy()
        seasonal = _seasonal(self.seasonal_order)
        if self.chosen_order is None:
            self.chosen_order = self._order_for(values, seasonal)
        require_enough("Arima", values, self.chosen_order, seasonal)
        fitted = estimated(
            values, self.chosen_order, seasonal, self._parameters, self.max_iterations
        )
        self.converged = fitted.converged
        self._parameters, self._filter = fitted.parameters, fitted.filter
        self._since_fit = 0

    def _order_for(self, values: NDArray[np.float64], seasonal: Seasonal) -> Order:
        if not isinstance(self.order, str):
            return _plain(self.order)
        require_enough("Arima", values, (2, 1, 2), seasonal)
        return order_of_least_aicc(values, seasonal, self.max_iterations)


def _plain(order: Sequence[int]) -> Order:
    p, d, q = (int(o) for o in order)
    return p, d, q


def _seasonal(order: Sequence[int]) -> Seasonal:
    p, d, q, season = (int(o) for o in order)
    return p, d, q, season
