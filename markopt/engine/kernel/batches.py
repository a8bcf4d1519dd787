"""A server's batches: when they start, how long they take, who may join."""

from __future__ import annotations

from markopt.engine.attach import attach
from markopt.engine.kernel.compiled import called, inlined
from markopt.engine.kernel.counts import count_answer, count_loss
from markopt.engine.kernel.draws import draw_index
from markopt.engine.kernel.journal import enter_answer
from markopt.engine.kernel.queues import push_event
from markopt.engine.state import MULTIPLIER_COUNT, Bouncer, Counter, Path, Scalar

_RT_MAX_S = int(Scalar.RT_MAX_S)
_QUEUE_LIMIT_S = int(Scalar.QUEUE_LIMIT_S)
_BOUNCER = int(Counter.BOUNCER)
_SEED = int(Counter.SEED)
_LARGEST_BATCH = int(Counter.LARGEST_BATCH)
_IN_BATCHES = int(Counter.IN_BATCHES)
_TRACKS_QUEUES = int(Counter.TRACKS_QUEUES)
_REVOCABLE = int(Counter.REVOCABLE)
_INSTANCES = int(Path.INSTANCES)
_NO_BOUNCER = int(Bouncer.NONE)
_PREDICTED_DEADLINE = int(Bouncer.PREDICTED_DEADLINE)

_TIME_TOLERANCE_S = 1e-9


# --- CPU credits: a server whose kind has a baseline below one runs at full speed on credit ---


@inlined
def _credit_s(s, slot, start_s):
    """Return the credit at a time when the server has nothing to do, in seconds of full speed."""
    kind = s.kind[slot]
    earned_s = s.baseline[kind] * (start_s - s.free_at_s[slot])
    return min(s.credit_s[slot] + earned_s, s.credit_limit_s[kind])


@inlined
def busy_s(s, slot, start_s, work_s):
    """Return how long work of ``work_s`` at full speed takes that starts at ``start_s``."""
    baseline = s.baseline[s.kind[slot]]
    if baseline >= 1.0:
        return work_s
    full_speed_s = _credit_s(s, slot, start_s) / (1.0 - baseline)
    if work_s <= full_speed_s:
        return work_s
    return full_speed_s + (work_s - full_speed_s) / baseline


@inlined
def _occupy(s, slot, start_s, work_s):
    """Do work from ``start_s`` on; returns when it is done."""
    completion_s = start_s + busy_s(s, slot, start_s, work_s)
    baseline = s.baseline[s.kind[slot]]
    if baseline < 1.0:
        left_s = _credit_s(s, slot, start_s) - (1.0 - baseline) * work_s
        s.credit_s[slot] = max(left_s, 0.0)
    s.free_at_s[slot] = completion_s
    return completion_s


# --- batches ---


@inlined
def _mean_s(s, kind, count):
    """Return the mean service time of a batch."""
    return s.service_time_s[kind * (s.counters[_LARGEST_BATCH] + 1) + count]


@inlined
def _factor(s, kind, index):
    """Return the multiplier on service times that request ``index`` draws."""
    return s.multiplier[kind * MULTIPLIER_COUNT + draw_index(s.counters[_SEED], index)]


@inlined
def _settle(s, slot, arrival_s, completion_s, index):
    """Count a request's answer, or its loss where the server is taken before."""
    if s.counters[_REVOCABLE]:
        enter_answer(s, slot, arrival_s, completion_s, index)
    elif completion_s > s.taken_s[slot]:
        count_loss(s, arrival_s, s.taken_s[slot], index)
    else:
        count_answer(s, arrival_s, completion_s, _INSTANCES, index)


