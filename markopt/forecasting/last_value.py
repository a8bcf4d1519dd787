"""The last observed rate, with the joint errors that this made in the past."""

from __future__ import annotations

from typing import Self, final

import numpy as np

from markopt.core import Forecast, RateSeries
from markopt.errors import DataError
from markopt.forecasting.draws import systematic_choice
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of


@final
class LastValue:
    """Holds the last observed rate and adds whole error paths of the past, in log(1 + rate).

    An error path keeps the dependence over the horizon. Where the newest intervals have no data,
    the paths start at the last one that has, and errors of that longer lead are used.

    Args:
        errors_s: how much of the past the error paths are taken from, seconds.
    """

    def __init__(self, errors_s: float = 604800.0) -> None:
        self.errors_s = errors_s
        self._history: ObservedHistory | None = None

    def fit(self, history: RateSeries) -> Self:
        """Remember the history.

        Raises:
            DataError: it has no interval with data.
            ConfigError: ``errors_s`` is not a multiple of the interval.
        """
        steps_of("LastValue", "errors_s", self.errors_s, history.interval_s)
        self._history = ObservedHistory("LastValue", history)
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals that have ended since."""
        require_fitted("LastValue", self._history).append(observed)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint paths of the next intervals.

        Raises:
            DataError: no gapless stretch of the past is as long as the horizon.
        """
        history = require_fitted("LastValue", self._history)
        require_size("LastValue", horizon, samples)
        last = history.last_observed
        lead = len(history) - last  # 1 where the newest interval has data
        reach = lead + horizon - 1
        memory = steps_of("LastValue", "errors_s", self.errors_s, history.interval_s)
        oldest = max(len(history) - memory - reach, 0)
        logs, gaps = history.logs, history.gaps_before
        origins = np.arange(oldest, len(history) - reach)
        if len(origins):
            whole = gaps[origins + reach + 1] == gaps[origins + lead]
            origins = origins[whole & ~np.isnan(logs[origins])]
        if not len(origins):
            raise DataError(
                f"LastValue: {horizon} steps need a past stretch of {reach + 1} intervals with "
                f"data, got {len(history)} intervals without one"
            )
        chosen = systematic_choice(rng, samples, origins)
        later = logs[chosen[:, None] + np.arange(lead, reach + 1)]
        paths = np.expm1(logs[last] + later - logs[chosen, None])
        return Forecast.equally_likely(history.end_s, history.interval_s, np.maximum(paths, 0.0))
