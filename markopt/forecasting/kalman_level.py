"""The local level model: a level that wanders, seen through noise; exact joint normal paths."""

from __future__ import annotations

from math import isnan, log
from typing import Self, final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting.draws import correlated_normals
from markopt.forecasting.error_paths import rates_of
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of
from markopt.forecasting.state_space import Filter, StateSpace

Array = NDArray[np.float64]

_LOG_RATIOS = (-12.0, 12.0)  # of level noise to observation noise; beyond, one of them is nothing
_LEAST_VARIANCE = 1e-12


@final
class KalmanLevel:
    """Local level of log(1 + rate), variances by maximum likelihood.

    y = level + noise, the level a random walk (Durbin and Koopman, Time Series Analysis by State
    Space Methods, 2nd ed., chapter 2; the diffuse likelihood is concentrated over the scale,
    section 2.10.2). Gaps only let the level wander on.

    Args:
        window_s: the newest part of the history that a fit uses, seconds.
        refit_every: intervals between two fits while updating; None never fits again.
    """

    def __init__(self, window_s: float = 259200.0, refit_every: int | None = 1440) -> None:
        if refit_every is not None and refit_every < 1:
            raise ConfigError(
                f"forecaster.refit_every: must be at least 1 or null, got {refit_every}"
            )
        self.window_s = window_s
        self.refit_every = refit_every
        self._history: ObservedHistory | None = None
        self._filter: Filter | None = None
        self._since_fit = 0

    def fit(self, history: RateSeries) -> Self:
        """Estimate the variances.

        Raises:
            DataError: fewer than ten intervals of the window have data.
            ConfigError: ``window_s`` is not a multiple of the interval.
        """
        window = steps_of("KalmanLevel", "window_s", self.window_s, history.interval_s)
        observed = ObservedHistory("KalmanLevel", history)
        known = int(np.isfinite(observed.logs[-window:]).sum())
        if known < 10:
            raise DataError(
                "KalmanLevel: needs a history of at least 10 intervals with data in its window, "
                f"got {known}"
            )
        self._history = observed
        self._estimate(window)
        return self

    def update(self, observed: RateSeries) -> None:
        """Filter the new intervals one by one; fit again when ``refit_every`` have passed."""
        history = require_fitted("KalmanLevel", self._history)
        window = steps_of("KalmanLevel", "window_s", self.window_s, history.interval_s)
        for index in range(len(observed)):
            at = observed.start_s + index * observed.interval_s
            rate = observed.rate_rps[index : index + 1]
            history.append(RateSeries(at, observed.interval_s, rate))
            self._fitted_filter().append(float(np.log1p(rate[0])))
            self._since_fit += 1
            if self.refit_every is not None and self._since_fit >= self.refit_every:
                self._since_fit = 0
                if np.isfinite(history.logs[-window:]).sum() >= 10:
                    self._estimate(window)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint log-normal paths, cut off at zero."""
        history = require_fitted("KalmanLevel", self._history)
        require_size("KalmanLevel", horizon, samples)
        mean, covariance = self._fitted_filter().predict(horizon)
        paths = rates_of(mean + correlated_normals(rng, samples, covariance))
        return Forecast.equally_likely(history.end_s, history.interval_s, paths)

    def predict(self, horizon: int) -> tuple[Array, Array]:
        """Return mean (horizon,) and covariance (horizon, horizon) of the next log(1 + rate)."""
        return self._fitted_filter().predict(horizon)

    @property
    def variances(self) -> tuple[float, float]:
        """Variances of the observation noise and of the level's step, in log(1 + rate)."""
        model = self._fitted_filter().model
        return model.observation_variance, float(model.noise[0, 0])

    def _fitted_filter(self) -> Filter:
        if self._filter is None:
            raise ConfigError("KalmanLevel: must be fitted before it forecasts, got no history")
        return self._filter

    def _estimate(self, window: int) -> None:
        """Fit to the newest window and stand behind its last interval."""
        logs = require_fitted("KalmanLevel", self._history).logs[-window:].tolist()
        found = minimize_scalar(
            lambda log_ratio: -_filtered(logs, float(np.exp(log_ratio)))[0],
            bounds=_LOG_RATIOS,
            method="bounded",
            options={"xatol": 1e-3},
        )
        ratio = float(np.exp(found.x))
        _, scale, level, variance = _filtered(logs, ratio)
        model = StateSpace(
            design=np.ones(1),
            transition=np.ones((1, 1)),
            noise=np.array([[scale * ratio]]),
            state_intercept=np.zeros(1),
            observation_intercept=0.0,
            observation_variance=scale,
        )
        self._filter = Filter(model, np.array([level]), np.array([[scale * variance]]))
        self._since_fit = 0


def _filtered(logs: list[float], ratio: float) -> tuple[float, float, float, float]:
    """Filter with observation variance 1 and level variance ``ratio``.

    Returns:
        The concentrated log-likelihood without constants, the estimated observation variance, and
        mean and variance (in units of it) of the level behind the last interval.
    """
    level, variance = 0.0, -1.0  # negative: diffuse, nothing was observed yet
    squares, determinant, count = 0.0, 0.0, 0
    for value in logs:
        if not isnan(value):
            if variance < 0.0:
                level, variance = value, 1.0
            else:
                spread = variance + 1.0
                error = value - level
                squares += error * error / spread
                determinant += log(spread)
                count += 1
                level += error * variance / spread
                variance /= spread
        if variance >= 0.0:
            variance += ratio
    scale = max(squares / max(count, 1), _LEAST_VARIANCE)
    likelihood = -0.5 * (count * log(scale) + determinant)
    return likelihood, scale, level, variance
