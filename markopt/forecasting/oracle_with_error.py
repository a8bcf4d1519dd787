"""Foresight with an error of known size, to find out what forecast errors cost."""

from __future__ import annotations

from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import Forecast, RateSeries
from markopt.errors import ConfigError
from markopt.forecasting.oracle import Oracle


@final
class OracleWithError:
    """Knows the rates that will be realised, but for a multiplicative error. It cheats, too.

    An interval's forecast is its rate times ``exp(e)``, where ``e`` is a stationary Gaussian AR(1)
    over the intervals with standard deviation ``error``: an interval has the same error however
    early it is forecast. The paths spread around that forecast like the same process with standard
    deviation ``admitted * error``: 1 says honestly how wrong it may be, 0 claims to be certain.

    Args:
        error: standard deviation of the logarithm of forecast over realised rate.
        persistence: correlation of the errors of neighbouring intervals, in [0, 1).
        admitted: the spread of the paths as a share of the error's.
        error_seed: seed of the errors; the paths are drawn from the generator of ``forecast``.
        rates: as of ``Oracle``; the evaluation gives it through ``with_rates``.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        error: float,
        persistence: float = 0.9,
        admitted: float = 1.0,
        error_seed: int = 0,
        rates: RateSeries | None = None,
    ) -> None:
        for key, value in (("error", error), ("admitted", admitted)):
            if not (np.isfinite(value) and value >= 0.0):
                raise ConfigError(f"OracleWithError: {key} must not be negative, got {value}")
        if not 0.0 <= persistence < 1.0:
            raise ConfigError(f"OracleWithError: persistence must lie in [0, 1), got {persistence}")
        self.error, self.persistence, self.admitted = error, persistence, admitted
        self.error_seed = error_seed
        self.rates = rates
        self._oracle = Oracle(rates)
        self._errors = np.zeros(0)

    def with_rates(self, rates: RateSeries) -> OracleWithError:
        """Return such an oracle that knows these rates."""
        return OracleWithError(self.error, self.persistence, self.admitted, self.error_seed, rates)

    def fit(self, history: RateSeries) -> Self:
        """Take over the grid of the history.

        Raises:
            ConfigError: the oracle was given no rates.
            DataError: the rates have no data, or lie on another grid.
        """
        self._oracle.fit(history)
        count = 0 if self.rates is None else len(self.rates)
        draws = np.random.default_rng(self.error_seed).standard_normal((1, count))
        self._errors = self.error * self._correlated(draws)[0]
        return self

    def update(self, observed: RateSeries) -> None:
        """Move on by the intervals that have ended."""
        self._oracle.update(observed)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        """Return paths around the realised rates times their errors, (samples, horizon).

        Raises:
            ConfigError: the oracle was given no rates, or not fitted.
        """
        known = self._oracle.forecast(horizon, samples, rng)
        begin_s = known.start_s if self.rates is None else self.rates.start_s
        first = round((known.start_s - begin_s) / known.interval_s)
        rows = np.clip(first + np.arange(horizon), 0, len(self._errors) - 1)
        draws = rng.standard_normal((samples, horizon))
        spread = self.admitted * self.error * self._correlated(draws)
        paths = known.paths_rps * np.exp(self._errors[rows][None, :] - spread)
        return Forecast.equally_likely(known.start_s, known.interval_s, paths)

    def _correlated(self, draws: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return stationary AR(1) paths of unit variance, (paths, steps), from white noise."""
        from scipy.signal import lfilter

        scaled = np.sqrt(1.0 - self.persistence**2) * draws
        scaled[:, :1] = draws[:, :1]
        return np.asarray(lfilter([1.0], [1.0, -self.persistence], scaled, axis=1))
