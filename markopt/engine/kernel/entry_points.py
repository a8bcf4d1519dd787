"""What Python calls: serve requests, let time pass, change the fleet."""

from __future__ import annotations

import numpy as np

from markopt.engine.attach import attach
from markopt.engine.kernel.batches import close_batch, close_if_started, open_start_s
from markopt.engine.kernel.compiled import entry_point, inlined
from markopt.engine.kernel.counts import bin_of, count_refusal
from markopt.engine.kernel.dispatch import (
    any_server,
    close_due,
    connections_since,
    join_shortest_queue,
    least_connections,
    least_expected_delay,
    power_of_two,
    weighted_round_robin,
)
from markopt.engine.kernel.draws import unit_of
from markopt.engine.kernel.functions import provision, settle_functions, spill
from markopt.engine.kernel.heaps import insert, list_append, list_take_out, remove
from markopt.engine.kernel.journal import settle_journal, take_entries
from markopt.engine.state import Bouncer, Counter, Dispatcher, Scalar

_VIRTUAL_TIME = int(Scalar.VIRTUAL_TIME)
_LAST_ARRIVAL_S = int(Scalar.LAST_ARRIVAL_S)
_FUNCTION_SHARE = int(Scalar.FUNCTION_SHARE)
_REQUESTS = int(Counter.REQUESTS)
_SEED = int(Counter.SEED)
_OVERFLOWS = int(Counter.OVERFLOWS)
_DISPATCHER = int(Counter.DISPATCHER)
_BOUNCER = int(Counter.BOUNCER)
_KINDS = int(Counter.KINDS)
_FUNCTION_PRESENT = int(Counter.FUNCTION_PRESENT)
_REVOCABLE = int(Counter.REVOCABLE)
_LEAST_EXPECTED_DELAY = int(Dispatcher.LEAST_EXPECTED_DELAY)
_WEIGHTED_ROUND_ROBIN = int(Dispatcher.WEIGHTED_ROUND_ROBIN)
_POWER_OF_TWO = int(Dispatcher.POWER_OF_TWO)
_JOIN_SHORTEST_QUEUE = int(Dispatcher.JOIN_SHORTEST_QUEUE)
_LEAST_CONNECTIONS = int(Dispatcher.LEAST_CONNECTIONS)
_NO_BOUNCER = int(Bouncer.NONE)


@inlined
def _to_functions(s, arrival_s, index):
    """Send a request to functions if it belongs to their fixed share; tell whether it did."""
    share = s.scalars[_FUNCTION_SHARE]
    if share <= 0.0 or unit_of(s.counters[_SEED] + 4, index) >= share:
        return False
    spill(s.address, arrival_s, index)
    return True


@inlined
def _turn_away(s, arrival_s, index):
    """Spill or refuse a request that no server took."""
    if s.counters[_OVERFLOWS] and (s.counters[_BOUNCER] != _NO_BOUNCER or not any_server(s)):
        spill(s.address, arrival_s, index)
    else:
        count_refusal(s, arrival_s, index)


@inlined
def _end_block(s, arrivals_s, index):
    s.counters[_REQUESTS] = index
    if len(arrivals_s) > 0:
        s.scalars[_LAST_ARRIVAL_S] = arrivals_s[-1]


# One entry point per dispatch rule: only what is used is compiled.


@entry_point
def serve_least_expected_delay(address, arrivals_s):
    """Serve a block of requests in the order of their arrival."""
    s = attach(address)
    index = s.counters[_REQUESTS]
    for at in range(len(arrivals_s)):
        arrival_s = arrivals_s[at]
        s.arrivals[bin_of(s, arrival_s)] += 1
        if not (_to_functions(s, arrival_s, index) or least_expected_delay(s, arrival_s, index)):
            _turn_away(s, arrival_s, index)
        index += 1
    _end_block(s, arrivals_s, index)


@entry_point
def serve_weighted_round_robin(address, arrivals_s):
    """Serve a block of requests in the order of their arrival."""
    s = attach(address)
    index = s.counters[_REQUESTS]
    for at in range(len(arrivals_s)):
        arrival_s = arrivals_s[at]
        s.arrivals[bin_of(s, arrival_s)] += 1
        if not (_to_functions(s, arrival_s, index) or weighted_round_robin(s, arrival_s, index)):
            _turn_away(s, arrival_s, index)
        index += 1
    _end_block(s, arrivals_s, index)


