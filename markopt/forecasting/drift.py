"""The last rate and its mean change, with the joint errors that this made in the past."""

from __future__ import annotations

from math import isnan
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import DataError
from markopt.forecasting.error_paths import LONGEST_LEAD, error_paths, whole_origins
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size, steps_of

Array = NDArray[np.float64]


@final
class Drift:
    """Carries the mean change of the last ``window_s`` forward and adds whole error paths of it.

    The line through the ends of the window, in log(1 + rate) (Hyndman and Athanasopoulos,
    Forecasting: Principles and Practice, 3rd ed., section 5.2, there over the whole history). An
    end without data is the last value known before it. Where the newest intervals have no data,
    errors of that longer lead are used.

    Args:
        window_s: span between the two ends, seconds; a multiple of the interval.
        errors_s: how much of the past the error paths are taken from, seconds.
    """

    def __init__(self, window_s: float = 3600.0, errors_s: float = 604800.0) -> None:
        self.window_s = window_s
        self.errors_s = errors_s
        self._history: ObservedHistory | None = None
        self._held: Array = np.empty(0)
        self._count = 0

    def fit(self, history: RateSeries) -> Self:
        """Remember the history, which must hold the window and one interval more.

        Raises:
            DataError: the history is too short.
            ConfigError: a span is not a multiple of the interval.
        """
        window = steps_of("Drift", "window_s", self.window_s, history.interval_s)
        steps_of("Drift", "errors_s", self.errors_s, history.interval_s)
        if len(history) <= window:
            raise DataError(
                f"Drift: a window of {self.window_s} s needs a history of at least {window + 1} "
                f"intervals, got {len(history)}"
            )
        self._history = ObservedHistory("Drift", history)
        self._held, self._count = np.empty(0), 0
        self._hold()
        return self

    def update(self, observed: RateSeries) -> None:
        """Append intervals that have ended since."""
        require_fitted("Drift", self._history).append(observed)
        self._hold()

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return joint paths of the next intervals.

        Raises:
            DataError: no gapless stretch of the past, a window after its start, is as long as the
                horizon.
        """
        history = require_fitted("Drift", self._history)
        require_size("Drift", horizon, samples)
        window = steps_of("Drift", "window_s", self.window_s, history.interval_s)
        memory = steps_of("Drift", "errors_s", self.errors_s, history.interval_s)
        count = len(history)
        lead = min(count - history.last_observed, LONGEST_LEAD)
        steps = np.arange(lead, lead + horizon)
        held = self._held[: self._count]
        origins = np.arange(max(count - memory - horizon, window + 1), count - lead - horizon + 2)
        known = ~np.isnan(history.logs[origins - 1]) & ~np.isnan(held[origins - 1 - window])

        def lines(chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
            return chosen + lead - 1, _line(held, chosen - 1, window, steps)

        last = np.array([history.last_observed])
        # Just after fit, gaps at its end may leave the window to start before the history.
        center = _line(held, last, min(window, int(last[0])), steps)[0]
        paths = error_paths(
            history,
            whole_origins(history, origins[known], lead, horizon),
            lines,
            np.where(np.isnan(center), held[last], center),
            samples=samples,
            rng=rng,
        )
        return Forecast.equally_likely(history.end_s, history.interval_s, paths)

    def _hold(self) -> None:
        """Extend the series without gaps: each holds the last known value."""
        history = require_fitted("Drift", self._history)
        first, last = self._count, len(history)
        if last > len(self._held):
            self._held = np.concatenate([self._held[:first], np.empty(2 * last - first)])
        value = self._held[first - 1] if first else np.nan
        for index, log_rate in enumerate(history.logs[first:].tolist(), start=first):
            value = value if isnan(log_rate) else log_rate
            self._held[index] = value
        self._count = last


def _line(held: Array, at: NDArray[np.int64], window: int, steps: NDArray[np.int64]) -> Array:
    """Return the lines through ``at - window`` and ``at``, ``steps`` later, (n, steps)."""
    change = (held[at] - held[at - window]) / max(window, 1)
    line: Array = held[at][:, None] + change[:, None] * steps
    return line
