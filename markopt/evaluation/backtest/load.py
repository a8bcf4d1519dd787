"""The load of a backtest: one series, what is learnt from, and what is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from markopt.core import RateSeries
from markopt.errors import DataError
from markopt.evaluation.seeds import generator
from markopt.workload import ReplayWorkload, RequestTrace, TraceWorkload, read_trace
from markopt.workload.realized import realised_rates
from markopt.workload.span import choose_span

MOST_MISSING = 0.5
"""An interval of which more than this share lies in a gap has no data."""


@dataclass(frozen=True, eq=False)
class Load:
    """Mean rates by interval, NaN where there is no data; tested from interval ``first`` on."""

    name: str
    series: RateSeries
    first: int

    def part(self, start: int, end: int) -> RateSeries:
        """Return the intervals start .. end - 1: a copy, which holds nothing of what follows."""
        series = self.series
        return RateSeries(
            series.start_s + start * series.interval_s,
            series.interval_s,
            series.rate_rps[start:end].copy(),
        )

    @property
    def start_s(self) -> float:
        """Where the test begins."""
        return self.series.start_s + self.first * self.series.interval_s

    def missing(self) -> tuple[int, int]:
        """Return how many intervals have no data: those learnt from, and those tested on."""
        unknown = np.isnan(self.series.rate_rps)
        return int(unknown[: self.first].sum()), int(unknown[self.first :].sum())


def measured_load(workload: Any, seed: int) -> Load:
    """Return what a workload's settings describe, as it would have been measured.

    Of a trace, an interval's rate is the mean over the part of it that was recorded, and NaN where
    more than half was not: nothing is filled in, whatever ``gaps`` says (but ``error`` refuses
    gaps, and ``split`` keeps the longest span without any). Of a generated load, it is what the
    arrivals of ``seed`` amount to.

    Raises:
        DataError: the trace cannot be read, is too short or has gaps that are not allowed.
        ConfigError: a setting is out of range.
    """
    if isinstance(workload, TraceWorkload | ReplayWorkload):
        return _recorded(workload)
    built = workload.build()
    history = built.history
    realized = realised_rates(built, history.interval_s, generator(seed, "cloud"))
    if not len(history):
        return Load(built.name, realized, 0)
    return Load(built.name, history.extended(realized), len(history))


def _recorded(workload: TraceWorkload | ReplayWorkload) -> Load:
    built = workload.build()  # checks the settings, and what ``gaps`` allows
    recorded = read_trace(workload.path)
    trace = recorded.binned() if isinstance(recorded, RequestTrace) else recorded
    if isinstance(workload, TraceWorkload) and workload.gaps == "split":
        trace = trace.filled("split")
    span = choose_span(
        workload.path,
        trace.duration_s,
        history_s=workload.history_s,
        evaluate_s=workload.evaluate_s,
        interval_s=workload.interval_s,
        start_s=workload.start_s,
    )
    count = round((span.end_s - span.history_start_s) / span.interval_s)
    where = (span.history_start_s, span.interval_s, count)
    missing = trace.gap_shares(*where)
    rates_rps = workload.scale * trace.mean_rates(*where) / np.maximum(1.0 - missing, MOST_MISSING)
    rates_rps[missing > MOST_MISSING] = np.nan
    series = RateSeries(span.history_start_s, span.interval_s, rates_rps)
    return Load(built.name, series, span.history_intervals)


def origins(load: Load, horizon: int, stride: int) -> range:
    """Return the intervals that forecasts start with: every step of each lies in the test.

    Raises:
        DataError: the test is shorter than the horizon, or there is nothing to learn from.
    """
    tested = len(load.series) - load.first
    if tested < horizon:
        raise DataError(
            f"{load.name}: a backtest of {horizon} intervals (backtest.horizon) needs a test at "
            f"least as long (backtest.test_s), got {tested} intervals"
        )
    if load.first == 0:
        raise DataError(
            f"{load.name}: a backtest needs a history to learn from (backtest.train_s), got none"
        )
    return range(load.first, len(load.series) - horizon + 1, stride)
