"""Estimates from measured latencies: service times and quantiles with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from markopt.core import Profile


@dataclass(frozen=True)
class BatchTime:
    """The service time of a batch: mean with its interval (Student's t), median, dispersion.

    ``dropped`` samples were left out: an answer was missing, the server was not idle yet when the
    sample began, or the requests were not answered as one batch.
    """

    batch_size: int
    mean_s: float
    low_s: float
    high_s: float
    median_s: float
    deviation_s: float
    samples: int
    dropped: int


@dataclass(frozen=True)
class LoadPoint:
    """Latency under Poisson arrivals, with confidence intervals of the quantiles.

    ``concurrency`` is the mean number of unanswered requests (Little's law, from the answers).
    """

    offered_rps: float
    served_rps: float
    concurrency: float
    p50_s: tuple[float, float, float]
    p98_s: tuple[float, float, float]
    failed: int


@dataclass(frozen=True)
class ServerProfile:
    """What was measured of one server; ``path_s`` is what a lone request takes beyond T(1).

    That is the way there and back, without the server's wait for company.
    """

    url: str
    wait_s: float
    path_s: float
    confidence: float
    batches: tuple[BatchTime, ...]
    loads: tuple[LoadPoint, ...] = ()

    @property
    def service_time_cv(self) -> float:
        """Coefficient of variation of service times, pooled over the batch sizes."""
        squares = [(batch.deviation_s / batch.mean_s) ** 2 for batch in self.batches]
        weights = [batch.samples - 1 for batch in self.batches]
        return float(np.sqrt(np.average(squares, weights=weights)))

    def profile(self, service: str, platform: str) -> Profile:
        """Return it as a profile of a service on a platform."""
        return Profile(
            service=service,
            platform=platform,
            batch_sizes=tuple(batch.batch_size for batch in self.batches),
            service_times_s=tuple(batch.mean_s for batch in self.batches),
            service_time_cv=min(self.service_time_cv, 0.99),
            source=self.url,
            confidence="measured",
        )


def batch_time(
    batch_size: int, samples_s: Sequence[float], dropped: int, confidence: float
) -> BatchTime:
    """Return the estimate from at least two samples."""
    values = np.asarray(samples_s, dtype=np.float64)
    mean = float(values.mean())
    deviation = float(values.std(ddof=1))
    reach = float(stats.t.ppf(0.5 + confidence / 2.0, len(values) - 1))
    half = reach * deviation / float(np.sqrt(len(values)))
    return BatchTime(
        batch_size,
        mean,
        mean - half,
        mean + half,
        float(np.median(values)),
        deviation,
        len(values),
        dropped,
    )


def quantile_interval_s(
    values_s: NDArray[np.float64], level: float, confidence: float
) -> tuple[float, float, float]:
    """Return a quantile and an interval for it between two order statistics (binomial).

    An end that the sample is too small to bound is infinite, or 0 at the low end.
    """
    ordered = np.sort(values_s)
    count = len(ordered)
    tail = (1.0 - confidence) / 2.0
    low = int(stats.binom.ppf(tail, count, level))
    high = int(stats.binom.ppf(1.0 - tail, count, level)) + 1
    return (
        float(np.quantile(ordered, level)),
        float(ordered[low - 1]) if low >= 1 else 0.0,
        float(ordered[high - 1]) if high <= count else float("inf"),
    )
