"""Counts of the very arrivals that a simulation with the same generator will see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.core import RateSeries
from markopt.workload.protocol import ArrivalProcess, Workload
from markopt.workload.settings import (
    BIN_S,
    bins_within,
    check_positive,
    check_whole_intervals,
)


def realised_rates(
    workload: Workload,
    interval_s: float,
    rng: np.random.Generator,
    *,
    block_s: float | None = None,
    bin_s: float = BIN_S,
) -> RateSeries:
    """Draw the evaluated span in blocks of ``block_s`` and return the rate of each interval.

    A simulation that draws [start_s + k·block_s, start_s + (k+1)·block_s) for k = 0, 1, … with a
    generator in the same state sees exactly these arrivals. Blocks are intervals by default, and
    have to divide them; a last part that is no whole interval is left out. Where ``bin_s`` divides
    an interval, the rates within it come too. Memory holds one block.

    Raises:
        ConfigError: the evaluated span is no whole number of blocks.
    """
    step_s = interval_s if block_s is None else block_s
    check_positive("interval_s", interval_s)
    check_whole_intervals("evaluate_s", workload.end_s - workload.start_s, step_s, 1)
    blocks = round(interval_s / step_s)
    count = round((workload.end_s - workload.start_s) / step_s) // blocks
    return drawn_rates(
        workload.new_arrivals(),
        workload.start_s,
        interval_s,
        count,
        rng,
        blocks=blocks,
        bin_s=bin_s,
    )


def drawn_rates(
    process: ArrivalProcess,
    start_s: float,
    interval_s: float,
    count: int,
    rng: np.random.Generator,
    *,
    blocks: int = 1,
    bin_s: float = BIN_S,
) -> RateSeries:
    """Draw ``count`` intervals from ``start_s`` on and return their rates; moves ``process`` on.

    Each interval is drawn in so many blocks. Where ``bin_s`` divides it, the rates in its bins come
    too.
    """
    block_s = interval_s / blocks
    bins = bins_within(interval_s, bin_s)
    requests = np.zeros(count, dtype=np.int64)
    within = None if bins is None else np.zeros((count, bins), dtype=np.int64)
    for k in range(count * blocks):
        times_s = process.arrivals(start_s + k * block_s, start_s + (k + 1) * block_s, rng)
        interval = k // blocks
        requests[interval] += len(times_s)
        if within is not None:
            within[interval] += _counts(times_s - (start_s + interval * interval_s), bin_s, bins)
    return RateSeries(
        start_s,
        interval_s,
        requests / interval_s,
        None if within is None else within / bin_s,
    )


def _counts(times_s: NDArray[np.float64], bin_s: float, bins: int | None) -> NDArray[np.int64]:
    places = np.clip((times_s / bin_s).astype(np.int64), 0, (bins or 1) - 1)
    return np.bincount(places, minlength=bins or 1)