@called
def _close_batch(address, slot, start_s):
    s = attach(address)
    kind = s.kind[slot]
    count = s.open_count[slot]
    row = slot * s.counters[_LARGEST_BATCH]
    factor = _factor(s, kind, s.member_index[row])
    completion_s = _occupy(s, slot, start_s, _mean_s(s, kind, count) * factor)
    for member in range(count):
        _settle(s, slot, s.member_s[row + member], completion_s, s.member_index[row + member])
    s.open_count[slot] = 0
    s.counters[_IN_BATCHES] -= count
    if s.counters[_TRACKS_QUEUES]:
        push_event(s, completion_s, slot, count)


@inlined
def close_batch(s, slot, start_s):
    """Start the open batch of ``slot`` at ``start_s``: its answers are known from here on."""
    _close_batch(s.address, slot, start_s)


@inlined
def open_start_s(s, slot):
    """When the open batch of ``slot`` starts if nobody else joins it."""
    due_s = s.open_first_s[slot] + s.wait_s[s.kind[slot]]
    return max(due_s, s.free_at_s[slot])


@inlined
def close_if_started(s, slot, before_s):
    """Close the open batch of a server if it starts before a time."""
    if s.open_count[slot] > 0:
        start_s = open_start_s(s, slot)
        if start_s < before_s:
            close_batch(s, slot, start_s)


@inlined
def join_batch(s, slot, arrival_s, index):
    """Put a request into the open batch of ``slot`` (a new one if there is none).

    Returns True when the batch was full and has been closed.
    """
    kind = s.kind[slot]
    if s.counters[_TRACKS_QUEUES]:
        s.unanswered[slot] += 1
    if s.batch_size[kind] == 1:
        factor = _factor(s, kind, index)
        start_s = max(arrival_s, s.free_at_s[slot])
        completion_s = _occupy(s, slot, start_s, _mean_s(s, kind, 1) * factor)
        _settle(s, slot, arrival_s, completion_s, index)
        if s.counters[_TRACKS_QUEUES]:
            push_event(s, completion_s, slot, 1)
        return True
    count = s.open_count[slot]
    if count == 0:
        s.open_first_s[slot] = arrival_s
    at = slot * s.counters[_LARGEST_BATCH] + count
    s.member_s[at] = arrival_s
    s.member_index[at] = index
    s.open_count[slot] = count + 1
    s.counters[_IN_BATCHES] += 1
    if count + 1 == s.batch_size[kind]:
        close_batch(s, slot, max(arrival_s, s.free_at_s[slot]))
        return True
    return False


# --- what a request would meet ---


@inlined
def would_start_s(s, slot, arrival_s):
    """When the batch that a request would be part of on ``slot`` would start."""
    kind = s.kind[slot]
    count = s.open_count[slot]
    if count + 1 == s.batch_size[kind]:
        return max(arrival_s, s.free_at_s[slot])
    if count > 0:
        return open_start_s(s, slot)
    return max(arrival_s + s.wait_s[kind], s.free_at_s[slot])


@inlined
def expected_answer_s(s, slot, start_s):
    """When a batch with one more request would be answered, by mean service times."""
    mean_s = _mean_s(s, s.kind[slot], s.open_count[slot] + 1)
    return start_s + busy_s(s, slot, start_s, mean_s)


@inlined
def admits(s, slot, arrival_s, start_s):
    """Tell whether a request may join ``slot``, going by time.

    The bouncer that predicts deadlines wants its whole batch answered within RT_max. The one that
    counts the queue is asked later (see ``dispatch.has_room``).
    """
    bouncer = s.counters[_BOUNCER]
    if bouncer == _NO_BOUNCER:
        return start_s - arrival_s <= s.scalars[_QUEUE_LIMIT_S]
    if bouncer != _PREDICTED_DEADLINE:
        return True
    kind = s.kind[slot]
    count = s.open_count[slot]
    oldest_s = s.open_first_s[slot] if count > 0 else arrival_s
    guarded_s = busy_s(s, slot, start_s, _mean_s(s, kind, count + 1) * s.guard[kind])
    return start_s + guarded_s <= oldest_s + s.scalars[_RT_MAX_S] + _TIME_TOLERANCE_S
