"""The rate one period ago, with the joint errors that this made in the past."""

from __future__ import annotations

from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import DataError
from markopt.forecasting.draws import systematic_choice
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of


@final
class SeasonalNaive:
    """Repeats the last period and adds whole error paths of the past, in log(1 + rate).

    Where an interval one period ago has no data, the newest earlier period that has some at that
    phase is used; a phase that never had any is interpolated between its neighbours.

    Args:
        period_s: the period, seconds; a multiple of the interval.
        errors_s: how much of the past the error paths are taken from, seconds.
    """

    def __init__(self, period_s: float = 86400.0, errors_s: float = 604800.0) -> None:
        self.period_s = period_s
        self.errors_s = errors_s
        self._history: ObservedHistory | None = None

    def fit(self, history: RateSeries) -> Self:
        """Remember the history, which must hold a period and one interval more.

        Raises:
            DataError: the history is too short.
            ConfigError: a span is not a multiple of the interval.
        """
        period = steps_of("SeasonalNaive", "period_s", self.period_s, history.interval_s)
        steps_of("SeasonalNaive", "errors_s", self.errors_s, history.interval_s)
        if len(history) <= period:
            raise DataError(
                f"SeasonalNaive: a period of {self.period_s} s needs a history of at least "
                f"{period + 1} intervals, got {len(history)}"
            )
        self._history = ObservedHistory("SeasonalNaive", history)
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals that have ended since."""
        require_fitted("SeasonalNaive", self._history).append(observed)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint paths of the next intervals.

        Raises:
            DataError: there is no pair of gapless stretches, a period apart, of horizon length.
        """
        history = require_fitted("SeasonalNaive", self._history)
        require_size("SeasonalNaive", horizon, samples)
        period = steps_of("SeasonalNaive", "period_s", self.period_s, history.interval_s)
        memory = steps_of("SeasonalNaive", "errors_s", self.errors_s, history.interval_s)
        logs, gaps = history.logs, history.gaps_before
        origins = np.arange(max(len(history) - memory, period), len(history) - horizon + 1)
        if len(origins):
            now = gaps[origins + horizon] == gaps[origins]
            then = gaps[origins + horizon - period] == gaps[origins - period]
            origins = origins[now & then]
        if not len(origins):
            raise DataError(
                f"SeasonalNaive: {horizon} steps need {horizon} past intervals with data, and the "
                f"same one period of {period} intervals before, got {len(history)} intervals "
                "without such a pair"
            )
        rows = systematic_choice(rng, samples, origins)[:, None] + np.arange(horizon)
        center = _repeated(logs, period, horizon)
        paths = np.expm1(center + logs[rows] - logs[rows - period])
        return Forecast.equally_likely(history.end_s, history.interval_s, np.maximum(paths, 0.0))


def _repeated(logs: NDArray[np.float64], period: int, horizon: int) -> NDArray[np.float64]:
    """Return the newest known value at the phase of each of the next ``horizon`` intervals."""
    wanted = len(logs) - period + np.arange(horizon) % period
    center = logs[wanted]
    if not np.any(np.isnan(center)):
        return center
    for back in range(1, len(logs) // period + 1):
        rows = wanted - back * period
        usable = np.isnan(center) & (rows >= 0)
        center[usable] = logs[rows[usable]]
    if np.any(np.isnan(center)):
        # Always unknown at this phase (a nightly hole): bridge it within the last period.
        season = logs[-period:]
        known = np.flatnonzero(~np.isnan(season))
        if not len(known):
            known, season = np.flatnonzero(~np.isnan(logs)), logs
        bridged = np.interp(np.arange(horizon) % period, known, season[known], period=period)
        center = np.where(np.isnan(center), bridged, center)
    return center
