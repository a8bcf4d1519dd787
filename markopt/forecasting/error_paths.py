"""Whole error paths of the past, drawn around a point forecast: a spread that keeps the horizon."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.errors import DataError
from markopt.forecasting.draws import systematic_choice
from markopt.forecasting.history import ObservedHistory

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

LONGEST_LEAD = 120  # intervals; after a longer gap, errors are taken to grow no more
_LARGEST_LOG_RATE = 25.0  # 7e10 requests/s: keeps exp of an unlucky path finite


def rates_of(logs: Array) -> Array:
    """Return the rates, at least 0 and finite, of paths of log(1 + rate)."""
    rates: Array = np.expm1(np.clip(logs, 0.0, _LARGEST_LOG_RATE))
    return rates


def whole_origins(history: ObservedHistory, origins: Indices, lead: int, horizon: int) -> Indices:
    """Return the origins whose steps ``lead`` to ``lead + horizon - 1`` all have data.

    An origin is the number of intervals that were known; its step 1 is the interval of that index.
    """
    gaps = history.gaps_before
    inside = origins[origins + lead + horizon - 1 <= len(history)]
    first = inside + lead - 1
    whole: Indices = inside[gaps[first + horizon] == gaps[first]]
    return whole


@final
class GrowingArray:
    """Rows that are appended one by one and read as an array; appending is O(1) on average."""

    def __init__(self, width: int) -> None:
        self._rows = np.empty((64, width))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, row: Array | tuple[float, ...]) -> None:
        """Append one row, shape (width,)."""
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[self._count] = row
        self._count += 1

    @property
    def rows(self) -> Array:
        """All rows, shape (n, width); a view."""
        return self._rows[: self._count]


@final
class PastForecasts:
    """Point forecasts of log(1 + rate), by origin, for their errors to be drawn from.

    Keeps those of the newest ``memory`` origins, each over ``horizon`` steps.
    """

    def __init__(self, memory: int, horizon: int) -> None:
        self.memory = memory
        self.horizon = horizon
        self._origins = np.full(memory, -1, dtype=np.int64)
        self._centers = np.empty((memory, horizon))
        self._count = 0

    def remember(self, origin: int, center: Array) -> None:
        """Keep what was forecast when ``origin`` intervals were known, shape (horizon,)."""
        row = self._count % self.memory
        self._origins[row], self._centers[row] = origin, center
        self._count += 1

    def paths(
        self,
        history: ObservedHistory,
        center: Array,
        samples: int,
        rng: np.random.Generator,
    ) -> Array:
        """Return paths of rates, (samples, steps), around ``center`` (steps,) in log(1 + rate).

        Raises:
            DataError: no past forecast met as many intervals with data.
        """
        kept = min(self._count, self.memory)
        rows = np.arange(self._count - kept, self._count) % self.memory
        whole = np.isin(
            self._origins[rows], whole_origins(history, self._origins[rows], 1, len(center))
        )
        return error_paths(
            history,
            rows[whole],
            lambda chosen: (self._origins[chosen], self._centers[chosen, : len(center)]),
            center,
            samples=samples,
            rng=rng,
        )


def error_paths(
    history: ObservedHistory,
    candidates: Indices,
    forecasts: Callable[[Indices], tuple[Indices, Array]],
    center: Array,
    *,
    samples: int,
    rng: np.random.Generator,
) -> Array:
    """Return paths of rates: ``center`` plus whole errors of evenly drawn past forecasts.

    ``forecasts`` gives, for chosen candidates, the index of the first interval that each forecast
    spoke of and the forecast, (n, horizon), in log(1 + rate).

    Raises:
        DataError: there are no candidates.
    """
    if not len(candidates):
        raise DataError(
            f"{history.name}: {len(center)} steps need a past forecast whose next {len(center)} "
            f"intervals all have data, got {len(history)} intervals without one"
        )
    first, past = forecasts(systematic_choice(rng, samples, candidates))
    errors = history.logs[first[:, None] + np.arange(len(center))] - past
    return rates_of(center + errors)
