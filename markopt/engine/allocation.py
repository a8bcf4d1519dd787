"""The engine's arrays: made from settings, and made larger."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.engine.multipliers import service_time_multipliers
from markopt.engine.settings import EngineSettings, FunctionKind, ServerKind, queue_limit
from markopt.engine.state import (
    LATENCY_OCTAVES,
    LATENCY_PATHS,
    LATENCY_SUBBINS_LOG2,
    Bouncer,
    Counter,
    Dispatcher,
    EngineState,
    Scalar,
)


def new_state(
    settings: EngineSettings,
    kinds: tuple[ServerKind, ...],
    function: FunctionKind | None,
    *,
    start_s: float,
    end_s: float,
    seed: int,
) -> EngineState:
    """Return the state of an engine that has not served anything."""
    kind_count = max(len(kinds), 1)
    largest = max((kind.batch_size for kind in kinds), default=1)
    slots = 64
    bins = int(np.ceil((end_s - start_s) / settings.bin_s)) + 1
    scalars = np.zeros(len(Scalar))
    scalars[Scalar.START_S] = start_s
    scalars[Scalar.BINS_PER_S] = 1.0 / settings.bin_s
    scalars[Scalar.RT_MAX_S] = settings.rt_max_s
    scalars[Scalar.QUEUE_LIMIT_S] = settings.queue_limit_s
    scalars[Scalar.LAST_ARRIVAL_S] = start_s
    window_s = settings.latency_window_s or math.inf
    windows = max(math.ceil((end_s - start_s) / window_s - 1e-9), 1)
    scalars[Scalar.WINDOWS_PER_S] = 1.0 / window_s
    # A power of two: the time since the start as an exact share of something longer than the span.
    scalars[Scalar.SHARE_PER_S] = 2.0 ** -math.ceil(math.log2(max(end_s - start_s, 1.0)) + 1.0)
    counters = np.zeros(len(Counter), dtype=np.int64)
    counters[Counter.DISPATCHER] = int(settings.dispatcher)
    counters[Counter.BOUNCER] = int(settings.bouncer)
    counters[Counter.KINDS] = len(kinds)
    counters[Counter.SEED] = seed
    counters[Counter.WINDOWS] = windows
    counters[Counter.BINS] = bins
    counters[Counter.SLOTS] = slots
    counters[Counter.LARGEST_BATCH] = largest
    counters[Counter.TRACKS_QUEUES] = int(
        settings.dispatcher in (Dispatcher.JOIN_SHORTEST_QUEUE, Dispatcher.LEAST_CONNECTIONS)
        or settings.bouncer is Bouncer.QUEUE_LENGTH
    )
    counters[Counter.RECORD] = int(settings.record_requests)
    counters[Counter.REVOCABLE] = int(settings.revocable)
    counters[Counter.OVERFLOWS] = int(settings.overflows)
    limit = 1
    if function is not None:
        limit = function.concurrency_limit
        counters[Counter.FUNCTION_PRESENT] = 1
        counters[Counter.FUNCTION_LIMIT] = limit
        scalars[Scalar.FUNCTION_TIME_S] = function.service_time_s
        scalars[Scalar.FUNCTION_COLD_START_S] = function.cold_start_s
        scalars[Scalar.FUNCTION_IDLE_TIMEOUT_S] = function.idle_timeout_s
        scalars[Scalar.FUNCTION_BILLING_STEPS_PER_S] = 1.0 / function.billing_step_s
        scalars[Scalar.FUNCTION_BURST] = function.burst
        scalars[Scalar.FUNCTION_BURST_LEFT] = function.burst
        scalars[Scalar.FUNCTION_BURST_PER_S] = function.burst_per_s
        scalars[Scalar.FUNCTION_BURST_LEFT_AT_S] = start_s
    counters[Counter.FUNCTION_RING] = limit + 1
    service = np.zeros((kind_count, largest + 1))
    for row, kind in enumerate(kinds):
        service[row, 1 : kind.batch_size + 1] = kind.service_times_s
    multiplier = [service_time_multipliers(k.service_time_cv, k.distribution) for k in kinds]
    function_cv = function.service_time_cv if function is not None else 0.0
    return EngineState(
        scalars=scalars,
        counters=counters,
        kind=np.zeros(slots, dtype=np.int32),
        free_at_s=np.zeros(slots),
        key=np.zeros(slots),
        heap_of=np.full(slots, -1, dtype=np.int32),
        heap_position=np.zeros(slots, dtype=np.int32),
        open_count=np.zeros(slots, dtype=np.int32),
        open_first_s=np.zeros(slots),
        member_s=np.zeros((slots, largest)),
        member_index=np.zeros((slots, largest), dtype=np.int64),
        taken_s=np.full(slots, np.inf),
        credit_s=np.zeros(slots),
        unanswered=np.zeros(slots, dtype=np.int32),
        life=np.zeros(slots, dtype=np.int32),
        batch_size=np.array([k.batch_size for k in kinds] or [1], dtype=np.int32),
        wait_s=np.array([k.wait_s for k in kinds] or [0.0]),
        service_time_s=service,
        guard=np.array([k.guard for k in kinds] or [1.0]),
        stride=np.array([1.0 / k.weight for k in kinds] or [1.0]),
        multiplier=np.array(multiplier or [service_time_multipliers(0.0, "lognormal")]),
        baseline=np.array([k.baseline_share for k in kinds] or [1.0]),
        credit_limit_s=np.array([k.credit_limit_s for k in kinds] or [0.0]),
        credit_launch_s=np.array([k.credit_launch_s for k in kinds] or [0.0]),
        queue_limit=np.array([queue_limit(k, settings) for k in kinds] or [0], dtype=np.int32),
        heap_slot=np.zeros((3 * kind_count, slots), dtype=np.int32),
        heap_size=np.zeros(3 * kind_count, dtype=np.int32),
        event_s=np.zeros(0),
        event_slot=np.zeros(0, dtype=np.int32),
        event_count=np.zeros(0, dtype=np.int32),
        event_life=np.zeros(0, dtype=np.int32),
        function_multiplier=service_time_multipliers(function_cv, "lognormal"),
        function_busy_s=np.zeros(limit + 1),
        function_idle_s=np.zeros(limit + 1),
        arrivals=np.zeros(bins, dtype=np.int64),
        late=np.zeros(bins, dtype=np.int64),
        late_known=np.zeros(bins, dtype=np.int64),
        refused=np.zeros(bins, dtype=np.int64),
        spilled=np.zeros(bins, dtype=np.int64),
        latency=np.zeros(
            (windows * LATENCY_PATHS, LATENCY_OCTAVES << LATENCY_SUBBINS_LOG2), dtype=np.int32
        ),
        response_s=np.zeros(0),
        path=np.zeros(0, dtype=np.int8),
        journal_arrival_s=np.zeros(0),
        journal_answer_s=np.zeros(0),
        journal_taken_s=np.zeros(0),
        journal_index=np.zeros(0, dtype=np.int64),
        journal_slot=np.zeros(0, dtype=np.int32),
        journal_life=np.zeros(0, dtype=np.int32),
    )


_SLOT_FIELDS = (
    "kind",
    "free_at_s",
    "key",
    "heap_of",
    "heap_position",
    "open_count",
    "open_first_s",
    "member_s",
    "member_index",
    "taken_s",
    "credit_s",
    "unanswered",
    "life",
)
_EVENT_FIELDS = ("event_s", "event_slot", "event_count", "event_life")
_JOURNAL_FIELDS = (
    "journal_arrival_s",
    "journal_answer_s",
    "journal_taken_s",
    "journal_index",
    "journal_slot",
    "journal_life",
)


def with_more_slots(state: EngineState) -> EngineState:
    """Return the state with twice as many server slots."""
    grown: dict[str, Any] = {name: _doubled(getattr(state, name), axis=0) for name in _SLOT_FIELDS}
    grown["heap_of"][len(state.heap_of) :] = -1
    grown["heap_slot"] = _doubled(state.heap_slot, axis=1)
    state.counters[Counter.SLOTS] = len(grown["kind"])
    return state._replace(**grown)


def with_more_events(state: EngineState, wanted: int) -> EngineState:
    """Return the state with room for at least ``wanted`` calendar entries."""
    return _longer(state, _EVENT_FIELDS, max(wanted, 2 * len(state.event_s)))


def with_longer_journal(state: EngineState, wanted: int) -> EngineState:
    """Return the state with room for at least ``wanted`` answers that are not given yet."""
    return _longer(state, _JOURNAL_FIELDS, max(wanted, 2 * len(state.journal_slot)))


def _longer(state: EngineState, names: tuple[str, ...], size: int) -> EngineState:
    grown: dict[str, Any] = {}
    for name in names:
        array = getattr(state, name)
        grown[name] = np.concatenate([array, np.zeros(size - len(array), array.dtype)])
    return state._replace(**grown)


def _doubled(array: NDArray[np.generic], *, axis: int) -> NDArray[np.generic]:
    return np.ascontiguousarray(np.concatenate([array, np.zeros_like(array)], axis=axis))
