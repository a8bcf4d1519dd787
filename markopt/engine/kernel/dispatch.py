"""The dispatch rules: which server a request is offered to, and whether its bouncer lets it in.

A rule is a function ``(state, arrival_s, index)`` that places the request and returns True, or
returns False where the server, or every server, that it asks refuses.
"""

from __future__ import annotations

import numpy as np

from markopt.engine.attach import attach
from markopt.engine.kernel.batches import (
    admits,
    close_batch,
    close_if_started,
    expected_answer_s,
    join_batch,
    open_start_s,
    would_start_s,
)
from markopt.engine.kernel.compiled import called, inlined
from markopt.engine.kernel.draws import hash_of
from markopt.engine.kernel.heaps import first_of, insert, remove, sift_down, sift_up
from markopt.engine.kernel.queues import pop_event, push_event
from markopt.engine.state import Bouncer, Counter, Dispatcher, Scalar

_VIRTUAL_TIME = int(Scalar.VIRTUAL_TIME)
_START_S = int(Scalar.START_S)
_SHARE_PER_S = int(Scalar.SHARE_PER_S)
_DISPATCHER = int(Counter.DISPATCHER)
_BOUNCER = int(Counter.BOUNCER)
_KINDS = int(Counter.KINDS)
_SEED = int(Counter.SEED)
_EVENTS = int(Counter.EVENTS)
_LEAST_EXPECTED_DELAY = int(Dispatcher.LEAST_EXPECTED_DELAY)
_JOIN_SHORTEST_QUEUE = int(Dispatcher.JOIN_SHORTEST_QUEUE)
_LEAST_CONNECTIONS = int(Dispatcher.LEAST_CONNECTIONS)
_QUEUE_LENGTH = int(Bouncer.QUEUE_LENGTH)


# --- queue lengths ---


@inlined
def connections_since(s, slot, since_s):
    """Return the key of least connections: unanswered requests, and below one since when."""
    return s.unanswered[slot] + (since_s - s.scalars[_START_S]) * s.scalars[_SHARE_PER_S]


@called
def _settle_queues(address, now_s):
    """Carry out the calendar up to an arrival: answers at its time count, starts do not yet."""
    s = attach(address)
    while s.counters[_EVENTS] > 0:
        time_s = s.event_s[0]
        count = s.event_count[0]
        if time_s > now_s or (time_s == now_s and count == 0):
            break
        slot = s.event_slot[0]
        alive = s.event_life[0] == s.life[slot]
        pop_event(s)
        if not alive:
            continue
        if count > 0:
            s.unanswered[slot] -= count
            if s.counters[_DISPATCHER] == _JOIN_SHORTEST_QUEUE:
                s.key[slot] -= count
                sift_up(s, 0, s.heap_position[slot])
            elif s.counters[_DISPATCHER] == _LEAST_CONNECTIONS:
                s.key[slot] = connections_since(s, slot, time_s)
                sift_up(s, 0, s.heap_position[slot])
        elif s.open_count[slot] > 0 and open_start_s(s, slot) == time_s:
            # Else the batch filled and was closed before.
            close_batch(s, slot, time_s)


@inlined
def has_room(s, slot, arrival_s):
    """Tell whether a request may join ``slot``, where the bouncer goes by queue length."""
    if s.counters[_BOUNCER] != _QUEUE_LENGTH:
        return True
    _settle_queues(s.address, arrival_s)
    return s.unanswered[slot] < s.queue_limit[s.kind[slot]]


# --- least expected delay ---


@inlined
def close_due(s, kind, before_s):
    """Free the servers of a kind whose open batches, or those put aside, start before a time."""
    for heap in range(3 * kind + 1, 3 * kind + 3):
        while s.heap_size[heap] > 0:
            slot = first_of(s, heap)
            start_s = s.key[slot]
            if start_s >= before_s:
                break
            remove(s, slot)
            if s.open_count[slot] > 0:
                close_batch(s, slot, start_s)
            s.key[slot] = s.free_at_s[slot]
            insert(s, 3 * kind, slot)


@inlined
def _soonest_open(s, kind, arrival_s):
    """Return the soonest-starting open batch of a kind that admits a request, or -1.

    A batch that refuses one more request refuses all later ones too, since its start and size stay:
    it is put aside until it starts, and never looked at again.
    """
    opened = 3 * kind + 1
    while s.heap_size[opened] > 0:
        slot = first_of(s, opened)
        if admits(s, slot, arrival_s, would_start_s(s, slot, arrival_s)):
            return slot
        remove(s, slot)
        close_batch(s, slot, s.key[slot])
        insert(s, 3 * kind + 2, slot)
    return -1


