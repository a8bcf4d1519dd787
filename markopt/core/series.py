"""A request-rate series on a regular grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import DataError


@dataclass(frozen=True, eq=False)
class RateSeries:
    """Mean request rates, requests/s, of consecutive intervals of ``interval_s`` from ``start_s``.

    ``rate_rps`` has shape (n,). NaN marks an interval without data ("no data is not zero load").
    ``within_rps``, where it is known, holds the rates in the equal bins that each interval consists
    of, shape (n, bins), NaN for a bin without data.

    Raises:
        DataError: a rate is negative or infinite, or the bins' shape does not fit.
    """

    start_s: float
    interval_s: float
    rate_rps: Floats
    within_rps: Floats | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate_rps", frozen_floats(self.rate_rps))
        if self.interval_s <= 0.0:
            raise DataError(f"RateSeries: interval_s must be positive, got {self.interval_s}")
        bad = np.flatnonzero((self.rate_rps < 0.0) | np.isinf(self.rate_rps))
        if bad.size:
            raise DataError(
                f"RateSeries: rates must be finite and not negative, got "
                f"{self.rate_rps[bad[0]]} at interval {bad[0]}"
            )
        if self.within_rps is not None:
            self._check_within(self.within_rps)

    def _check_within(self, rates_rps: NDArray[np.float64]) -> None:
        within = frozen_floats(rates_rps)
        object.__setattr__(self, "within_rps", within)
        if within.ndim != 2 or len(within) != len(self.rate_rps):
            raise DataError(
                f"RateSeries: within_rps must have shape ({len(self.rate_rps)}, bins), got "
                f"{within.shape}"
            )
        if np.any(within < 0.0) or np.any(np.isinf(within)):
            raise DataError("RateSeries: within_rps must be finite and not negative, or NaN")

    def __len__(self) -> int:
        return len(self.rate_rps)

    @property
    def end_s(self) -> float:
        """End of the last interval."""
        return self.start_s + self.interval_s * len(self.rate_rps)

    def before(self, now_s: float) -> Self:
        """Return the intervals that have ended by ``now_s``: all that a policy may see then."""
        count = int(np.floor((now_s - self.start_s) / self.interval_s + 1e-9))
        return self.part(0, max(count, 0))

    def between(self, start_s: float, end_s: float) -> Self:
        """Return the intervals that lie wholly within [start_s, end_s)."""
        first = max(int(np.ceil((start_s - self.start_s) / self.interval_s - 1e-9)), 0)
        last = int(np.floor((end_s - self.start_s) / self.interval_s + 1e-9))
        return self.part(first, max(last, first))

    def part(self, first: int, last: int) -> Self:
        """Return the intervals ``first`` to ``last - 1``."""
        return type(self)(
            self.start_s + first * self.interval_s,
            self.interval_s,
            self.rate_rps[first:last],
            None if self.within_rps is None else self.within_rps[first:last],
        )

    def extended(self, other: Self) -> Self:
        """Return this series with ``other``, which must start where this one ends, appended.

        Where only one of them knows the rates within its intervals, the other's are NaN.

        Raises:
            DataError: the grids do not fit together.
        """
        if abs(other.interval_s - self.interval_s) > 1e-9 or (
            abs(other.start_s - self.end_s) > 1e-6 * self.interval_s
        ):
            raise DataError(
                f"RateSeries: can append only what starts at {self.end_s} s in steps of "
                f"{self.interval_s} s, got a start of {other.start_s} s and {other.interval_s} s"
            )
        return type(self)(
            self.start_s,
            self.interval_s,
            np.concatenate([self.rate_rps, other.rate_rps]),
            self._within_extended(other),
        )

    def _within_extended(self, other: RateSeries) -> NDArray[np.float64] | None:
        known = [part.within_rps for part in (self, other) if part.within_rps is not None]
        if not known:
            return None
        bins = sorted({within.shape[1] for within in known})
        if len(bins) > 1:
            raise DataError(f"RateSeries: intervals must have equally many bins, got {bins}")
        return np.concatenate(
            [
                np.full((len(part), bins[0]), np.nan)
                if part.within_rps is None
                else part.within_rps
                for part in (self, other)
            ]
        )
