"""How many unanswered requests each server holds: a calendar of the answers to come.

Kept only for the rules that look at queue lengths (``Counter.TRACKS_QUEUES``). An entry is either
an answer, which takes ``count`` requests from its server's queue, or (count 0) the start of an open
batch, which is closed then. An entry whose server has left since is void: its ``life`` is over.
"""

from __future__ import annotations

from markopt.engine.attach import attach
from markopt.engine.kernel.compiled import called, inlined
from markopt.engine.state import Counter

_EVENTS = int(Counter.EVENTS)


@inlined
def _move_event(s, source, target):
    s.event_s[target] = s.event_s[source]
    s.event_slot[target] = s.event_slot[source]
    s.event_count[target] = s.event_count[source]
    s.event_life[target] = s.event_life[source]


@inlined
def _set_event(s, at, time_s, slot, count, life):
    s.event_s[at] = time_s
    s.event_slot[at] = slot
    s.event_count[at] = count
    s.event_life[at] = life


@called
def _push_event(address, time_s, slot, count):
    s = attach(address)
    at = s.counters[_EVENTS]
    s.counters[_EVENTS] = at + 1
    while at > 0:
        parent = (at - 1) >> 1
        parent_s = s.event_s[parent]
        if parent_s < time_s or (parent_s == time_s and s.event_count[parent] >= count):
            break
        _move_event(s, parent, at)
        at = parent
    _set_event(s, at, time_s, slot, count, s.life[slot])


@inlined
def _earlier(s, a, b):
    """True where entry a comes before b: by time, answers before starts."""
    if s.event_s[a] != s.event_s[b]:
        return s.event_s[a] < s.event_s[b]
    return s.event_count[a] > s.event_count[b]


@called
def _pop_event(address):
    s = attach(address)
    size = s.counters[_EVENTS] - 1
    s.counters[_EVENTS] = size
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and _earlier(s, child + 1, child):
            child += 1
        if not _earlier(s, child, size):
            break
        _move_event(s, child, at)
        at = child
    _move_event(s, size, at)


@inlined
def push_event(s, time_s, slot, count):
    """Note an answer to ``count`` requests, or with count 0 a batch's start, at ``time_s``."""
    _push_event(s.address, time_s, slot, count)


@inlined
def pop_event(s):
    """Drop the calendar's first entry."""
    _pop_event(s.address)
