"""A spot price over time, with its integral."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.errors import DataError

Array = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class PricePath:
    """A piecewise constant price: ``usd_per_s[i]`` from ``starts_s[i]`` on, known to ``end_s``.

    Every question costs O(log n).

    Raises:
        DataError: times do not rise, or a price is not positive.
    """

    starts_s: Array
    usd_per_s: Array
    end_s: float
    _until_usd: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts_s = np.array(self.starts_s, dtype=np.float64)
        usd_per_s = np.array(self.usd_per_s, dtype=np.float64)
        if not len(starts_s) or starts_s.shape != usd_per_s.shape:
            raise DataError(
                f"Price path: needs a time for each price, got {len(starts_s)} times and "
                f"{len(usd_per_s)} prices"
            )
        if not (np.all(np.diff(starts_s) > 0.0) and starts_s[-1] <= self.end_s):
            raise DataError("Price path: times must rise and not exceed the end")
        if not (np.all(np.isfinite(usd_per_s)) and np.all(usd_per_s > 0.0)):
            raise DataError("Price path: prices must be positive")
        until_usd = np.concatenate([[0.0], np.cumsum(usd_per_s[:-1] * np.diff(starts_s))])
        for name, values in (
            ("starts_s", starts_s),
            ("usd_per_s", usd_per_s),
            ("_until_usd", until_usd),
        ):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    def _at(self, time_s: float) -> int:
        return max(int(self.starts_s.searchsorted(time_s, side="right")) - 1, 0)

    def price(self, time_s: float) -> float:
        """Return the price at a time; the first one before it, the last one after it."""
        return float(self.usd_per_s[self._at(time_s)])

    def integral(self, time_s: float) -> float:
        """Return the price's integral in USD from the path's begin to a time."""
        at = self._at(time_s)
        return float(self._until_usd[at] + self.usd_per_s[at] * (time_s - self.starts_s[at]))

    def capped(self, maximum_usd_per_s: float) -> PricePath:
        """Return what a buyer pays who never pays more than the maximum."""
        return PricePath(self.starts_s, np.minimum(self.usd_per_s, maximum_usd_per_s), self.end_s)

    def scaled(self, factor: float, shift_s: float) -> PricePath:
        """Return the path at prices times ``factor``, ``shift_s`` later."""
        return PricePath(self.starts_s + shift_s, self.usd_per_s * factor, self.end_s + shift_s)

    def within(self, start_s: float, end_s: float) -> PricePath:
        """Return the path from the later of its begin and ``start_s`` to ``end_s``, and no more."""
        first = self._at(start_s)
        last = int(self.starts_s.searchsorted(end_s, side="right"))
        starts_s = self.starts_s[first : max(last, first + 1)].copy()
        starts_s[0] = max(starts_s[0], start_s)
        return PricePath(starts_s, self.usd_per_s[first : max(last, first + 1)], end_s)

    def durations_s(self) -> Array:
        """Return how long each price held."""
        return np.diff(np.append(self.starts_s, self.end_s))

    def rises_above_s(self, maximum_usd_per_s: float) -> Array:
        """Return the times at which the price rises above a maximum, from at most it."""
        above = self.usd_per_s > maximum_usd_per_s
        return self.starts_s[1:][above[1:] & ~above[:-1]]

    def expected(self, maximum_usd_per_s: float) -> tuple[float, float]:
        """Return the mean price while at most the maximum, and rises above it per hour of that.

        A price that never was so low gives the maximum and infinity.
        """
        held_s = self.durations_s()
        low = self.usd_per_s <= maximum_usd_per_s
        low_s = float(held_s[low].sum())
        if low_s <= 0.0:
            return maximum_usd_per_s, math.inf
        mean = float(held_s[low] @ self.usd_per_s[low]) / low_s
        return mean, 3600.0 * len(self.rises_above_s(maximum_usd_per_s)) / low_s
