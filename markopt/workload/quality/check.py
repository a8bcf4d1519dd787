"""All detectors on one trace, and which intervals their findings spoil."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from markopt.workload.quality.finding import Bins, Finding
from markopt.workload.quality.gaps import catch_up_spikes, gaps
from markopt.workload.quality.levels import counters, unit_changes
from markopt.workload.quality.repeats import copies, silences, stuck_values
from markopt.workload.trace import Trace

KINDS = (
    "gap",
    "catch_up",
    "counter",
    "counter_reset",
    "silence",
    "stuck",
    "copy",
    "unit_change",
)

_FEWEST_BINS = 20


def check_trace(trace: Trace) -> tuple[Finding, ...]:
    """Return what is suspicious in a trace whose gaps are not filled, by start.

    A clean trace, however bursty, should give none: the chance that a process as it is around a
    stretch shows that stretch at all is held below one in a million per trace. A cumulative counter
    is reported as such alone, since no other test means anything on it.
    """
    bins = Bins.of(trace)
    found = gaps(trace)
    if len(bins) >= _FEWEST_BINS:
        counting = counters(bins)
        found += counting
        if not counting:
            found += catch_up_spikes(trace, bins)
            found += silences(bins) + stuck_values(bins) + copies(bins) + unit_changes(bins)
    return tuple(sorted(found, key=lambda f: (f.start_s, KINDS.index(f.kind))))


def masked_intervals(
    findings: Sequence[Finding], start_s: float, interval_s: float, count: int
) -> NDArray[np.bool_]:
    """Return which of ``count`` intervals from ``start_s`` a finding touches, gaps left out.

    What lies in gaps is marked by the gaps' own rule.
    """
    touched = np.zeros(count, dtype=np.bool_)
    for finding in findings:
        if finding.kind == "gap":
            continue
        first = int(np.floor((finding.start_s - start_s) / interval_s + 1e-9))
        last = int(np.ceil((finding.end_s - start_s) / interval_s - 1e-9))
        touched[max(first, 0) : max(last, 0)] = True
    return touched
