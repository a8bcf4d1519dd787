"""Where servers stand: heaps with the smallest key first, and one plain list."""

from __future__ import annotations

from markopt.engine.kernel.compiled import inlined
from markopt.engine.state import Counter

_SLOTS = int(Counter.SLOTS)


@inlined
def _before(s, a, b):
    return s.key[a] < s.key[b] or (s.key[a] == s.key[b] and a < b)


@inlined
def sift_up(s, heap, at):
    """Move the server at a place of a heap up to where its key belongs."""
    row = heap * s.counters[_SLOTS]
    slot = s.heap_slot[row + at]
    while at > 0:
        parent = (at - 1) >> 1
        other = s.heap_slot[row + parent]
        if not _before(s, slot, other):
            break
        s.heap_slot[row + at] = other
        s.heap_position[other] = at
        at = parent
    s.heap_slot[row + at] = slot
    s.heap_position[slot] = at


@inlined
def sift_down(s, heap, at):
    """Move the server at a place of a heap down to where its key belongs."""
    row = heap * s.counters[_SLOTS]
    size = s.heap_size[heap]
    slot = s.heap_slot[row + at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        other = s.heap_slot[row + child]
        if child + 1 < size:
            right = s.heap_slot[row + child + 1]
            if _before(s, right, other):
                child += 1
                other = right
        if not _before(s, other, slot):
            break
        s.heap_slot[row + at] = other
        s.heap_position[other] = at
        at = child
    s.heap_slot[row + at] = slot
    s.heap_position[slot] = at


@inlined
def first_of(s, heap):
    """Return the slot of a heap's first server; there must be one."""
    return s.heap_slot[heap * s.counters[_SLOTS]]


@inlined
def insert(s, heap, slot):
    """Put a server into a heap."""
    row = heap * s.counters[_SLOTS]
    at = s.heap_size[heap]
    s.heap_size[heap] = at + 1
    s.heap_slot[row + at] = slot
    s.heap_of[slot] = heap
    sift_up(s, heap, at)


@inlined
def remove(s, slot):
    """Take a server out of the heap that it is in."""
    heap = s.heap_of[slot]
    row = heap * s.counters[_SLOTS]
    at = s.heap_position[slot]
    last = s.heap_size[heap] - 1
    s.heap_size[heap] = last
    s.heap_of[slot] = -1
    if at != last:
        moved = s.heap_slot[row + last]
        s.heap_slot[row + at] = moved
        s.heap_position[moved] = at
        sift_up(s, heap, at)
        sift_down(s, heap, s.heap_position[moved])


@inlined
def list_append(s, slot):
    """Give a server the last place of the plain list that power of two draws from."""
    at = s.heap_size[0]
    s.heap_size[0] = at + 1
    s.heap_slot[at] = slot
    s.heap_position[slot] = at
    s.heap_of[slot] = 0


@inlined
def list_take_out(s, slot):
    """Take a server out of the plain list: the last one takes its place."""
    at = s.heap_position[slot]
    last = s.heap_size[0] - 1
    moved = s.heap_slot[last]
    s.heap_slot[at] = moved
    s.heap_position[moved] = at
    s.heap_size[0] = last
    s.heap_of[slot] = -1
