"""What is counted of each request: bins over time, response times, results by request."""

from __future__ import annotations

import numpy as np

from markopt.engine.kernel.compiled import inlined
from markopt.engine.state import (
    LATENCY_LOWEST_EXPONENT,
    LATENCY_OCTAVES,
    LATENCY_PATHS,
    LATENCY_SUBBINS_LOG2,
    Counter,
    Path,
    Scalar,
)

_START_S = int(Scalar.START_S)
_BINS_PER_S = int(Scalar.BINS_PER_S)
_WINDOWS_PER_S = int(Scalar.WINDOWS_PER_S)
_RT_MAX_S = int(Scalar.RT_MAX_S)
_LATENCY_SUM_S = int(Scalar.LATENCY_SUM_S)
_LATENCY_MAX_S = int(Scalar.LATENCY_MAX_S)
_BINS = int(Counter.BINS)
_WINDOWS = int(Counter.WINDOWS)
_RECORD = int(Counter.RECORD)
_RECORD_FROM = int(Counter.RECORD_FROM)
_LOST_REQUESTS = int(Counter.LOST)
_REFUSED = int(Path.REFUSED)
_LOST = int(Path.LOST)

_TIME_TOLERANCE_S = 1e-9
_LATENCY_BINS = LATENCY_OCTAVES << LATENCY_SUBBINS_LOG2
_LATENCY_SHIFT = 52 - LATENCY_SUBBINS_LOG2
_LATENCY_OFFSET = (1023 + LATENCY_LOWEST_EXPONENT) << LATENCY_SUBBINS_LOG2


@inlined
def bin_of(s, time_s):
    """Return the number of the counting bin that a time lies in."""
    at = int((time_s - s.scalars[_START_S]) * s.scalars[_BINS_PER_S])
    return max(min(at, s.counters[_BINS] - 1), 0)


@inlined
def _latency_bin(response_s):
    bits = np.float64(response_s).view(np.int64)
    at = (bits >> _LATENCY_SHIFT) - _LATENCY_OFFSET
    return min(max(at, 0), _LATENCY_BINS - 1)


@inlined
def _latency_row(s, arrival_s, path):
    at = int((arrival_s - s.scalars[_START_S]) * s.scalars[_WINDOWS_PER_S])
    window = max(min(at, s.counters[_WINDOWS] - 1), 0)
    return (window * LATENCY_PATHS + path) * _LATENCY_BINS


@inlined
def count_answer(s, arrival_s, completion_s, path, index):
    """Count a request that is answered at ``completion_s``."""
    response_s = completion_s - arrival_s
    s.latency[_latency_row(s, arrival_s, path) + _latency_bin(response_s)] += 1
    s.scalars[_LATENCY_SUM_S] += response_s
    s.scalars[_LATENCY_MAX_S] = max(s.scalars[_LATENCY_MAX_S], response_s)
    if response_s > s.scalars[_RT_MAX_S] + _TIME_TOLERANCE_S:
        s.late[bin_of(s, arrival_s)] += 1
        s.late_known[bin_of(s, completion_s)] += 1
    if s.counters[_RECORD]:
        s.response_s[index - s.counters[_RECORD_FROM]] = response_s
        s.path[index - s.counters[_RECORD_FROM]] = path


@inlined
def count_loss(s, arrival_s, lost_s, index):
    """Count a request that was lost with its server at ``lost_s``: late for ever."""
    s.counters[_LOST_REQUESTS] += 1
    s.late[bin_of(s, arrival_s)] += 1
    s.late_known[bin_of(s, lost_s)] += 1
    if s.counters[_RECORD]:
        s.path[index - s.counters[_RECORD_FROM]] = _LOST


@inlined
def count_refusal(s, arrival_s, index):
    """Count a request that nobody took."""
    s.refused[bin_of(s, arrival_s)] += 1
    if s.counters[_RECORD]:
        s.path[index - s.counters[_RECORD_FROM]] = _REFUSED
