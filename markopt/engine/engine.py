"""The request engine: servers come and go, requests are served, counts are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.core import RequestStatistics
from markopt.engine import kernel
from markopt.engine.attach import address_table
from markopt.engine.multipliers import service_time_multipliers
from markopt.engine.settings import EngineSettings, FunctionKind, ServerKind
from markopt.engine.state import (
    LATENCY_LOWEST_EXPONENT,
    LATENCY_OCTAVES,
    LATENCY_SUBBINS_LOG2,
    Counter,
    EngineState,
    Path,
    Scalar,
)
from markopt.errors import BackendError, ConfigError


class RequestEngine:
    """Serves requests block by block, in compiled code.

    Times are on the trace's clock. Calls go forward in time: requests of a block lie at or after
    the time of the last call. Deterministic: same calls and same seed, same results.

    Args:
        settings: rules of the request path.
        kinds: server kinds that may be added.
        function: function environments, or None.
        start_s: begin of the counted span.
        end_s: its end; later counts go to the last bin.
        seed: selects the service times that requests draw.
    """

    def __init__(
        self,
        settings: EngineSettings,
        kinds: Sequence[ServerKind],
        function: FunctionKind | None,
        *,
        start_s: float,
        end_s: float,
        seed: int,
    ) -> None:
        if not kinds and function is None:
            raise ConfigError("RequestEngine: needs a server kind or a function, got neither")
        if not -math.inf < start_s <= end_s < math.inf:
            raise ConfigError(
                f"RequestEngine: needs a finite span, start_s <= end_s, got {start_s} .. {end_s}"
            )
        if not 0 <= seed < 2**63:
            raise ConfigError(f"RequestEngine: seed must lie in [0, 2**63), got {seed}")
        self.settings = settings
        self.kinds = tuple(kinds)
        self.function = function
        self._free_slots: list[int] = []
        self._state = _new_state(
            settings, self.kinds, function, start_s=start_s, end_s=end_s, seed=seed
        )
        self._table = address_table(self._state)
        self._slots_used = 0
        self._served_until_s = -math.inf

    def add_server(self, kind: int, at_s: float) -> int:
        """Put a server of ``kinds[kind]`` into service at ``at_s``; returns its slot.

        Raises:
            ConfigError: there is no such kind.
        """
        if not 0 <= kind < len(self.kinds):
            raise ConfigError(f"RequestEngine: kind must lie in [0, {len(self.kinds)}), got {kind}")
        if self._free_slots:
            slot = self._free_slots.pop()
        else:
            if self._slots_used == len(self._state.kind):
                self._state = _with_more_slots(self._state)
                self._table = address_table(self._state)
            slot = self._slots_used
            self._slots_used += 1
        kernel.add_server(self._table, slot, kind, at_s)
        return slot

    def remove_server(self, slot: int) -> float:
        """Take a server out of service now; returns when its last batch ends (or ended).

        Raises:
            BackendError: the slot is not in service.
        """
        if not 0 <= slot < self._slots_used or self._state.heap_of[slot] < 0:
            raise BackendError(f"RequestEngine: server {slot} is not in service")
        ends_s = float(kernel.remove_server(self._table, slot))
        self._free_slots.append(slot)
        return ends_s

    def set_provisioned_functions(self, count: int, at_s: float) -> None:
        """Keep ``count`` function environments warm from ``at_s`` on."""
        if self.function is not None:
            kernel.initialize_functions(self._table, count, at_s)

    def serve(self, arrivals_s: NDArray[np.float64]) -> None:
        """Serve requests that arrive at the given times, shape (requests,).

        Raises:
            BackendError: times are not finite, not sorted, or before what was served already.
        """
        if len(arrivals_s) == 0:
            return
        # The kernel is compiled for contiguous, writable float64 only.
        arrivals_s = np.require(arrivals_s, np.float64, ["C", "A", "W"])
        self._check_arrivals(arrivals_s)
        self._served_until_s = float(arrivals_s[-1])
        if self.settings.record_requests:
            self._make_room_for(self.requests + len(arrivals_s))
        kernel.serve(self._table, arrivals_s)

    def _make_room_for(self, requests: int) -> None:
        state = self._state
        missing = requests - len(state.path)
        if missing <= 0:
            return
        # At least doubled, so that many small blocks cost no more than one large one.
        missing = max(missing, len(state.path))
        self._state = state._replace(
            response_s=np.append(state.response_s, np.full(missing, np.nan)),
            path=np.append(state.path, np.full(missing, -1, np.int8)),
        )
        self._table = address_table(self._state)

    def _check_arrivals(self, arrivals_s: NDArray[np.float64]) -> None:
        first_s, last_s = float(arrivals_s[0]), float(arrivals_s[-1])
        if not first_s >= self._served_until_s:
            raise BackendError(
                f"RequestEngine: arrivals must lie at or after {self._served_until_s} s, up to "
                f"which requests were served, got {first_s} s"
            )
        if not (math.isfinite(last_s) and bool((arrivals_s[1:] >= arrivals_s[:-1]).all())):
            raise BackendError("RequestEngine: arrivals must be finite and sorted")

    def advance(self, until_s: float) -> None:
        """Let time pass; all requests before ``until_s`` have been served."""
        self._served_until_s = max(self._served_until_s, until_s)
        kernel.advance(self._table, until_s)

    def finish(self) -> None:
        """Answer everything that still waits in a batch; no request can be served after that."""
        self._served_until_s = math.inf
        kernel.advance(self._table, np.inf)

    @property
    def requests(self) -> int:
        """Requests so far."""
        return int(self._state.counters[Counter.REQUESTS])

    @property
    def in_batches(self) -> int:
        """Requests that wait in open batches: in flight, their answers not yet known."""
        return int(self._state.counters[Counter.IN_BATCHES])

    @property
    def function_invocations(self) -> int:
        """Requests that ran on functions."""
        return int(self._state.counters[Counter.FUNCTION_INVOCATIONS])

    @property
    def function_cold_starts(self) -> int:
        """Those of them that met a cold start."""
        return int(self._state.counters[Counter.FUNCTION_COLD_STARTS])

    @property
    def function_billed_s(self) -> float:
        """Function seconds billed, rounded up per request."""
        if self.function is None:
            return 0.0
        steps = int(self._state.counters[Counter.FUNCTION_BILLED_STEPS])
        return steps * self.function.billing_step_s

    @property
    def provisioned_functions(self) -> int:
        """Environments that are kept warm."""
        return int(self._state.counters[Counter.FUNCTION_PROVISIONED])

    def request_results(self) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Return response time (NaN: refused or in flight) and ``Path`` (-1: in flight) by request.

        Raises:
            ConfigError: the engine was not told to record requests.
        """
        if not self.settings.record_requests:
            raise ConfigError("RequestEngine: record_requests is off, no per-request results")
        known = slice(self.requests)
        return self._state.response_s[known].copy(), self._state.path[known].copy()

    def counts(self, first_bin: int, last_bin: int) -> dict[str, NDArray[np.int64]]:
        """Return what an observer sees in bins [first, last): late ones when they became known."""
        state = self._state
        span = slice(first_bin, last_bin)
        return {
            "arrivals": state.arrivals[span].copy(),
            "late": state.late_known[span].copy(),
            "refused": state.refused[span].copy(),
            "spilled": state.spilled[span].copy(),
        }

    def statistics(self, end_s: float) -> RequestStatistics:
        """Return counts by arrival time up to ``end_s``, and the response-time histograms."""
        state = self._state
        start_s = float(state.scalars[Scalar.START_S])
        bins = math.ceil((end_s - start_s) / self.settings.bin_s - 1e-9)
        return RequestStatistics(
            start_s=start_s,
            bin_s=self.settings.bin_s,
            arrivals=state.arrivals[:bins],
            late=state.late[:bins],
            refused=state.refused[:bins],
            spilled=state.spilled[:bins],
            latency_edges_s=latency_edges_s(),
            latency_counts={
                "instances": state.latency[Path.INSTANCES].copy(),
                "lambda": state.latency[Path.FUNCTION_WARM].copy(),
                "lambda_cold": state.latency[Path.FUNCTION_COLD].copy(),
            },
            latency_sum_s=float(state.scalars[Scalar.LATENCY_SUM_S]),
            latency_max_s=float(state.scalars[Scalar.LATENCY_MAX_S]),
        )


