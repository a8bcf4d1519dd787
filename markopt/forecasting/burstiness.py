"""How far arrivals swing within an interval, from the rates in its bins, and what that costs.

Required throughput Q(D) is measured with Poisson arrivals of rate D, so their randomness is in it
already. ``equivalent_poisson_rps`` gives the rate at which Poisson arrivals swing as high as
burstier ones do: only the excess over Poisson is added.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]


def dispersion(within_rps: Array, bin_s: float) -> Array:
    """Return the index of dispersion of the counts in each interval's bins, shape (n,).

    Their variance (unbiased) over their mean: 1 on average for Poisson arrivals of a steady rate.
    ``within_rps`` has shape (n, bins). NaN where fewer than two bins have data, or no requests.
    """
    known = np.isfinite(within_rps)
    bins = known.sum(axis=1)
    counts = np.where(known, within_rps, 0.0) * bin_s
    mean = counts.sum(axis=1) / np.maximum(bins, 1)
    squares = (np.where(known, counts - mean[:, None], 0.0) ** 2).sum(axis=1)
    seen = (bins >= 2) & (mean > 0.0)
    variance = squares / np.maximum(bins - 1, 1)
    return np.where(seen, variance / np.where(seen, mean, 1.0), np.nan)


def peak_excess(within_rps: Array, bin_s: float) -> Array:
    """Return how far each interval's largest bin lies above its mean, shape (n,).

    In standard deviations of a Poisson count of that mean, so that it can be carried over to other
    rates. NaN as in ``dispersion``.
    """
    known = np.isfinite(within_rps)
    bins = known.sum(axis=1)
    rates = np.where(known, within_rps, 0.0)
    mean = rates.sum(axis=1) / np.maximum(bins, 1)
    seen = (bins >= 2) & (mean > 0.0)
    deviation = np.sqrt(np.where(seen, mean, 1.0) / bin_s)
    return np.where(seen, (rates.max(axis=1, initial=0.0) - mean) / deviation, np.nan)


def peak_rps(mean_rps: Array, excess: ArrayLike, bin_s: float) -> Array:
    """Return the largest bin's rate that a mean and a ``peak_excess`` give."""
    return np.asarray(mean_rps + np.asarray(excess) * np.sqrt(mean_rps / bin_s), dtype=np.float64)


def equivalent_poisson_rps(
    mean_rps: Array, index: ArrayLike, bin_s: float, level: float = 0.98
) -> Array:
    """Return the rate D of Poisson arrivals that swing as high as these do.

    D solves D + z sqrt(D / bin_s) = m + z sqrt(I m / bin_s), m the mean rate, I the index of
    dispersion and z the normal quantile of ``level``: equal quantiles of the rate in a bin. It is m
    at I = 1.
    """
    spread = float(ndtri(level)) / np.sqrt(bin_s)
    high_rps = mean_rps + spread * np.sqrt(np.asarray(index) * mean_rps)
    root = (np.sqrt(spread**2 + 4.0 * high_rps) - spread) / 2.0
    return np.asarray(root**2, dtype=np.float64)
