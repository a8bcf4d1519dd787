"""What a forecaster has seen so far: one growing series, in rates and in logarithms."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.core import RateSeries
from markopt.errors import ConfigError, DataError

BEYOND_THE_HIGHEST = 2.0
"""Times the highest rate seen that paths may be drawn out or multiplied to."""


@final
class ObservedHistory:
    """A growing rate series; appending costs O(what is appended), reading copies nothing.

    Rates are requests/s, NaN where there is no data; ``logs`` is log(1 + rate). ``name`` is the
    forecaster's, for error messages.

    Raises:
        DataError: no interval of the series has data.
    """

    def __init__(self, name: str, series: RateSeries) -> None:
        if not np.any(np.isfinite(series.rate_rps)):
            raise DataError(
                f"{name}: fitting needs a history of at least 1 interval with data, got "
                f"{len(series)} intervals, none with data"
            )
        self.name = name
        self.start_s = series.start_s
        self.interval_s = series.interval_s
        self._count = 0
        self._rates = np.empty(max(2 * len(series), 64))
        self._logs = np.empty_like(self._rates)
        self._gaps = np.zeros(len(self._rates) + 1, dtype=np.int64)
        self._append(series.rate_rps)

    def __len__(self) -> int:
        return self._count

    @property
    def end_s(self) -> float:
        """End of the last interval."""
        return self.start_s + self.interval_s * self._count

    @property
    def rates(self) -> NDArray[np.float64]:
        """Rates so far, shape (n,), NaN where there is no data; a view."""
        return self._rates[: self._count]

    @property
    def logs(self) -> NDArray[np.float64]:
        """log(1 + rate) so far, shape (n,); a view."""
        return self._logs[: self._count]

    @property
    def gaps_before(self) -> NDArray[np.int64]:
        """Number of intervals without data before each index, shape (n + 1,); a view."""
        return self._gaps[: self._count + 1]

    @property
    def last_observed(self) -> int:
        """Index of the last interval with data."""
        # There always is one: the constructor demands it.
        missing = np.isnan(self._rates[self._count - 1 :: -1])
        return self._count - 1 - int(np.argmin(missing))

    def series(self) -> RateSeries:
        """Return a copy as a series."""
        return RateSeries(self.start_s, self.interval_s, self.rates)

    def append(self, observed: RateSeries) -> None:
        """Append intervals that start where the history ends.

        Raises:
            DataError: the grids do not fit together.
        """
        if abs(observed.interval_s - self.interval_s) > 1e-9 or (
            abs(observed.start_s - self.end_s) > 1e-6 * self.interval_s
        ):
            raise DataError(
                f"{self.name}: update must start at {self.end_s} s in steps of "
                f"{self.interval_s} s, got a start of {observed.start_s} s and steps of "
                f"{observed.interval_s} s"
            )
        self._append(observed.rate_rps)

    def _append(self, rates: NDArray[np.float64]) -> None:
        first, last = self._count, self._count + len(rates)
        if last > len(self._rates):
            room = 2 * last
            self._rates = np.concatenate([self._rates[:first], np.empty(room - first)])
            self._logs = np.concatenate([self._logs[:first], np.empty(room - first)])
            self._gaps = np.concatenate(
                [self._gaps[: first + 1], np.zeros(room - first, dtype=np.int64)]
            )
        self._rates[first:last] = rates
        self._logs[first:last] = np.log1p(rates)
        self._gaps[first + 1 : last + 1] = self._gaps[first] + np.cumsum(np.isnan(rates))
        self._count = last


def require_fitted(name: str, history: ObservedHistory | None) -> ObservedHistory:
    """Return the history of a fitted forecaster.

    Raises:
        ConfigError: it was not fitted.
    """
    if history is None:
        raise ConfigError(f"{name}: must be fitted before update or forecast, got no history")
    return history


def require_size(name: str, horizon: int, samples: int) -> None:
    """Check what a forecast is asked for.

    Raises:
        ConfigError: the horizon or the number of samples is below 1.
    """
    if horizon < 1:
        raise ConfigError(f"{name}: horizon must be at least 1, got {horizon}")
    if samples < 1:
        raise ConfigError(f"{name}: samples must be at least 1, got {samples}")


def steps_of(name: str, key: str, span_s: float, interval_s: float) -> int:
    """Return how many intervals a span holds.

    Raises:
        ConfigError: the span is not a positive multiple of the interval.
    """
    steps = round(span_s / interval_s)
    if steps < 1 or abs(steps * interval_s - span_s) > 1e-6 * interval_s:
        raise ConfigError(
            f"{name}: {key} must be a positive multiple of the interval of {interval_s} s, "
            f"got {span_s}"
        )
    return steps
