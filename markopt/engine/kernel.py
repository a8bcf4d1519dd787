"""The compiled request path: dispatch, bouncer, batch queues, functions, counts.

Rules, precise enough to re-implement, stand in ``docs/simulator.md``. A server's future is known
once its open batch is closed (no request can join any more), so batches need no event queue: an
open batch is closed when it fills, when its start has passed, when it refuses one more request, or
when its server leaves.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from markopt.engine.attach import attach
from markopt.engine.state import (
    LATENCY_LOWEST_EXPONENT,
    LATENCY_OCTAVES,
    LATENCY_SUBBINS_LOG2,
    MULTIPLIER_COUNT,
    Counter,
    Dispatcher,
    Path,
    Scalar,
)

# Plain integers, so that the compiled code holds constants.
_START_S = int(Scalar.START_S)
_BINS_PER_S = int(Scalar.BINS_PER_S)
_RT_MAX_S = int(Scalar.RT_MAX_S)
_QUEUE_LIMIT_S = int(Scalar.QUEUE_LIMIT_S)
_LATENCY_SUM_S = int(Scalar.LATENCY_SUM_S)
_LATENCY_MAX_S = int(Scalar.LATENCY_MAX_S)
_FUNCTION_TIME_S = int(Scalar.FUNCTION_TIME_S)
_FUNCTION_COLD_START_S = int(Scalar.FUNCTION_COLD_START_S)
_FUNCTION_IDLE_TIMEOUT_S = int(Scalar.FUNCTION_IDLE_TIMEOUT_S)
_FUNCTION_STEPS_PER_S = int(Scalar.FUNCTION_BILLING_STEPS_PER_S)
_VIRTUAL_TIME = int(Scalar.VIRTUAL_TIME)
_LAST_ARRIVAL_S = int(Scalar.LAST_ARRIVAL_S)

_REQUESTS = int(Counter.REQUESTS)
_DISPATCHER = int(Counter.DISPATCHER)
_BOUNCER = int(Counter.BOUNCER)
_KINDS = int(Counter.KINDS)
_SEED = int(Counter.SEED)
_FUNCTION_PRESENT = int(Counter.FUNCTION_PRESENT)
_FUNCTION_LIMIT = int(Counter.FUNCTION_LIMIT)
_FUNCTION_PROVISIONED = int(Counter.FUNCTION_PROVISIONED)
_FUNCTION_BUSY = int(Counter.FUNCTION_BUSY)
_FUNCTION_IDLE = int(Counter.FUNCTION_IDLE)
_FUNCTION_IDLE_BOTTOM = int(Counter.FUNCTION_IDLE_BOTTOM)
_FUNCTION_BILLED_STEPS = int(Counter.FUNCTION_BILLED_STEPS)
_FUNCTION_INVOCATIONS = int(Counter.FUNCTION_INVOCATIONS)
_FUNCTION_COLD_STARTS = int(Counter.FUNCTION_COLD_STARTS)
_RECORD = int(Counter.RECORD)
_RECORD_FROM = int(Counter.RECORD_FROM)
_IN_BATCHES = int(Counter.IN_BATCHES)

_INSTANCES = int(Path.INSTANCES)
_WARM = int(Path.FUNCTION_WARM)
_COLD = int(Path.FUNCTION_COLD)
_REFUSED = int(Path.REFUSED)

_LEAST_EXPECTED_DELAY = int(Dispatcher.LEAST_EXPECTED_DELAY)
_WEIGHTED_ROUND_ROBIN = int(Dispatcher.WEIGHTED_ROUND_ROBIN)
_POWER_OF_TWO = int(Dispatcher.POWER_OF_TWO)

_TIME_TOLERANCE_S = 1e-9
_LATENCY_BINS = LATENCY_OCTAVES << LATENCY_SUBBINS_LOG2
_LATENCY_SHIFT = 52 - LATENCY_SUBBINS_LOG2
_LATENCY_OFFSET = (1023 + LATENCY_LOWEST_EXPONENT) << LATENCY_SUBBINS_LOG2
_MULTIPLIER_MASK = np.uint64(MULTIPLIER_COUNT - 1)


@numba.njit(cache=True, forceinline=True)
def _hash(seed, index):
    """Return the SplitMix64 hash of what request ``index`` draws, 64 bits."""
    mixed = np.uint64(seed) + np.uint64(index + 1) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@numba.njit(cache=True)
def draw_index(seed, index):
    """Return the number of the quantile that request ``index`` draws."""
    return np.int64(_hash(seed, index) & _MULTIPLIER_MASK)


# --- heaps of servers, smallest key first, ties by slot number ---


@numba.njit(cache=True, forceinline=True)
def _before(s, a, b):
    return s.key[a] < s.key[b] or (s.key[a] == s.key[b] and a < b)


@numba.njit(cache=True, forceinline=True)
def _sift_up(s, heap, at):
    slot = s.heap_slot[heap, at]
    while at > 0:
        parent = (at - 1) >> 1
        other = s.heap_slot[heap, parent]
        if not _before(s, slot, other):
            break
        s.heap_slot[heap, at] = other
        s.heap_position[other] = at
        at = parent
    s.heap_slot[heap, at] = slot
    s.heap_position[slot] = at


@numba.njit(cache=True, forceinline=True)
def _sift_down(s, heap, at):
    size = s.heap_size[heap]
    slot = s.heap_slot[heap, at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        other = s.heap_slot[heap, child]
        if child + 1 < size:
            right = s.heap_slot[heap, child + 1]
            if _before(s, right, other):
                child += 1
                other = right
        if not _before(s, other, slot):
            break
        s.heap_slot[heap, at] = other
        s.heap_position[other] = at
        at = child
    s.heap_slot[heap, at] = slot
    s.heap_position[slot] = at


@numba.njit(cache=True, forceinline=True)
def _insert(s, heap, slot):
    at = s.heap_size[heap]
    s.heap_size[heap] = at + 1
    s.heap_slot[heap, at] = slot
    s.heap_of[slot] = heap
    _sift_up(s, heap, at)


@numba.njit(cache=True, forceinline=True)
def _remove(s, slot):
    heap = s.heap_of[slot]
    at = s.heap_position[slot]
    last = s.heap_size[heap] - 1
    s.heap_size[heap] = last
    s.heap_of[slot] = -1
    if at != last:
        moved = s.heap_slot[heap, last]
        s.heap_slot[heap, at] = moved
        s.heap_position[moved] = at
        _sift_up(s, heap, at)
        _sift_down(s, heap, s.heap_position[moved])


@numba.njit(cache=True, forceinline=True)
def _append(s, slot):
    """Give a server the last place of the plain list that power of two draws from."""
    at = s.heap_size[0]
    s.heap_size[0] = at + 1
    s.heap_slot[0, at] = slot
    s.heap_position[slot] = at
    s.heap_of[slot] = 0


@numba.njit(cache=True, forceinline=True)
def _take_out(s, slot):
    """Take a server out of the plain list: the last one takes its place."""
    at = s.heap_position[slot]
    last = s.heap_size[0] - 1
    moved = s.heap_slot[0, last]
    s.heap_slot[0, at] = moved
    s.heap_position[moved] = at
    s.heap_size[0] = last
    s.heap_of[slot] = -1


# --- counts ---


@numba.njit(cache=True, forceinline=True)
def _bin(s, time_s):
    at = int((time_s - s.scalars[_START_S]) * s.scalars[_BINS_PER_S])
    last = len(s.arrivals) - 1
    return max(min(at, last), 0)


@numba.njit(cache=True, forceinline=True)
def _latency_bin(response_s):
    bits = np.float64(response_s).view(np.int64)
    at = (bits >> _LATENCY_SHIFT) - _LATENCY_OFFSET
    return min(max(at, 0), _LATENCY_BINS - 1)


@numba.njit(cache=True, forceinline=True)
def _record(s, arrival_s, completion_s, path, index):
    response_s = completion_s - arrival_s
    s.latency[path, _latency_bin(response_s)] += 1
    s.scalars[_LATENCY_SUM_S] += response_s
    s.scalars[_LATENCY_MAX_S] = max(s.scalars[_LATENCY_MAX_S], response_s)
    if response_s > s.scalars[_RT_MAX_S] + _TIME_TOLERANCE_S:
        s.late[_bin(s, arrival_s)] += 1
        s.late_known[_bin(s, completion_s)] += 1
    if s.counters[_RECORD]:
        s.response_s[index - s.counters[_RECORD_FROM]] = response_s
        s.path[index - s.counters[_RECORD_FROM]] = path


@numba.njit(cache=True, forceinline=True)
def _refuse(s, arrival_s, index):
    s.refused[_bin(s, arrival_s)] += 1
    if s.counters[_RECORD]:
        s.response_s[index - s.counters[_RECORD_FROM]] = np.nan
        s.path[index - s.counters[_RECORD_FROM]] = _REFUSED


# --- batches ---


@numba.njit(cache=True, forceinline=True)
def _close(s, slot, start_s):
    """Start the open batch of ``slot`` at ``start_s``: its answers are known from here on."""
    kind = s.kind[slot]
    count = s.open_count[slot]
    first = s.member_index[slot, 0]
    factor = s.multiplier[kind, draw_index(s.counters[_SEED], first)]
    completion_s = start_s + s.service_time_s[kind, count] * factor
    for member in range(count):
        _record(s, s.member_s[slot, member], completion_s, _INSTANCES, s.member_index[slot, member])
    s.free_at_s[slot] = completion_s
    s.open_count[slot] = 0
    s.counters[_IN_BATCHES] -= count


@numba.njit(cache=True, forceinline=True)
def _open_start_s(s, slot):
    """When the open batch of ``slot`` starts if nobody else joins it."""
    due_s = s.open_first_s[slot] + s.wait_s[s.kind[slot]]
    return max(due_s, s.free_at_s[slot])


@numba.njit(cache=True, forceinline=True)
def _place(s, slot, arrival_s, index):
    """Put a request into the open batch of ``slot`` (a new one if there is none).

    Returns True when the batch was full and has been closed.
    """
    kind = s.kind[slot]
    if s.batch_size[kind] == 1:
        factor = s.multiplier[kind, draw_index(s.counters[_SEED], index)]
        start_s = max(arrival_s, s.free_at_s[slot])
        completion_s = start_s + s.service_time_s[kind, 1] * factor
        s.free_at_s[slot] = completion_s
        _record(s, arrival_s, completion_s, _INSTANCES, index)
        return True
    count = s.open_count[slot]
    if count == 0:
        s.open_first_s[slot] = arrival_s
    s.member_s[slot, count] = arrival_s
    s.member_index[slot, count] = index
    s.open_count[slot] = count + 1
    s.counters[_IN_BATCHES] += 1
    if count + 1 == s.batch_size[kind]:
        _close(s, slot, max(arrival_s, s.free_at_s[slot]))
        return True
    return False


@numba.njit(cache=True, forceinline=True)
def _would_start_s(s, slot, arrival_s):
    """When the batch that a request would be part of on ``slot`` would start."""
    kind = s.kind[slot]
    count = s.open_count[slot]
    if count + 1 == s.batch_size[kind]:
        return max(arrival_s, s.free_at_s[slot])
    if count > 0:
        return _open_start_s(s, slot)
    return max(arrival_s + s.wait_s[kind], s.free_at_s[slot])


@numba.njit(cache=True, forceinline=True)
def _admits(s, slot, arrival_s, start_s):
    """Bouncer: may a request join ``slot``, so that its whole batch is answered within RT_max?"""
    if s.counters[_BOUNCER] == 0:
        return start_s - arrival_s <= s.scalars[_QUEUE_LIMIT_S]
    kind = s.kind[slot]
    count = s.open_count[slot]
    oldest_s = s.open_first_s[slot] if count > 0 else arrival_s
    guarded_s = s.service_time_s[kind, count + 1] * s.guard[kind]
    return start_s + guarded_s <= oldest_s + s.scalars[_RT_MAX_S] + _TIME_TOLERANCE_S


# --- dispatch ---


@numba.njit(cache=True, forceinline=True)
def _close_due(s, kind, before_s):
    """Free the servers of a kind whose open batches, or those put aside, start before a time."""
    for heap in range(3 * kind + 1, 3 * kind + 3):
        while s.heap_size[heap] > 0:
            slot = s.heap_slot[heap, 0]
            start_s = s.key[slot]
            if start_s >= before_s:
                break
            _remove(s, slot)
            if s.open_count[slot] > 0:
                _close(s, slot, start_s)
            s.key[slot] = s.free_at_s[slot]
            _insert(s, 3 * kind, slot)


@numba.njit(cache=True, forceinline=True)
def _soonest_open(s, kind, arrival_s):
    """Return the soonest-starting open batch of a kind that admits a request, or -1.

    A batch that refuses one more request refuses all later ones too, since its start and size stay:
    it is put aside until it starts, and never looked at again.
    """
    opened = 3 * kind + 1
    while s.heap_size[opened] > 0:
        slot = s.heap_slot[opened, 0]
        if _admits(s, slot, arrival_s, _would_start_s(s, slot, arrival_s)):
            return slot
        _remove(s, slot)
        _close(s, slot, s.key[slot])
        _insert(s, 3 * kind + 2, slot)
    return -1


@numba.njit(cache=True, forceinline=True)
def _least_expected_delay(s, arrival_s, index):
    """Serve a request where it is expected to be answered first. Returns False if nowhere."""
    best_s = np.inf
    best = -1
    for kind in range(s.counters[_KINDS]):
        if s.batch_size[kind] > 1:
            _close_due(s, kind, arrival_s)
            slot = _soonest_open(s, kind, arrival_s)
            if slot >= 0:
                start_s = _would_start_s(s, slot, arrival_s)
                expected_s = start_s + s.service_time_s[kind, s.open_count[slot] + 1]
                if expected_s < best_s:
                    best_s = expected_s
                    best = slot
        if s.heap_size[3 * kind] > 0:
            slot = s.heap_slot[3 * kind, 0]
            start_s = _would_start_s(s, slot, arrival_s)
            expected_s = start_s + s.service_time_s[kind, 1]
            if expected_s < best_s and _admits(s, slot, arrival_s, start_s):
                best_s = expected_s
                best = slot
    if best < 0:
        return False
    kind = s.kind[best]
    was_open = s.open_count[best] > 0
    if _place(s, best, arrival_s, index):
        s.key[best] = s.free_at_s[best]
        if was_open:
            _remove(s, best)
            _insert(s, 3 * kind, best)
        else:
            _sift_down(s, 3 * kind, s.heap_position[best])
    elif not was_open:
        _remove(s, best)
        s.key[best] = _open_start_s(s, best)
        _insert(s, 3 * kind + 1, best)
    return True


@numba.njit(cache=True, forceinline=True)
def _close_if_started(s, slot, before_s):
    """Close the open batch of a server if it starts before a time."""
    if s.open_count[slot] > 0:
        start_s = _open_start_s(s, slot)
        if start_s < before_s:
            _close(s, slot, start_s)


@numba.njit(cache=True, forceinline=True)
def _weighted_round_robin(s, arrival_s, index):
    """Offer a request to the server whose turn it is. Returns False if its bouncer refuses."""
    if s.heap_size[0] == 0:
        return False
    slot = s.heap_slot[0, 0]
    s.scalars[_VIRTUAL_TIME] = s.key[slot]
    s.key[slot] += s.stride[s.kind[slot]]
    _sift_down(s, 0, 0)
    _close_if_started(s, slot, arrival_s)
    if not _admits(s, slot, arrival_s, _would_start_s(s, slot, arrival_s)):
        return False
    _place(s, slot, arrival_s, index)
    return True


@numba.njit(cache=True, forceinline=True)
def _power_of_two(s, arrival_s, index):
    """Serve a request on the better of two servers drawn. Returns False if both refuse."""
    size = s.heap_size[0]
    if size == 0:
        return False
    seed = s.counters[_SEED]
    first = np.int64(_hash(seed + 2, index) % np.uint64(size))
    second = first
    if size > 1:
        second = np.int64(_hash(seed + 3, index) % np.uint64(size - 1))
        second += second >= first
    best_s = np.inf
    best = -1
    for draw in range(min(size, 2)):
        slot = s.heap_slot[0, first if draw == 0 else second]
        _close_if_started(s, slot, arrival_s)
        start_s = _would_start_s(s, slot, arrival_s)
        expected_s = start_s + s.service_time_s[s.kind[slot], s.open_count[slot] + 1]
        if expected_s < best_s and _admits(s, slot, arrival_s, start_s):
            best_s = expected_s
            best = slot
    if best < 0:
        return False
    _place(s, best, arrival_s, index)
    return True


@numba.njit(cache=True, forceinline=True)
def _any_server(s):
    heaps = 1 if s.counters[_DISPATCHER] != _LEAST_EXPECTED_DELAY else 3 * s.counters[_KINDS]
    for heap in range(heaps):
        if s.heap_size[heap] > 0:
            return True
    return False


# --- functions ---


@numba.njit(cache=True, forceinline=True)
def _busy_push(s, release_s):
    busy = s.function_busy_s
    at = s.counters[_FUNCTION_BUSY]
    s.counters[_FUNCTION_BUSY] = at + 1
    while at > 0:
        parent = (at - 1) >> 1
        if busy[parent] <= release_s:
            break
        busy[at] = busy[parent]
        at = parent
    busy[at] = release_s


@numba.njit(cache=True, forceinline=True)
def _busy_pop(s):
    busy = s.function_busy_s
    top = busy[0]
    size = s.counters[_FUNCTION_BUSY] - 1
    s.counters[_FUNCTION_BUSY] = size
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


@numba.njit(cache=True, forceinline=True)
def _settle_functions(s, now_s):
    """Move environments that have finished to the idle ones; drop those idle for too long."""
    ring = len(s.function_idle_s)
    while s.counters[_FUNCTION_BUSY] > 0 and s.function_busy_s[0] <= now_s:
        released_s = _busy_pop(s)
        top = (s.counters[_FUNCTION_IDLE_BOTTOM] + s.counters[_FUNCTION_IDLE]) % ring
        s.function_idle_s[top] = released_s
        s.counters[_FUNCTION_IDLE] += 1
    while s.counters[_FUNCTION_IDLE] > 0:
        environments = s.counters[_FUNCTION_IDLE] + s.counters[_FUNCTION_BUSY]
        if environments <= s.counters[_FUNCTION_PROVISIONED]:
            break
        bottom = s.counters[_FUNCTION_IDLE_BOTTOM]
        if s.function_idle_s[bottom] + s.scalars[_FUNCTION_IDLE_TIMEOUT_S] >= now_s:
            break
        s.counters[_FUNCTION_IDLE_BOTTOM] = (bottom + 1) % ring
        s.counters[_FUNCTION_IDLE] -= 1


@numba.njit(cache=True, forceinline=True)
def _spill(s, arrival_s, index):
    """Answer a request on a function; refuse it where there is none or all are busy."""
    if s.counters[_FUNCTION_PRESENT] == 0:
        _refuse(s, arrival_s, index)
        return
    _settle_functions(s, arrival_s)
    factor = s.function_multiplier[draw_index(s.counters[_SEED] + 1, index)]
    service_s = s.scalars[_FUNCTION_TIME_S] * factor
    path = _WARM
    completion_s = arrival_s + service_s
    if s.counters[_FUNCTION_IDLE] > 0:
        s.counters[_FUNCTION_IDLE] -= 1
    elif s.counters[_FUNCTION_BUSY] < s.counters[_FUNCTION_LIMIT]:
        path = _COLD
        completion_s += s.scalars[_FUNCTION_COLD_START_S]
        s.counters[_FUNCTION_COLD_STARTS] += 1
    else:
        _refuse(s, arrival_s, index)
        return
    _busy_push(s, completion_s)
    steps = math.ceil(service_s * s.scalars[_FUNCTION_STEPS_PER_S] - 1e-9)
    s.counters[_FUNCTION_BILLED_STEPS] += int(steps)
    s.counters[_FUNCTION_INVOCATIONS] += 1
    s.spilled[_bin(s, arrival_s)] += 1
    _record(s, arrival_s, completion_s, path, index)


# --- entry points ---


@numba.njit(cache=True)
def serve(table, arrivals_s):
    """Serve a block of requests in the order of their arrival."""
    s = attach(table)
    rule = s.counters[_DISPATCHER]
    index = s.counters[_REQUESTS]
    for at in range(len(arrivals_s)):
        arrival_s = arrivals_s[at]
        s.arrivals[_bin(s, arrival_s)] += 1
        if rule == _WEIGHTED_ROUND_ROBIN:
            placed = _weighted_round_robin(s, arrival_s, index)
        elif rule == _POWER_OF_TWO:
            placed = _power_of_two(s, arrival_s, index)
        else:
            placed = _least_expected_delay(s, arrival_s, index)
        if not placed:
            if s.counters[_BOUNCER] == 1 or not _any_server(s):
                _spill(s, arrival_s, index)
            else:
                _refuse(s, arrival_s, index)
        index += 1
    s.counters[_REQUESTS] = index
    if len(arrivals_s) > 0:
        s.scalars[_LAST_ARRIVAL_S] = arrivals_s[-1]


@numba.njit(cache=True)
def advance(table, until_s):
    """Close every open batch that starts before ``until_s``: no earlier arrival is to come."""
    s = attach(table)
    if s.counters[_DISPATCHER] != _LEAST_EXPECTED_DELAY:
        for at in range(s.heap_size[0]):
            _close_if_started(s, s.heap_slot[0, at], until_s)
    else:
        for kind in range(s.counters[_KINDS]):
            _close_due(s, kind, until_s)
    if s.counters[_FUNCTION_PRESENT]:
        _settle_functions(s, until_s if until_s < np.inf else s.scalars[_LAST_ARRIVAL_S])


@numba.njit(cache=True)
def add_server(table, slot, kind, at_s):
    """Put an idle server of a kind into service at ``at_s``."""
    s = attach(table)
    s.kind[slot] = kind
    s.free_at_s[slot] = at_s
    s.open_count[slot] = 0
    if s.counters[_DISPATCHER] == _POWER_OF_TWO:
        _append(s, slot)
    elif s.counters[_DISPATCHER] == _WEIGHTED_ROUND_ROBIN:
        s.key[slot] = s.scalars[_VIRTUAL_TIME] + s.stride[kind]
        _insert(s, 0, slot)
    else:
        s.key[slot] = at_s
        _insert(s, 3 * kind, slot)


@numba.njit(cache=True)
def remove_server(table, slot):
    """Take a server out of service: nobody joins any more; returns when its last batch ends."""
    s = attach(table)
    if s.counters[_DISPATCHER] == _POWER_OF_TWO:
        _take_out(s, slot)
    else:
        _remove(s, slot)
    if s.open_count[slot] > 0:
        _close(s, slot, _open_start_s(s, slot))
    return s.free_at_s[slot]


@numba.njit(cache=True)
def initialize_functions(table, provisioned, now_s):
    """Keep ``provisioned`` environments warm from now on, starting what is missing."""
    s = attach(table)
    _settle_functions(s, now_s)
    provisioned = min(provisioned, s.counters[_FUNCTION_LIMIT])
    s.counters[_FUNCTION_PROVISIONED] = provisioned
    missing = provisioned - s.counters[_FUNCTION_IDLE] - s.counters[_FUNCTION_BUSY]
    for _ in range(missing):
        _busy_push(s, now_s + s.scalars[_FUNCTION_COLD_START_S])
