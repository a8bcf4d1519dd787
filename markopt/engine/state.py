"""The arrays that the compiled kernel works on, and the names of their scalar entries."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LATENCY_SUBBINS_LOG2 = 7
"""Each octave of response time is split into 2**7 bins: at most 1/128 = 0.78 % wide."""
LATENCY_OCTAVES = 30
LATENCY_LOWEST_EXPONENT = -15
"""The histogram spans 2**-15 s (31 us) to 2**15 s (9 h); outside it the end bins hold."""

MULTIPLIER_COUNT = 4096
"""Quantiles per service-time distribution: each draw picks one of them."""


class Path(IntEnum):
    """How a request was answered."""

    INSTANCES = 0
    FUNCTION_WARM = 1
    FUNCTION_COLD = 2
    REFUSED = 3
    LOST = 4


LATENCY_PATHS = 3
"""The first so many paths end in an answer and have a response time."""


class Dispatcher(IntEnum):
    """Compiled rules that choose the server of a request.

    ``LEAST_EXPECTED_DELAY`` sends it where it is expected to be answered first;
    ``WEIGHTED_ROUND_ROBIN`` (MArk's) takes servers in turn, in proportion to their throughput;
    ``POWER_OF_TWO`` draws two servers and takes the one that is expected to answer first
    (Mitzenmacher 2001, with the work left in place of the queue length);
    ``JOIN_SHORTEST_QUEUE`` takes the server with the fewest unanswered requests, at a tie the
    first; ``LEAST_CONNECTIONS`` the one whose number has stood for longest (HAProxy's leastconn).
    """

    LEAST_EXPECTED_DELAY = 0
    WEIGHTED_ROUND_ROBIN = 1
    POWER_OF_TWO = 2
    JOIN_SHORTEST_QUEUE = 3
    LEAST_CONNECTIONS = 4


class Bouncer(IntEnum):
    """Rules by which a server refuses a request at its arrival.

    ``NONE`` refuses only what would wait longer than the queue limit; ``PREDICTED_DEADLINE`` what
    it cannot answer within RT_max, going by mean service times; ``QUEUE_LENGTH`` what finds more
    unanswered requests than the server can answer within RT_max.
    """

    NONE = 0
    PREDICTED_DEADLINE = 1
    QUEUE_LENGTH = 2


class Scalar(IntEnum):
    """Entries of ``EngineState.scalars`` (float64)."""

    START_S = 0
    BINS_PER_S = 1
    RT_MAX_S = 2
    QUEUE_LIMIT_S = 3
    LATENCY_SUM_S = 4
    LATENCY_MAX_S = 5
    FUNCTION_TIME_S = 6
    FUNCTION_COLD_START_S = 7
    FUNCTION_IDLE_TIMEOUT_S = 8
    FUNCTION_BILLING_STEPS_PER_S = 9
    VIRTUAL_TIME = 10
    LAST_ARRIVAL_S = 11
    WINDOWS_PER_S = 12
    FUNCTION_BURST = 13
    FUNCTION_BURST_PER_S = 14
    FUNCTION_BURST_LEFT = 15
    FUNCTION_BURST_LEFT_AT_S = 16
    FUNCTION_SHARE = 17
    SHARE_PER_S = 18


class Counter(IntEnum):
    """Entries of ``EngineState.counters`` (int64)."""

    REQUESTS = 0
    DISPATCHER = 1
    BOUNCER = 2
    KINDS = 3
    SEED = 4
    FUNCTION_PRESENT = 5
    FUNCTION_LIMIT = 6
    FUNCTION_PROVISIONED = 7
    FUNCTION_BUSY = 8
    FUNCTION_IDLE = 9
    FUNCTION_IDLE_BOTTOM = 10
    FUNCTION_BILLED_STEPS = 11
    FUNCTION_INVOCATIONS = 12
    FUNCTION_COLD_STARTS = 13
    RECORD = 14
    RECORD_FROM = 15
    IN_BATCHES = 16
    WINDOWS = 17
    LOST = 18
    TRACKS_QUEUES = 19
    EVENTS = 20
    FUNCTION_THROTTLES = 21
    BINS = 22
    SLOTS = 23
    LARGEST_BATCH = 24
    FUNCTION_RING = 25
    REVOCABLE = 26
    JOURNAL = 27
    FUNCTION_PROVISIONED_STEPS = 28
    OVERFLOWS = 29


class EngineState(NamedTuple):
    """Everything that the kernel reads and writes.

    Servers (first axis: slot): ``kind``, ``free_at_s`` (when its last closed batch ends),
    ``key`` (its place in its heap), ``heap_of`` and ``heap_position``, ``open_count``,
    ``open_first_s``, ``member_s`` and ``member_index`` (arrivals of the open batch), ``taken_s``
    (when it is taken, with all that it has not answered), ``credit_s`` (CPU credit when it was last
    free, in seconds of full speed), ``unanswered`` and ``life`` (see ``kernel.queues``).
    Kinds (first axis: kind): ``batch_size``, ``wait_s``, ``service_time_s[kind, b]``, ``guard``
    (factor on a service time that the bouncer counts with), ``stride``, ``multiplier``,
    ``baseline`` (share of full speed without credit), ``credit_limit_s``, ``credit_launch_s``,
    ``queue_limit`` (unanswered requests that the queue-length bouncer allows).
    Heaps: three per kind (free servers; open batches; batches that refused a request and have not
    started), or one in all for weighted round robin and join shortest queue; with power of two the
    first is a plain list. ``event_*``: the calendar of ``kernel.queues``, a heap.
    ``journal_*``: answers that were decided and not yet given, where they may still be lost (see
    ``kernel.journal``).
    Functions: ``function_busy_s`` (a heap of release times), ``function_idle_s`` (a ring of
    idle-since times, newest at the top). ``latency[window * LATENCY_PATHS + path, bin]`` counts
    response times by window of arrival. Bins: see ``RequestStatistics``. ``address`` is where
    the table of all arrays lies, inside compiled code (see ``attach``).
    """

    scalars: NDArray[np.float64]
    counters: NDArray[np.int64]
    kind: NDArray[np.int32]
    free_at_s: NDArray[np.float64]
    key: NDArray[np.float64]
    heap_of: NDArray[np.int32]
    heap_position: NDArray[np.int32]
    open_count: NDArray[np.int32]
    open_first_s: NDArray[np.float64]
    member_s: NDArray[np.float64]
    member_index: NDArray[np.int64]
    taken_s: NDArray[np.float64]
    credit_s: NDArray[np.float64]
    unanswered: NDArray[np.int32]
    life: NDArray[np.int32]
    batch_size: NDArray[np.int32]
    wait_s: NDArray[np.float64]
    service_time_s: NDArray[np.float64]
    guard: NDArray[np.float64]
    stride: NDArray[np.float64]
    multiplier: NDArray[np.float64]
    baseline: NDArray[np.float64]
    credit_limit_s: NDArray[np.float64]
    credit_launch_s: NDArray[np.float64]
    queue_limit: NDArray[np.int32]
    heap_slot: NDArray[np.int32]
    heap_size: NDArray[np.int32]
    event_s: NDArray[np.float64]
    event_slot: NDArray[np.int32]
    event_count: NDArray[np.int32]
    event_life: NDArray[np.int32]
    function_multiplier: NDArray[np.float64]
    function_busy_s: NDArray[np.float64]
    function_idle_s: NDArray[np.float64]
    arrivals: NDArray[np.int64]
    late: NDArray[np.int64]
    late_known: NDArray[np.int64]
    refused: NDArray[np.int64]
    spilled: NDArray[np.int64]
    latency: NDArray[np.int32]
    response_s: NDArray[np.float64]
    path: NDArray[np.int8]
    journal_arrival_s: NDArray[np.float64]
    journal_answer_s: NDArray[np.float64]
    journal_taken_s: NDArray[np.float64]
    journal_index: NDArray[np.int64]
    journal_slot: NDArray[np.int32]
    journal_life: NDArray[np.int32]
    address: int = 0
