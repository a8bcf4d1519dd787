"""Function environments: busy ones, idle ones, cold starts, limits, the bill."""

from __future__ import annotations

import math

from markopt.engine.attach import attach
from markopt.engine.kernel.compiled import called, inlined
from markopt.engine.kernel.counts import bin_of, count_answer, count_refusal
from markopt.engine.kernel.draws import draw_index
from markopt.engine.state import Counter, Path, Scalar

_TIME_S = int(Scalar.FUNCTION_TIME_S)
_COLD_START_S = int(Scalar.FUNCTION_COLD_START_S)
_IDLE_TIMEOUT_S = int(Scalar.FUNCTION_IDLE_TIMEOUT_S)
_STEPS_PER_S = int(Scalar.FUNCTION_BILLING_STEPS_PER_S)
_BURST = int(Scalar.FUNCTION_BURST)
_BURST_PER_S = int(Scalar.FUNCTION_BURST_PER_S)
_BURST_LEFT = int(Scalar.FUNCTION_BURST_LEFT)
_BURST_LEFT_AT_S = int(Scalar.FUNCTION_BURST_LEFT_AT_S)
_SEED = int(Counter.SEED)
_PRESENT = int(Counter.FUNCTION_PRESENT)
_LIMIT = int(Counter.FUNCTION_LIMIT)
_PROVISIONED = int(Counter.FUNCTION_PROVISIONED)
_RING = int(Counter.FUNCTION_RING)
_BUSY = int(Counter.FUNCTION_BUSY)
_IDLE = int(Counter.FUNCTION_IDLE)
_IDLE_BOTTOM = int(Counter.FUNCTION_IDLE_BOTTOM)
_BILLED_STEPS = int(Counter.FUNCTION_BILLED_STEPS)
_PROVISIONED_STEPS = int(Counter.FUNCTION_PROVISIONED_STEPS)
_INVOCATIONS = int(Counter.FUNCTION_INVOCATIONS)
_COLD_STARTS = int(Counter.FUNCTION_COLD_STARTS)
_THROTTLES = int(Counter.FUNCTION_THROTTLES)
_WARM = int(Path.FUNCTION_WARM)
_COLD = int(Path.FUNCTION_COLD)


@inlined
def _busy_push(s, release_s):
    busy = s.function_busy_s
    at = s.counters[_BUSY]
    s.counters[_BUSY] = at + 1
    while at > 0:
        parent = (at - 1) >> 1
        if busy[parent] <= release_s:
            break
        busy[at] = busy[parent]
        at = parent
    busy[at] = release_s


@inlined
def _busy_pop(s):
    busy = s.function_busy_s
    top = busy[0]
    size = s.counters[_BUSY] - 1
    s.counters[_BUSY] = size
    last = busy[size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and busy[child + 1] < busy[child]:
            child += 1
        if busy[child] >= last:
            break
        busy[at] = busy[child]
        at = child
    busy[at] = last
    return top


@inlined
def settle_functions(s, now_s):
    """Move environments that have finished to the idle ones; drop those idle for too long."""
    ring = s.counters[_RING]
    while s.counters[_BUSY] > 0 and s.function_busy_s[0] <= now_s:
        released_s = _busy_pop(s)
        top = (s.counters[_IDLE_BOTTOM] + s.counters[_IDLE]) % ring
        s.function_idle_s[top] = released_s
        s.counters[_IDLE] += 1
    while s.counters[_IDLE] > 0:
        environments = s.counters[_IDLE] + s.counters[_BUSY]
        if environments <= s.counters[_PROVISIONED]:
            break
        bottom = s.counters[_IDLE_BOTTOM]
        if s.function_idle_s[bottom] + s.scalars[_IDLE_TIMEOUT_S] >= now_s:
            break
        s.counters[_IDLE_BOTTOM] = (bottom + 1) % ring
        s.counters[_IDLE] -= 1


@inlined
def _may_start(s, now_s):
    """Take a token for a new environment from the burst bucket; False where it is empty."""
    elapsed_s = now_s - s.scalars[_BURST_LEFT_AT_S]
    left = s.scalars[_BURST_LEFT] + elapsed_s * s.scalars[_BURST_PER_S]
    left = min(left, s.scalars[_BURST])
    s.scalars[_BURST_LEFT_AT_S] = now_s
    started = left >= 1.0 - 1e-9
    s.scalars[_BURST_LEFT] = left - 1.0 if started else left
    return started


@called
def spill(address, arrival_s, index):
    """Answer a request on a function; refuse it where there is none, or it is throttled."""
    s = attach(address)
    if s.counters[_PRESENT] == 0:
        count_refusal(s, arrival_s, index)
        return
    settle_functions(s, arrival_s)
    factor = s.function_multiplier[draw_index(s.counters[_SEED] + 1, index)]
    service_s = s.scalars[_TIME_S] * factor
    path = _WARM
    completion_s = arrival_s + service_s
    if s.counters[_IDLE] > 0:
        s.counters[_IDLE] -= 1
    elif s.counters[_BUSY] < s.counters[_LIMIT] and _may_start(s, arrival_s):
        path = _COLD
        completion_s += s.scalars[_COLD_START_S]
        s.counters[_COLD_STARTS] += 1
    else:
        s.counters[_THROTTLES] += 1
        count_refusal(s, arrival_s, index)
        return
    steps = math.ceil(service_s * s.scalars[_STEPS_PER_S] - 1e-9)
    if s.counters[_BUSY] < s.counters[_PROVISIONED]:
        s.counters[_PROVISIONED_STEPS] += int(steps)
    _busy_push(s, completion_s)
    s.counters[_BILLED_STEPS] += int(steps)
    s.counters[_INVOCATIONS] += 1
    s.spilled[bin_of(s, arrival_s)] += 1
    count_answer(s, arrival_s, completion_s, path, index)


@inlined
def provision(s, count, now_s):
    """Keep ``count`` environments warm, starting what is missing and allowed."""
    settle_functions(s, now_s)
    count = min(count, s.counters[_LIMIT])
    there = s.counters[_IDLE] + s.counters[_BUSY]
    while there < count and _may_start(s, now_s):
        _busy_push(s, now_s + s.scalars[_COLD_START_S])
        there += 1
    s.counters[_PROVISIONED] = min(count, there)
