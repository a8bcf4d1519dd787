"""What the LSTM reads and predicts: scaled log rates, gap masks, calendar phases, targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.errors import DataError


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation of log(1 + rate), and the largest one that a path may reach."""

    mean: float
    deviation: float
    largest: float

    @classmethod
    def of(cls, training: NDArray[np.float64], all_logs: NDArray[np.float64]) -> Scaling:
        """Return the scaling of a training span.

        Paths stay within 1.5 times the largest rate of the history: a guard against runaway tails.

        Raises:
            DataError: the span has fewer than two intervals with data.
        """
        known = training[np.isfinite(training)]
        if len(known) < 2:
            raise DataError(
                f"Lstm: training needs at least 2 intervals with data, got {len(known)} in "
                f"{len(training)} intervals"
            )
        deviation = float(known.std())
        return cls(
            float(known.mean()),
            deviation if deviation > 1e-9 else 1.0,
            float(np.nanmax(all_logs)) + float(np.log(1.5)),
        )


def held(
    logs: NDArray[np.float64], before: NDArray[np.float64], scaling: Scaling
) -> NDArray[np.float64]:
    """Return scaled logs, shape (n,), gaps holding the last known value before them.

    Where nothing came before a gap, zero, the mean, stands in; the mask tells the network so.
    """
    scaled = (logs - scaling.mean) / scaling.deviation
    known = np.isfinite(scaled)
    if known.all():
        return scaled
    newest = np.maximum.accumulate(np.where(known, np.arange(len(scaled)), -1))
    earlier = before[np.isfinite(before)] if not known[0] else before
    first = (earlier[-1] - scaling.mean) / scaling.deviation if len(earlier) else 0.0
    filled: NDArray[np.float64] = np.where(newest >= 0, scaled[np.maximum(newest, 0)], first)
    return filled


def features(
    scaled: NDArray[np.float64],
    missing: NDArray[np.bool_],
    ends_s: NDArray[np.float64],
    periods_s: Sequence[float],
    harmonics: int,
) -> NDArray[np.float32]:
    """Return the inputs, shape (n, 2 + 2 * periods * harmonics), of which the first is the rate.

    ``ends_s`` are the ends of the intervals; phases are of these, modulo each period.
    """
    columns = [scaled, missing.astype(np.float64)]
    for period_s in periods_s:
        angle = 2.0 * np.pi * ((ends_s % period_s) / period_s)
        for multiple in range(1, harmonics + 1):
            columns += [np.sin(multiple * angle), np.cos(multiple * angle)]
    return np.stack(columns, axis=1).astype(np.float32)


def future_targets(scaled: NDArray[np.float64], horizon: int) -> NDArray[np.float32]:
    """Return the next ``horizon`` values after each, shape (n, horizon), NaN beyond the end."""
    padded = np.concatenate([scaled[1:], np.full(horizon, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, horizon)
    return windows[: len(scaled)].astype(np.float32)
