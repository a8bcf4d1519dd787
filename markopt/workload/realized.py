"""Counts of the very arrivals that a simulation with the same generator will see."""

from __future__ import annotations

import numpy as np

from markopt.core import RateSeries
from markopt.workload.protocol import ArrivalProcess, Workload
from markopt.workload.settings import check_positive, check_whole_intervals


def realised_rates(workload: Workload, interval_s: float, rng: np.random.Generator) -> RateSeries:
    """Draw the evaluated span in blocks of ``interval_s`` and return the rate of each interval.

    A simulation that draws [start_s + k·interval_s, start_s + (k+1)·interval_s) for k = 0, 1, …
    with a generator in the same state sees exactly these arrivals. Memory holds one block.

    Raises:
        ConfigError: the evaluated span is no whole number of intervals.
    """
    check_positive("interval_s", interval_s)
    check_whole_intervals("evaluate_s", workload.end_s - workload.start_s, interval_s, 1)
    count = round((workload.end_s - workload.start_s) / interval_s)
    return drawn_rates(workload.new_arrivals(), workload.start_s, interval_s, count, rng)


def drawn_rates(
    process: ArrivalProcess,
    start_s: float,
    interval_s: float,
    count: int,
    rng: np.random.Generator,
) -> RateSeries:
    """Draw ``count`` intervals from ``start_s`` on and return their rates; moves ``process`` on."""
    rates_rps = np.empty(count)
    for k in range(count):
        block = process.arrivals(start_s + k * interval_s, start_s + (k + 1) * interval_s, rng)
        rates_rps[k] = len(block) / interval_s
    return RateSeries(start_s, interval_s, rates_rps)
