"""The exponentially weighted mean of the rate, with the joint errors that it made in the past."""

from __future__ import annotations

from math import isnan
from typing import Self, final

import numpy as np

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting.error_paths import LONGEST_LEAD, GrowingArray, error_paths, whole_origins
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of


@final
class Ewma:
    """Holds the exponentially weighted mean of log(1 + rate) and adds whole error paths of it.

    Brown's simple exponential smoothing (Hyndman and Athanasopoulos, Forecasting: Principles and
    Practice, 3rd ed., section 8.1): level += smoothing * (new - level), from the first value on.
    Intervals without data leave the level as it is, and errors of that longer lead are used.

    Args:
        half_life_s: after so many seconds an interval has half its weight.
        errors_s: how much of the past the error paths are taken from, seconds.

    Raises:
        ConfigError: the half-life is not positive.
    """

    def __init__(self, half_life_s: float = 300.0, errors_s: float = 604800.0) -> None:
        if half_life_s <= 0.0:
            raise ConfigError(f"forecaster.half_life_s: must be positive, got {half_life_s}")
        self.half_life_s = half_life_s
        self.errors_s = errors_s
        self._history: ObservedHistory | None = None
        self._levels = GrowingArray(1)

    def fit(self, history: RateSeries) -> Self:
        """Smooth the history.

        Raises:
            DataError: it has no interval with data.
            ConfigError: ``errors_s`` is not a multiple of the interval.
        """
        steps_of("Ewma", "errors_s", self.errors_s, history.interval_s)
        self._history = ObservedHistory("Ewma", history)
        self._levels = GrowingArray(1)
        self._smooth()
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals that have ended since."""
        require_fitted("Ewma", self._history).append(observed)
        self._smooth()

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint paths of the next intervals.

        Raises:
            DataError: no gapless stretch of the past is as long as the horizon.
        """
        history = require_fitted("Ewma", self._history)
        require_size("Ewma", horizon, samples)
        lead = min(len(history) - history.last_observed, LONGEST_LEAD)
        memory = steps_of("Ewma", "errors_s", self.errors_s, history.interval_s)
        count, levels = len(history), self._levels.rows[:, 0]
        origins = np.arange(max(count - memory - horizon, 1), count - lead - horizon + 2)
        origins = origins[~np.isnan(history.logs[origins - 1])]
        paths = error_paths(
            history,
            whole_origins(history, origins, lead, horizon),
            lambda chosen: (chosen + lead - 1, levels[chosen - 1][:, None]),
            np.full(horizon, levels[-1]),
            samples=samples,
            rng=rng,
        )
        return Forecast.equally_likely(history.end_s, history.interval_s, paths)

    @property
    def level_rps(self) -> float:
        """The mean as it stands: exp of the level, less one."""
        require_fitted("Ewma", self._history)
        return float(np.expm1(self._levels.rows[-1, 0]))

    def _smooth(self) -> None:
        """Move the level on over the intervals that it has not seen; NaN before the first value."""
        history = require_fitted("Ewma", self._history)
        kept = 0.5 ** (history.interval_s / self.half_life_s)
        level = float(self._levels.rows[-1, 0]) if len(self._levels) else np.nan
        for log_rate in history.logs[len(self._levels) :].tolist():
            if not isnan(log_rate):
                level = log_rate if isnan(level) else log_rate + kept * (level - log_rate)
            self._levels.append((level,))
