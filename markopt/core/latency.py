"""Quantiles of response times from log-spaced histograms, in all and by window of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, Integers, frozen_floats, frozen_integers


def quantiles_s(
    counts: NDArray[np.int64], edges_s: NDArray[np.float64], levels: Sequence[float]
) -> NDArray[np.float64]:
    """Return the response times that shares ``levels`` of the counted requests stay within.

    ``counts`` has shape (..., bins), the result (..., levels). Interpolated within a bin, so that
    an answer is off by less than the bin's width (0.78 % in the engine's histograms). NaN where
    nothing was counted.
    """
    rows = np.asarray(counts).reshape(-1, counts.shape[-1])
    wanted_levels = np.asarray(levels, dtype=np.float64)
    result = np.full((len(rows), len(wanted_levels)), np.nan)
    for row, values in enumerate(rows):
        cumulative = np.cumsum(values)
        total = int(cumulative[-1])
        if total == 0:
            continue
        wanted = wanted_levels * total
        at = np.minimum(np.searchsorted(cumulative, wanted, side="left"), len(values) - 1)
        # At level 0 the search may end in an empty bin before the first answer.
        at = np.maximum(at, int(np.argmax(values > 0)))
        inside = np.where(values[at] > 0, values[at], 1)
        share = np.clip((wanted - (cumulative[at] - values[at])) / inside, 0.0, 1.0)
        result[row] = edges_s[at] + share * (edges_s[at + 1] - edges_s[at])
    shaped: NDArray[np.float64] = result.reshape(*counts.shape[:-1], len(wanted_levels))
    return shaped


@dataclass(frozen=True, eq=False)
class LatencyWindows:
    """Histograms of response times by window of arrival.

    ``counts[path]`` has shape (windows, bins) between consecutive ``edges_s``; window w begins at
    ``start_s + w * window_s``.
    """

    start_s: float
    window_s: float
    edges_s: Floats
    counts: Mapping[str, Integers]

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges_s", frozen_floats(self.edges_s))
        frozen = {path: frozen_integers(values) for path, values in self.counts.items()}
        object.__setattr__(self, "counts", MappingProxyType(frozen))

    @property
    def starts_s(self) -> NDArray[np.float64]:
        """Begin of each window."""
        windows = len(next(iter(self.counts.values())))
        return np.asarray(self.start_s + self.window_s * np.arange(windows), dtype=np.float64)

    def answered(self, paths: Sequence[str] | None = None) -> NDArray[np.int64]:
        """Return how many requests of each window were answered, on some paths or all."""
        total: NDArray[np.int64] = self._merged(paths).sum(axis=1)
        return total

    def quantiles_s(
        self, levels: Sequence[float], paths: Sequence[str] | None = None
    ) -> NDArray[np.float64]:
        """Return quantiles of each window, shape (windows, levels), on some paths or all."""
        return quantiles_s(self._merged(paths), self.edges_s, levels)

    def _merged(self, paths: Sequence[str] | None) -> NDArray[np.int64]:
        chosen = self.counts if paths is None else paths
        total: NDArray[np.int64] = np.sum([self.counts[path] for path in chosen], axis=0)
        return total
