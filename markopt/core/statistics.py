"""What happened to the requests of an episode: counts over time and response times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, Integers, frozen_floats, frozen_integers
from markopt.core.latency import LatencyWindows, quantiles_s

RequestSink = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.int8]], None]
"""Takes arrival, response time (NaN: none) and ``engine.Path`` of requests, in arrival order."""


@dataclass(frozen=True, eq=False)
class RequestStatistics:
    """Counts by arrival time, and a histogram of response times per path.

    ``arrivals``, ``late``, ``refused`` and ``spilled`` have one entry per bin of ``bin_s`` seconds
    from ``start_s``, all by *arrival* time, so that a share per window is exact. ``latency_counts``
    maps a path (``instances``, ``lambda``, ``lambda_cold``) to counts between consecutive
    ``latency_edges_s`` (log-spaced, relative width at most 1 %); ``latency_sum_s`` and
    ``latency_max_s`` are exact. Refused requests have no response time and count as violations.
    Of the late ones ``lost`` were never answered: their server was taken. Of the refused ones
    ``throttled`` met the functions' concurrency or burst limit. ``latency_windows`` has the
    histograms by window of arrival, where they were asked for.
    """

    start_s: float
    bin_s: float
    arrivals: Integers
    late: Integers
    refused: Integers
    spilled: Integers
    latency_edges_s: Floats
    latency_counts: dict[str, Integers]
    latency_sum_s: float
    latency_max_s: float
    lost: int = 0
    throttled: int = 0
    latency_windows: LatencyWindows | None = None

    def __post_init__(self) -> None:
        for name in ("arrivals", "late", "refused", "spilled"):
            object.__setattr__(self, name, frozen_integers(getattr(self, name)))
        object.__setattr__(self, "latency_edges_s", frozen_floats(self.latency_edges_s))

    @property
    def requests(self) -> int:
        """Requests that arrived."""
        return int(self.arrivals.sum())

    @property
    def violations(self) -> int:
        """Requests that were late or refused."""
        return int(self.late.sum() + self.refused.sum())

    @property
    def attainment(self) -> float:
        """Share of requests answered within RT_max; 1 where none arrived."""
        return 1.0 - self.violations / self.requests if self.requests else 1.0

    def attainment_by_window(self, window_s: float) -> NDArray[np.float64]:
        """Return the attainment of consecutive windows; NaN where no request arrived."""
        width = max(round(window_s / self.bin_s), 1)
        starts = np.arange(0, len(self.arrivals), width)
        arrived = np.add.reduceat(self.arrivals, starts).astype(np.float64)
        missed = np.add.reduceat(self.late + self.refused, starts).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            share: NDArray[np.float64] = 1.0 - missed / arrived
        return share

    def latency_quantile_s(self, level: float, paths: tuple[str, ...] | None = None) -> float:
        """Return the response time that the share ``level`` of answered requests stays within.

        Interpolated within a histogram bin; NaN where nothing was answered.
        """
        chosen = (
            self.latency_counts if paths is None else {p: self.latency_counts[p] for p in paths}
        )
        counts = np.sum([np.asarray(c) for c in chosen.values()], axis=0)
        quantile_s = float(quantiles_s(counts, self.latency_edges_s, [level])[0])
        return min(quantile_s, self.latency_max_s)
