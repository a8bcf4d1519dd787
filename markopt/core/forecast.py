"""Joint sample paths of the arrival rate over the horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import DataError, ForecastError

Statistic = Literal["mean", "max", "carried"]


@dataclass(frozen=True, eq=False)
class Forecast:
    """Sample paths of the arrival rate, requests/s, with their probabilities.

    ``paths_rps`` has shape (samples, horizon): column t speaks of the interval
    [start_s + t*interval_s, start_s + (t+1)*interval_s). ``probabilities`` has shape (samples,)
    and sums to one. ``statistic`` says what of an interval is forecast: its mean rate, the
    largest rate within it, or the rate of Poisson arrivals that need as much as it does
    (``markopt.forecasting.CarriedRate``).

    Raises:
        ForecastError: a rate is negative or not finite.
        DataError: shapes do not fit, or probabilities do not sum to one.
    """

    start_s: float
    interval_s: float
    paths_rps: Floats
    probabilities: Floats
    statistic: Statistic = "mean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "paths_rps", frozen_floats(self.paths_rps))
        object.__setattr__(self, "probabilities", frozen_floats(self.probabilities))
        if self.paths_rps.ndim != 2 or 0 in self.paths_rps.shape:
            raise DataError(
                "Forecast: paths_rps must have shape (samples, horizon), got "
                f"{self.paths_rps.shape}"
            )
        if self.probabilities.shape != (self.paths_rps.shape[0],):
            raise DataError(
                f"Forecast: needs one probability per path, got {self.probabilities.shape} for "
                f"{self.paths_rps.shape[0]} paths"
            )
        if not np.all(np.isfinite(self.paths_rps)) or np.any(self.paths_rps < 0.0):
            bad = ~(np.isfinite(self.paths_rps) & (self.paths_rps >= 0.0))
            raise ForecastError(
                f"Forecast: paths_rps must be finite and not negative, got "
                f"{self.paths_rps[bad][0]} among {int(bad.sum())} of {bad.size} rates"
            )
        if np.any(self.probabilities < 0.0) or abs(float(self.probabilities.sum()) - 1.0) > 1e-6:
            raise DataError(
                f"Forecast: probabilities must be at least 0 and sum to 1, got a sum of "
                f"{float(self.probabilities.sum())}"
            )

    @classmethod
    def equally_likely(
        cls,
        start_s: float,
        interval_s: float,
        paths_rps: NDArray[np.float64],
        statistic: Statistic = "mean",
    ) -> Forecast:
        """Return a forecast whose paths all have the same probability."""
        samples = len(paths_rps)
        return cls(start_s, interval_s, paths_rps, np.full(samples, 1.0 / samples), statistic)

    @property
    def samples(self) -> int:
        """Number of sample paths."""
        return int(self.paths_rps.shape[0])

    @property
    def horizon(self) -> int:
        """Number of intervals."""
        return int(self.paths_rps.shape[1])

    def mean_rps(self) -> NDArray[np.float64]:
        """Return the expected rate per interval, shape (horizon,)."""
        mean: NDArray[np.float64] = self.probabilities @ self.paths_rps
        return mean

    def quantile_rps(self, level: float) -> NDArray[np.float64]:
        """Return the smallest rate per interval that is not exceeded with probability ``level``."""
        order = np.argsort(self.paths_rps, axis=0, kind="stable")
        cumulative = np.cumsum(self.probabilities[order], axis=0)
        first = np.argmax(cumulative >= min(level, 1.0) - 1e-12, axis=0)
        row = np.take_along_axis(order, first[None, :], axis=0)
        quantile: NDArray[np.float64] = np.take_along_axis(self.paths_rps, row, axis=0)[0]
        return quantile