@entry_point
def serve_power_of_two(address, arrivals_s):
    """Serve a block of requests in the order of their arrival."""
    s = attach(address)
    index = s.counters[_REQUESTS]
    for at in range(len(arrivals_s)):
        arrival_s = arrivals_s[at]
        s.arrivals[bin_of(s, arrival_s)] += 1
        if not (_to_functions(s, arrival_s, index) or power_of_two(s, arrival_s, index)):
            _turn_away(s, arrival_s, index)
        index += 1
    _end_block(s, arrivals_s, index)


@entry_point
def serve_join_shortest_queue(address, arrivals_s):
    """Serve a block of requests in the order of their arrival."""
    s = attach(address)
    index = s.counters[_REQUESTS]
    for at in range(len(arrivals_s)):
        arrival_s = arrivals_s[at]
        s.arrivals[bin_of(s, arrival_s)] += 1
        if not (_to_functions(s, arrival_s, index) or join_shortest_queue(s, arrival_s, index)):
            _turn_away(s, arrival_s, index)
        index += 1
    _end_block(s, arrivals_s, index)


@entry_point
def serve_least_connections(address, arrivals_s):
    """Serve a block of requests in the order of their arrival."""
    s = attach(address)
    index = s.counters[_REQUESTS]
    for at in range(len(arrivals_s)):
        arrival_s = arrivals_s[at]
        s.arrivals[bin_of(s, arrival_s)] += 1
        if not (_to_functions(s, arrival_s, index) or least_connections(s, arrival_s, index)):
            _turn_away(s, arrival_s, index)
        index += 1
    _end_block(s, arrivals_s, index)


SERVE = {
    Dispatcher.LEAST_EXPECTED_DELAY: serve_least_expected_delay,
    Dispatcher.WEIGHTED_ROUND_ROBIN: serve_weighted_round_robin,
    Dispatcher.POWER_OF_TWO: serve_power_of_two,
    Dispatcher.JOIN_SHORTEST_QUEUE: serve_join_shortest_queue,
    Dispatcher.LEAST_CONNECTIONS: serve_least_connections,
}
"""The entry point of each dispatch rule."""


@entry_point
def advance(address, until_s):
    """Close every open batch that starts before ``until_s``: no earlier arrival is to come."""
    s = attach(address)
    if s.counters[_DISPATCHER] != _LEAST_EXPECTED_DELAY:
        for at in range(s.heap_size[0]):
            close_if_started(s, s.heap_slot[at], until_s)
    else:
        for kind in range(s.counters[_KINDS]):
            close_due(s, kind, until_s)
    if s.counters[_REVOCABLE]:
        settle_journal(s, until_s)
    if s.counters[_FUNCTION_PRESENT]:
        settle_functions(s, until_s if until_s < np.inf else s.scalars[_LAST_ARRIVAL_S])


@entry_point
def add_server(address, slot, kind, at_s):
    """Put an idle server of a kind into service at ``at_s``."""
    s = attach(address)
    s.kind[slot] = kind
    s.free_at_s[slot] = at_s
    s.taken_s[slot] = np.inf
    s.open_count[slot] = 0
    s.unanswered[slot] = 0
    s.credit_s[slot] = s.credit_launch_s[kind]
    rule = s.counters[_DISPATCHER]
    if rule == _POWER_OF_TWO:
        list_append(s, slot)
    elif rule == _WEIGHTED_ROUND_ROBIN:
        s.key[slot] = s.scalars[_VIRTUAL_TIME] + s.stride[kind]
        insert(s, 0, slot)
    elif rule == _JOIN_SHORTEST_QUEUE:
        s.key[slot] = 0.0
        insert(s, 0, slot)
    elif rule == _LEAST_CONNECTIONS:
        s.key[slot] = connections_since(s, slot, at_s)
        insert(s, 0, slot)
    else:
        s.key[slot] = at_s
        insert(s, 3 * kind, slot)


@entry_point
def remove_server(address, slot):
    """Take a server out of service: nobody joins any more; returns when its last batch ends."""
    s = attach(address)
    if s.counters[_DISPATCHER] == _POWER_OF_TWO:
        list_take_out(s, slot)
    else:
        remove(s, slot)
    if s.open_count[slot] > 0:
        close_batch(s, slot, open_start_s(s, slot))
    s.life[slot] += 1
    return s.free_at_s[slot]


@entry_point
def take_server(address, slot, life, taken_s):
    """Let the server of a slot's life vanish at ``taken_s``, with what it has not answered."""
    s = attach(address)
    if s.life[slot] == life:
        s.taken_s[slot] = min(s.taken_s[slot], taken_s)
    if s.counters[_REVOCABLE]:
        take_entries(s, slot, life, taken_s)


@entry_point
def provision_functions(address, count, now_s):
    """Keep ``count`` environments warm from now on, starting what is missing."""
    provision(attach(address), count, now_s)
