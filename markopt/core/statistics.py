"""What happened to the requests of an episode: counts over time and response times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, Integers, frozen_floats, frozen_integers


@dataclass(frozen=True, eq=False)
class RequestStatistics:
    """Counts by arrival time, and a histogram of response times per path.

    ``arrivals``, ``late``, ``refused`` and ``spilled`` have one entry per bin of ``bin_s`` seconds
    from ``start_s``, all by *arrival* time, so that a share per window is exact. ``latency_counts``
    maps a path (``instances``, ``lambda``, ``lambda_cold``) to counts between consecutive
    ``latency_edges_s`` (log-spaced, relative width at most 1 %); ``latency_sum_s`` and
    ``latency_max_s`` are exact. Refused requests have no response time and count as violations.
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
        cumulative = np.cumsum(counts)
        total = int(cumulative[-1])
        if total == 0:
            return float("nan")
        wanted = level * total
        at = min(int(np.searchsorted(cumulative, wanted, side="left")), len(counts) - 1)
        below = float(cumulative[at - 1]) if at else 0.0
        share = (wanted - below) / float(counts[at]) if counts[at] else 1.0
        low, high = self.latency_edges_s[at], self.latency_edges_s[at + 1]
        return float(min(low + share * (high - low), self.latency_max_s))
