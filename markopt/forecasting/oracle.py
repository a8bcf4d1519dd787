"""Perfect foresight, under a name that shows it: a bound for every honest forecaster."""

from __future__ import annotations

from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError, DataError
from markopt.forecasting.history import ObservedHistory, require_fitted, require_size


@final
class Oracle:
    """Returns the rates that will be realised, as equal paths. For bounds only: it cheats.

    Intervals beyond the known rates hold the last known one; intervals without data hold the one
    before them.

    Args:
        rates: the whole realised series, on the grid of the fitted one. None until the evaluation
            gives it through ``with_rates``.
    """

    def __init__(self, rates: RateSeries | None = None) -> None:
        self.rates = rates
        self._history: ObservedHistory | None = None
        self._held: NDArray[np.float64] | None = None

    def with_rates(self, rates: RateSeries) -> Oracle:
        """Return an oracle that knows these rates."""
        return Oracle(rates)

    def fit(self, history: RateSeries) -> Self:
        """Take over the grid of the history.

        Raises:
            ConfigError: the oracle was given no rates.
            DataError: the rates have no data, or lie on another grid.
        """
        rates = self._known()
        shift = (history.start_s - rates.start_s) / rates.interval_s
        if abs(history.interval_s - rates.interval_s) > 1e-9 or abs(shift - round(shift)) > 1e-6:
            raise DataError(
                f"Oracle: rates must lie on the grid of the history ({history.start_s} s in steps "
                f"of {history.interval_s} s), got {rates.start_s} s in steps of "
                f"{rates.interval_s} s"
            )
        known = np.isfinite(rates.rate_rps)
        if not np.any(known):
            raise DataError("Oracle: rates need at least 1 interval with data, got none")
        newest = np.maximum.accumulate(np.where(known, np.arange(len(known)), np.argmax(known)))
        self._held = rates.rate_rps[newest]
        self._history = ObservedHistory("Oracle", history)
        return self

    def update(self, observed: RateSeries) -> None:
        """Move on by the intervals that have ended."""
        require_fitted("Oracle", self._history).append(observed)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return the realised rates of the next intervals, ``samples`` times.

        Raises:
            ConfigError: the oracle was given no rates.
        """
        rates = self._known()
        history = require_fitted("Oracle", self._history)
        require_size("Oracle", horizon, samples)
        held = self._held
        if held is None:
            raise ConfigError("Oracle: must be fitted before forecast, got no history")
        first = round((history.end_s - rates.start_s) / rates.interval_s)
        rows = np.clip(first + np.arange(horizon), 0, len(held) - 1)
        paths = np.broadcast_to(held[rows], (samples, horizon))
        return Forecast.equally_likely(history.end_s, history.interval_s, paths)

    def _known(self) -> RateSeries:
        if self.rates is None:
            raise ConfigError(
                "forecaster.rates: the oracle needs the realised rates, got null (call with_rates)"
            )
        return self.rates
