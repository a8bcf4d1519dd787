"""What a forecaster may learn from: the workload's history, and what the journal has since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from markopt.core import RateSeries


def shifted(history: RateSeries, end_s: float) -> RateSeries:
    """Return the history, moved in time so that it ends at ``end_s``."""
    return replace(history, start_s=history.start_s + end_s - history.end_s)


def extended(history: RateSeries, observed: Iterable[RateSeries], until_s: float) -> RateSeries:
    """Return the history, with what was observed from its end to ``until_s`` appended.

    Intervals of which nothing is known, or on another grid than the history's, are NaN.
    """
    interval_s = history.interval_s
    more = round((until_s - history.end_s) / interval_s)
    if more <= 0:
        return history
    rates_rps = np.full(more, np.nan)
    bins = None if history.within_rps is None else history.within_rps.shape[1]
    within_rps = None if bins is None else np.full((more, bins), np.nan)
    for series in observed:
        place = (series.start_s - history.end_s) / interval_s
        row = round(place)
        on_grid = abs(place - row) < 1e-6 and abs(series.interval_s - interval_s) < 1e-9
        if not on_grid or not 0 <= row < more:
            continue
        rates_rps[row] = series.rate_rps[0]
        own = series.within_rps
        if within_rps is not None and own is not None and own.shape[1] == bins:
            within_rps[row] = own[0]
    whole = (
        None
        if within_rps is None or history.within_rps is None
        else np.concatenate([history.within_rps, within_rps])
    )
    return RateSeries(
        history.start_s, interval_s, np.concatenate([history.rate_rps, rates_rps]), whole
    )