def latency_edges_s() -> NDArray[np.float64]:
    """Return the edges of the response-time histogram: 128 bins per octave."""
    per_octave = 1 << LATENCY_SUBBINS_LOG2
    octaves = np.exp2(np.arange(LATENCY_OCTAVES) + LATENCY_LOWEST_EXPONENT)
    within = 1.0 + np.arange(per_octave) / per_octave
    edges = (octaves[:, None] * within[None, :]).ravel()
    return np.append(edges, 2.0 ** (LATENCY_OCTAVES + LATENCY_LOWEST_EXPONENT))


def _new_state(
    settings: EngineSettings,
    kinds: tuple[ServerKind, ...],
    function: FunctionKind | None,
    *,
    start_s: float,
    end_s: float,
    seed: int,
) -> EngineState:
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
    counters = np.zeros(len(Counter), dtype=np.int64)
    counters[Counter.DISPATCHER] = int(settings.dispatcher)
    counters[Counter.BOUNCER] = int(settings.bouncer)
    counters[Counter.KINDS] = len(kinds)
    counters[Counter.SEED] = seed
    counters[Counter.RECORD] = int(settings.record_requests)
    limit = 1
    if function is not None:
        limit = function.concurrency_limit
        counters[Counter.FUNCTION_PRESENT] = 1
        counters[Counter.FUNCTION_LIMIT] = limit
        scalars[Scalar.FUNCTION_TIME_S] = function.service_time_s
        scalars[Scalar.FUNCTION_COLD_START_S] = function.cold_start_s
        scalars[Scalar.FUNCTION_IDLE_TIMEOUT_S] = function.idle_timeout_s
        scalars[Scalar.FUNCTION_BILLING_STEPS_PER_S] = 1.0 / function.billing_step_s
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
        batch_size=np.array([k.batch_size for k in kinds] or [1], dtype=np.int32),
        wait_s=np.array([k.wait_s for k in kinds] or [0.0]),
        service_time_s=service,
        guard=np.array([k.guard for k in kinds] or [1.0]),
        stride=np.array([1.0 / k.weight for k in kinds] or [1.0]),
        multiplier=np.array(multiplier or [service_time_multipliers(0.0, "lognormal")]),
        heap_slot=np.zeros((3 * kind_count, slots), dtype=np.int32),
        heap_size=np.zeros(3 * kind_count, dtype=np.int32),
        function_multiplier=service_time_multipliers(function_cv, "lognormal"),
        function_busy_s=np.zeros(limit + 1),
        function_idle_s=np.zeros(limit + 1),
        arrivals=np.zeros(bins, dtype=np.int64),
        late=np.zeros(bins, dtype=np.int64),
        late_known=np.zeros(bins, dtype=np.int64),
        refused=np.zeros(bins, dtype=np.int64),
        spilled=np.zeros(bins, dtype=np.int64),
        latency=np.zeros((3, LATENCY_OCTAVES << LATENCY_SUBBINS_LOG2), dtype=np.int64),
        response_s=np.zeros(0),
        path=np.zeros(0, dtype=np.int8),
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
)


def _with_more_slots(state: EngineState) -> EngineState:
    """Return the state with twice as many server slots."""
    grown: dict[str, Any] = {name: _doubled(getattr(state, name), axis=0) for name in _SLOT_FIELDS}
    grown["heap_of"][len(state.heap_of) :] = -1
    grown["heap_slot"] = _doubled(state.heap_slot, axis=1)
    return state._replace(**grown)


def _doubled(array: NDArray[np.generic], *, axis: int) -> NDArray[np.generic]:
    return np.ascontiguousarray(np.concatenate([array, np.zeros_like(array)], axis=axis))
