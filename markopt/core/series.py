"""A request-rate series on a regular grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import DataError


@dataclass(frozen=True, eq=False)
class RateSeries:
    """Mean request rates, requests/s, of consecutive intervals of ``interval_s`` from ``start_s``.

    ``rate_rps`` has shape (n,). NaN marks an interval without data ("no data is not zero load").

    Raises:
        DataError: a rate is negative or infinite.
    """

    start_s: float
    interval_s: float
    rate_rps: Floats

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

    def __len__(self) -> int:
        return len(self.rate_rps)

    @property
    def end_s(self) -> float:
        """End of the last interval."""
        return self.start_s + self.interval_s * len(self.rate_rps)

    def before(self, now_s: float) -> Self:
        """Return the intervals that have ended by ``now_s``: all that a policy may see then."""
        count = int(np.floor((now_s - self.start_s) / self.interval_s + 1e-9))
        return type(self)(self.start_s, self.interval_s, self.rate_rps[: max(count, 0)])

    def between(self, start_s: float, end_s: float) -> Self:
        """Return the intervals that lie wholly within [start_s, end_s)."""
        first = max(int(np.ceil((start_s - self.start_s) / self.interval_s - 1e-9)), 0)
        last = int(np.floor((end_s - self.start_s) / self.interval_s + 1e-9))
        return type(self)(
            self.start_s + first * self.interval_s,
            self.interval_s,
            self.rate_rps[first : max(last, first)],
        )

    def extended(self, other: Self) -> Self:
        """Return this series with ``other``, which must start where this one ends, appended.

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
            self.start_s, self.interval_s, np.concatenate([self.rate_rps, other.rate_rps])
        )
