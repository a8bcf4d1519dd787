"""Holt-Winters: level, damped trend and season; paths from stretches of past errors."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Self, final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import toeplitz
from scipy.optimize import minimize
from scipy.special import expit

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting.draws import systematic_choice
from markopt.forecasting.error_paths import LONGEST_LEAD, GrowingArray, rates_of, whole_origins
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of

Array = NDArray[np.float64]

_START = (-1.0, -3.0, -2.0, 0.0)  # of the search: moderate level, slow trend and season


@dataclass(frozen=True)
class Smoothing:
    """Smoothing parameters of the innovations form: alpha, beta, gamma, phi.

    Each error e moves the level by ``level * e``, the trend by ``trend * e`` and the season by
    ``season * e``; the trend is multiplied by ``damping`` per interval.
    """

    level: float
    trend: float
    season: float
    damping: float

    @classmethod
    def of(cls, free: Array, *, with_trend: bool, with_season: bool) -> Smoothing:
        """Map four free numbers into the usual region, where forecasts are averages of the past.

        0 < alpha < 1, 0 < beta < alpha, 0 < gamma < 1 - alpha, 0.8 < phi < 0.98.
        """
        level, trend, season, damping = expit(np.clip(free, -12.0, 12.0)).tolist()
        return cls(
            level,
            level * trend if with_trend else 0.0,
            (1.0 - level) * season if with_season else 0.0,
            0.8 + 0.18 * damping if with_trend else 0.0,
        )

    def responses(self, steps: int, period: int) -> Array:
        """Return how an error moves the value 0, 1, .. steps - 1 intervals later.

        1 at once, then alpha + beta (phi + .. + phi^j) + gamma at whole periods (Hyndman et al.,
        Forecasting with Exponential Smoothing, 2008, table 6.2).
        """
        later = np.arange(1, steps)
        response = np.ones(steps)
        response[1:] = self.level + self.trend * np.cumsum(self.damping**later)
        response[1:] += self.season * (later % period == 0)
        return response


@dataclass
class SmoothingState:
    """Level, trend and season (period,) of log(1 + rate); the next interval has ``phase``."""

    level: float
    trend: float
    seasons: list[float]
    phase: int = 0

    def append(self, log_rate: float, smoothing: Smoothing) -> float:
        """Take in one interval, NaN without data; return its error, NaN without data."""
        trend = smoothing.damping * self.trend
        expected = self.level + trend
        error = log_rate - expected - self.seasons[self.phase]
        if not isnan(error):
            self.level = expected + smoothing.level * error
            self.trend = trend + smoothing.trend * error
            self.seasons[self.phase] += smoothing.season * error
        else:
            self.level, self.trend = expected, trend
        self.phase = (self.phase + 1) % len(self.seasons)
        return error

    def center(self, horizon: int, smoothing: Smoothing) -> Array:
        """Return the expected log(1 + rate) of the next intervals, (horizon,)."""
        steps = np.arange(1, horizon + 1)
        seasons = np.array(self.seasons)[(self.phase + steps - 1) % len(self.seasons)]
        center: Array = self.level + self.trend * np.cumsum(smoothing.damping**steps) + seasons
        return center


@final
class HoltWinters:
    """Additive Holt-Winters, ETS(A,N,A) or with a damped trend ETS(A,Ad,A), of log(1 + rate).

    Parameters minimise the squared one-step errors of the last ``window_s`` (maximum likelihood of
    normal errors, Hyndman et al. 2008, section 5.1) from starting states of the first periods;
    every interval then moves the state in O(1). Paths are simulated: the state equation is fed with
    stretches of its own past errors, as long as the horizon, so that bursts keep their length.

    Args:
        period_s: of the season, seconds; None: no season.
        trend: with a damped trend.
        window_s: the newest part of the history that a fit uses, seconds.
        refit_every: intervals between two fits while updating; None never fits again.
        max_evaluations: of the sum of squares in one fit.
    """

    def __init__(
        self,
        period_s: float | None = 1800.0,
        trend: bool = False,
        window_s: float = 259200.0,
        refit_every: int | None = 1440,
        max_evaluations: int = 200,
    ) -> None:
        if refit_every is not None and refit_every < 1:
            raise ConfigError(
                f"forecaster.refit_every: must be at least 1 or null, got {refit_every}"
            )
        self.period_s = period_s
        self.trend = trend
        self.window_s = window_s
        self.refit_every = refit_every
        self.max_evaluations = max_evaluations
        self._history: ObservedHistory | None = None
        self._smoothing = Smoothing(0.0, 0.0, 0.0, 0.0)
        self._state = SmoothingState(0.0, 0.0, [0.0])
        self._errors = GrowingArray(1)
        self._first_error = 0
        self._since_fit = 0

    def fit(self, history: RateSeries) -> Self:
        """Estimate the parameters.

        Raises:
            DataError: the window holds fewer than two periods, or ten intervals, with data.
            ConfigError: a span is not a multiple of the interval.
        """
        window, period = self._spans(history.interval_s)
        observed = ObservedHistory("HoltWinters", history)
        known, needed = int(np.isfinite(observed.logs[-window:]).sum()), max(2 * period, 10)
        if known < needed:
            raise DataError(
                f"HoltWinters: a period of {period} intervals needs a history of at least "
                f"{needed} intervals with data in its window, got {known}"
            )
        self._history = observed
        self._estimate()
        return self

    def update(self, observed: RateSeries) -> None:
        """Move the state on interval by interval; fit again when ``refit_every`` have passed."""
        history = require_fitted("HoltWinters", self._history)
        for index in range(len(observed)):
            at = observed.start_s + index * observed.interval_s
            rate = observed.rate_rps[index : index + 1]
            history.append(RateSeries(at, observed.interval_s, rate))
            error = self._state.append(float(np.log1p(rate[0])), self._smoothing)
            self._errors.append((error,))
            self._since_fit += 1
            if self.refit_every is not None and self._since_fit >= self.refit_every:
                self._since_fit = 0
                window, period = self._spans(history.interval_s)
                if np.isfinite(history.logs[-window:]).sum() >= max(2 * period, 10):
                    self._estimate()

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint paths of the next intervals.

        Raises:
            DataError: no gapless stretch since the window's start is as long as the horizon.
        """
        history = require_fitted("HoltWinters", self._history)
        require_size("HoltWinters", horizon, samples)
        # Intervals without data before now have errors that are not known: drawn as well.
        unseen = min(len(history) - history.last_observed, LONGEST_LEAD) - 1
        length = unseen + horizon
        origins = np.arange(self._first_error, len(history) - length + 1)
        origins = whole_origins(history, origins, 1, length)
        if not len(origins):
            raise DataError(
                f"HoltWinters: {horizon} steps need a past stretch of {length} intervals with "
                f"data, got {len(history)} intervals without one"
            )
        rows = systematic_choice(rng, samples, origins)[:, None] - self._first_error
        errors = self._errors.rows[rows + np.arange(length), 0]
        _, period = self._spans(history.interval_s)
        response = self._smoothing.responses(length, period)
        moved = errors @ np.tril(toeplitz(response)).T
        paths = rates_of(self._state.center(horizon, self._smoothing) + moved[:, unseen:])
        return Forecast.equally_likely(history.end_s, history.interval_s, paths)

    @property
    def smoothing(self) -> Smoothing:
        """The estimated parameters."""
        require_fitted("HoltWinters", self._history)
        return self._smoothing

    def center(self, horizon: int) -> Array:
        """Return the expected log(1 + rate) of the next intervals, (horizon,)."""
        require_fitted("HoltWinters", self._history)
        return self._state.center(horizon, self._smoothing)

    def _spans(self, interval_s: float) -> tuple[int, int]:
        """Return window and period, intervals; a period of 1 without season."""
        window = steps_of("HoltWinters", "window_s", self.window_s, interval_s)
        if self.period_s is None:
            return window, 1
        return window, steps_of("HoltWinters", "period_s", self.period_s, interval_s)

    def _estimate(self) -> None:
        """Fit to the newest window and stand behind its last interval, its errors remembered."""
        history = require_fitted("HoltWinters", self._history)
        window, period = self._spans(history.interval_s)
        logs = history.logs[-window:]
        start = initial_state(logs, period)
        values = logs.tolist()
        with_season = period > 1

        searched = np.array([True, self.trend, with_season, self.trend])

        def smoothing_of(found: Array) -> Smoothing:
            free = np.array(_START)
            free[searched] = found
            return Smoothing.of(free, with_trend=self.trend, with_season=with_season)

        def squares(found: Array) -> float:
            errors, _ = smoothed(values, start, smoothing_of(found))
            return float(np.log(np.nansum(np.square(errors)) + 1e-12))

        found = minimize(
            squares,
            np.array(_START)[searched],
            method="Nelder-Mead",
            options={"maxfev": self.max_evaluations, "xatol": 0.02, "fatol": 1e-5},
        )
        self._smoothing = smoothing_of(found.x)
        errors, self._state = smoothed(values, start, self._smoothing)
        self._first_error = len(history) - len(values)
        self._errors = GrowingArray(1)
        for error in errors:
            self._errors.append((error,))
        self._since_fit = 0


def initial_state(logs: Array, period: int) -> SmoothingState:
    """Return level and season of the first three periods (all intervals' mean where unknown).

    Hyndman et al. 2008, section 2.6.1, without its trend: over so short a span a trend is noise.
    """
    first = logs[: max(3 * period, 10)]
    level = float(np.nanmean(first)) if np.any(np.isfinite(first)) else float(np.nanmean(logs))
    phases = np.arange(len(first)) % period
    seasons = np.zeros(period)
    for phase in range(period):
        known = first[phases == phase]
        known = known[np.isfinite(known)]
        if len(known):
            seasons[phase] = known.mean() - level
    return SmoothingState(level, 0.0, (seasons - seasons.mean()).tolist())


def smoothed(
    logs: list[float], start: SmoothingState, smoothing: Smoothing
) -> tuple[list[float], SmoothingState]:
    """Return the one-step errors from a starting state, NaN without data, and the last state."""
    state = SmoothingState(start.level, start.trend, start.seasons.copy(), start.phase)
    return [state.append(log_rate, smoothing) for log_rate in logs], state
