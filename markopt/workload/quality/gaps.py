"""Missing rows, and the catch-up after them."""

from __future__ import annotations

import numpy as np

from markopt.workload.quality.finding import Bins, Finding
from markopt.workload.trace import Trace

_BESIDE = 30  # bins beside a gap that tell the usual rate
_MOST_BINS = 10  # a catch-up is over after so many bins
_TIMES_USUAL = 3.0
_LEAST_SHARE = 0.3  # of what the gap lacks, that the spike must hold
_RARE = 0.999


def gaps(trace: Trace) -> list[Finding]:
    """Return every hole of the trace."""
    return [
        Finding(
            "gap",
            gap.start_s,
            gap.length_s,
            f"{gap.length_s / trace.bin_s:.0f} bin(s) of {trace.bin_s:g} s without a row",
        )
        for gap in trace.gaps
    ]


def catch_up_spikes(trace: Trace, bins: Bins) -> list[Finding]:
    """Return bursts right after a gap that hold a good part of what the gap lacks.

    The first bins after a gap must exceed three times the usual rate beside it and the 99.9 %
    quantile of all bins that follow no gap, and hold 30 % or more of what the gap lacks.
    """
    found: list[Finding] = []
    if not trace.gaps:
        return found
    after = np.searchsorted(bins.starts_s, [gap.end_s - 1e-6 for gap in trace.gaps])
    ordinary = np.ones(len(bins), dtype=np.bool_)
    for at in after:
        ordinary[at : at + _MOST_BINS] = False
    if not ordinary.any():
        return found
    rare_rps = float(np.quantile(bins.rates_rps[ordinary], _RARE))
    for gap, at in zip(trace.gaps, after.tolist(), strict=True):
        beside = np.concatenate(
            [
                bins.rates_rps[max(at - _BESIDE, 0) : at],
                bins.rates_rps[at + _MOST_BINS : at + _MOST_BINS + _BESIDE],
            ]
        )
        usual_rps = float(np.median(beside)) if len(beside) else 0.0
        first = bins.rates_rps[at : at + _MOST_BINS]
        high = first > max(_TIMES_USUAL * usual_rps, rare_rps)
        length = int(np.argmin(high)) if not high.all() else len(high)
        excess = float(((first - usual_rps) * bins.widths_s[at : at + len(first)])[:length].sum())
        lacks = usual_rps * gap.length_s
        if length and excess >= max(_LEAST_SHARE * lacks, 1.0):
            found.append(
                bins.finding(
                    "catch_up",
                    at,
                    at + length,
                    f"{excess:.0f} requests above the usual after a gap that lacks {lacks:.0f}",
                )
            )
    return found
