"""Counters in the place of counts, and changes of unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.workload.quality.finding import Bins, Finding

_LARGEST_SHARE_OF_FALLS = 0.01
_LEAST_SHARE_OF_RISES = 0.2
_RESET_SHARE = 0.5  # a counter that falls below this share of itself has been reset
_WINDOW = 30
_FACTORS = (60.0, 1000.0, 3600.0)
_TOLERANCE = 0.2  # in logarithms
_STEADY = 2.0  # 90 % quantile over 10 % quantile, within each side of a change of unit
_LEAST_COUNT = 10.0


def counters(bins: Bins) -> list[Finding]:
    """Return the whole trace where its values only rise, as a counter's do, and its resets.

    Counts of requests fall about as often as they rise. Twenty rises with at most one step in a
    hundred that falls do not happen to them: 2^-20 even where each was as likely as not.
    """
    steps = np.diff(bins.counts)[bins.joined[1:]]
    rises, falls = int((steps > 0.0).sum()), int((steps < 0.0).sum())
    few = falls <= max(_LARGEST_SHARE_OF_FALLS * len(steps), 3) and rises >= 20 * max(falls, 1)
    if not few or rises < _LEAST_SHARE_OF_RISES * len(steps):
        return []
    found = [
        bins.finding(
            "counter",
            0,
            len(bins),
            f"values rise {rises} times and fall {falls} times: a cumulative counter, not counts",
        )
    ]
    for at in (np.flatnonzero(np.diff(bins.counts) < 0.0) + 1).tolist():
        before, after = bins.counts[at - 1], bins.counts[at]
        if after < _RESET_SHARE * before:
            found.append(
                bins.finding("counter_reset", at, at + 1, f"from {before:.0f} to {after:.0f}")
            )
    return found


def unit_changes(bins: Bins) -> list[Finding]:
    """Return stretches whose level is 60, 1000 or 3600 times that beside, or as much less.

    Both sides of the change are steady over 30 bins and busy enough to tell.
    """
    if len(bins) < 2 * _WINDOW:
        return []
    logs = np.log(np.maximum(bins.counts, 0.5))
    jump = np.abs(np.diff(logs))
    candidates = np.flatnonzero(jump > np.log(_FACTORS[0]) - 3.0 * _TOLERANCE) + 1
    changes: list[tuple[int, float]] = []
    for at in candidates.tolist():
        factor = _factor(bins.counts[max(at - _WINDOW, 0) : at], bins.counts[at : at + _WINDOW])
        if factor and (not changes or at - changes[-1][0] >= _WINDOW):
            changes.append((at, factor))
    found, place = [], 0
    while place < len(changes):
        at, factor = changes[place]
        back = place + 1 < len(changes) and abs(changes[place + 1][1] * factor - 1.0) < 1e-9
        end = changes[place + 1][0] if back else len(bins)
        found.append(
            bins.finding(
                "unit_change",
                at,
                end,
                f"level {'x' if factor > 1 else '/'} "
                f"{max(factor, 1 / factor):.0f} at once, steady before and after",
            )
        )
        place += 2 if back else 1
    return found


def _factor(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return the factor of units between two steady sides, 0 where there is none."""
    if min(len(before), len(after)) < _WINDOW:
        return 0.0
    sides = (before, after)
    if min(float(np.median(side)) for side in sides) < _LEAST_COUNT:
        return 0.0
    for side in sides:
        low, high = np.quantile(side, (0.1, 0.9))
        if high > _STEADY * low:
            return 0.0
    ratio = float(np.log(np.median(after) / np.median(before)))
    for factor in _FACTORS:
        if abs(abs(ratio) - np.log(factor)) < _TOLERANCE:
            return factor if ratio > 0.0 else 1.0 / factor
    return 0.0