@inlined
def least_expected_delay(s, arrival_s, index):
    """Serve a request where it is expected to be answered first."""
    best_s = np.inf
    best = -1
    for kind in range(s.counters[_KINDS]):
        if s.batch_size[kind] > 1:
            close_due(s, kind, arrival_s)
            slot = _soonest_open(s, kind, arrival_s)
            if slot >= 0:
                expected_s = expected_answer_s(s, slot, would_start_s(s, slot, arrival_s))
                if expected_s < best_s:
                    best_s = expected_s
                    best = slot
        if s.heap_size[3 * kind] > 0:
            slot = first_of(s, 3 * kind)
            start_s = would_start_s(s, slot, arrival_s)
            expected_s = expected_answer_s(s, slot, start_s)
            if expected_s < best_s and admits(s, slot, arrival_s, start_s):
                best_s = expected_s
                best = slot
    if best < 0 or not has_room(s, best, arrival_s):
        return False
    kind = s.kind[best]
    was_open = s.open_count[best] > 0
    if join_batch(s, best, arrival_s, index):
        s.key[best] = s.free_at_s[best]
        if was_open:
            remove(s, best)
            insert(s, 3 * kind, best)
        else:
            sift_down(s, 3 * kind, s.heap_position[best])
    elif not was_open:
        remove(s, best)
        s.key[best] = open_start_s(s, best)
        insert(s, 3 * kind + 1, best)
    return True


# --- rules that ask one or two servers ---


@inlined
def weighted_round_robin(s, arrival_s, index):
    """Offer a request to the server whose turn it is."""
    if s.heap_size[0] == 0:
        return False
    slot = first_of(s, 0)
    s.scalars[_VIRTUAL_TIME] = s.key[slot]
    s.key[slot] += s.stride[s.kind[slot]]
    sift_down(s, 0, 0)
    close_if_started(s, slot, arrival_s)
    if not admits(s, slot, arrival_s, would_start_s(s, slot, arrival_s)):
        return False
    if not has_room(s, slot, arrival_s):
        return False
    join_batch(s, slot, arrival_s, index)
    return True


@inlined
def power_of_two(s, arrival_s, index):
    """Serve a request on the better of two servers drawn."""
    size = s.heap_size[0]
    if size == 0:
        return False
    seed = s.counters[_SEED]
    first = np.int64(hash_of(seed + 2, index) % np.uint64(size))
    second = first
    if size > 1:
        second = np.int64(hash_of(seed + 3, index) % np.uint64(size - 1))
        second += second >= first
    best_s = np.inf
    best = -1
    for draw in range(min(size, 2)):
        slot = s.heap_slot[first if draw == 0 else second]
        close_if_started(s, slot, arrival_s)
        start_s = would_start_s(s, slot, arrival_s)
        expected_s = expected_answer_s(s, slot, start_s)
        if expected_s < best_s and admits(s, slot, arrival_s, start_s):
            best_s = expected_s
            best = slot
    if best < 0 or not has_room(s, best, arrival_s):
        return False
    join_batch(s, best, arrival_s, index)
    return True


@inlined
def join_shortest_queue(s, arrival_s, index):
    """Offer a request to the server that holds the fewest unanswered ones."""
    _settle_queues(s.address, arrival_s)
    if s.heap_size[0] == 0:
        return False
    slot = first_of(s, 0)
    if not admits(s, slot, arrival_s, would_start_s(s, slot, arrival_s)):
        return False
    if not has_room(s, slot, arrival_s):
        return False
    if not join_batch(s, slot, arrival_s, index) and s.open_count[slot] == 1:
        push_event(s, open_start_s(s, slot), slot, 0)
    s.key[slot] += 1.0
    sift_down(s, 0, 0)
    return True


@inlined
def least_connections(s, arrival_s, index):
    """Offer a request to the server that has held the fewest unanswered ones for longest."""
    _settle_queues(s.address, arrival_s)
    if s.heap_size[0] == 0:
        return False
    slot = first_of(s, 0)
    if not admits(s, slot, arrival_s, would_start_s(s, slot, arrival_s)):
        return False
    if not has_room(s, slot, arrival_s):
        return False
    if not join_batch(s, slot, arrival_s, index) and s.open_count[slot] == 1:
        push_event(s, open_start_s(s, slot), slot, 0)
    s.key[slot] = connections_since(s, slot, arrival_s)
    sift_down(s, 0, 0)
    return True


@inlined
def any_server(s):
    """Tell whether a server is in service."""
    heaps = 1 if s.counters[_DISPATCHER] != _LEAST_EXPECTED_DELAY else 3 * s.counters[_KINDS]
    for heap in range(heaps):
        if s.heap_size[heap] > 0:
            return True
    return False
