"""The request engine: servers come and go, requests are served, counts are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from markopt.core import LatencyWindows, RequestStatistics
from markopt.engine import kernel
from markopt.engine.allocation import (
    new_state,
    with_longer_journal,
    with_more_events,
    with_more_slots,
)
from markopt.engine.attach import address_table
from markopt.engine.settings import EngineSettings, FunctionKind, ServerKind
from markopt.engine.state import (
    LATENCY_LOWEST_EXPONENT,
    LATENCY_OCTAVES,
    LATENCY_PATHS,
    LATENCY_SUBBINS_LOG2,
    Counter,
    EngineState,
    Path,
    Scalar,
)
from markopt.errors import BackendError, ConfigError

_PATH_NAMES = {
    "instances": Path.INSTANCES,
    "lambda": Path.FUNCTION_WARM,
    "lambda_cold": Path.FUNCTION_COLD,
}
_BLOCK = 1 << 16
"""Requests served at a time where each may add entries to the calendar or the journal."""


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
        self._serve = kernel.SERVE[settings.dispatcher]
        self._use(
            new_state(settings, self.kinds, function, start_s=start_s, end_s=end_s, seed=seed)
        )
        self._slots_used = 0
        self._served_until_s = -math.inf

    def _use(self, state: EngineState) -> None:
        self._state = state
        self._table = address_table(state)
        self._address = self._table.ctypes.data

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
                self._use(with_more_slots(self._state))
            slot = self._slots_used
            self._slots_used += 1
        kernel.add_server(self._address, slot, kind, at_s)
        return slot

    def remove_server(self, slot: int) -> float:
        """Take a server out of service now; returns when its last batch ends (or ended).

        Raises:
            BackendError: the slot is not in service.
        """
        self._check_in_service(slot)
        self._make_room_in_calendar(1)
        self._make_room_in_journal(0)
        ends_s = float(kernel.remove_server(self._address, slot))
        self._free_slots.append(slot)
        return ends_s

    def take_server_at(self, slot: int, at_s: float) -> None:
        """Let a server in service vanish at ``at_s``, with all that it has not answered by then.

        Requests whose answers would come later are lost: counted late, without a response time. Of
        two such times the earlier one counts.
        What was decided before this call (closed batches) stays answered, unless the settings say
        ``revocable``.

        Raises:
            BackendError: the slot is not in service.
        """
        self._check_in_service(slot)
        kernel.take_server(self._address, slot, self.life(slot), at_s)

    def life(self, slot: int) -> int:
        """Return how many servers have left a slot: with the slot, it names the one there now."""
        return int(self._state.life[slot])

    def take_removed_server_at(self, slot: int, life: int, at_s: float) -> None:
        """Let a server vanish at ``at_s`` that was in ``slot`` when ``life`` told so, and has left.

        Where the settings say ``revocable``, what it would answer later is lost.
        """
        kernel.take_server(self._address, slot, life, at_s)

    def _check_in_service(self, slot: int) -> None:
        if not 0 <= slot < self._slots_used or self._state.heap_of[slot] < 0:
            raise BackendError(f"RequestEngine: server {slot} is not in service")

    def set_provisioned_functions(self, count: int, at_s: float) -> None:
        """Keep ``count`` function environments warm from ``at_s`` on.

        Where the concurrency or burst limit allows fewer, ``provisioned_functions`` tells how many.
        """
        if self.function is not None:
            kernel.provision_functions(self._address, count, at_s)

    def set_function_share(self, share: float) -> None:
        """Send that share of the requests to functions from now on, whatever servers could do.

        Raises:
            ConfigError: the share does not lie in [0, 1].
        """
        if not 0.0 <= share <= 1.0:
            raise ConfigError(f"RequestEngine: function share must lie in [0, 1], got {share}")
        self._state.scalars[Scalar.FUNCTION_SHARE] = share

    def serve(self, arrivals_s: NDArray[np.float64]) -> None:
        """Serve requests that arrive at the given times, shape (requests,).

        Raises:
            BackendError: times are not finite, not sorted, or before what was served already.
        """
        if len(arrivals_s) == 0:
            return
        # The kernel is compiled for contiguous, writable float64 only.
        if arrivals_s.dtype != np.float64 or not arrivals_s.flags.carray:
            arrivals_s = np.require(arrivals_s, np.float64, ["C", "A", "W"])
        self._check_arrivals(arrivals_s)
        self._served_until_s = float(arrivals_s[-1])
        if self.settings.record_requests:
            self._make_room_for(self.requests + len(arrivals_s))
        revocable = self.settings.revocable
        if not (revocable or self._state.counters[Counter.TRACKS_QUEUES]):
            self._serve(self._address, arrivals_s)
            return
        for first in range(0, len(arrivals_s), _BLOCK):
            block_s = arrivals_s[first : first + _BLOCK]
            self._make_room_in_calendar(2 * len(block_s))
            self._make_room_in_journal(len(block_s))
            if revocable and first:
                kernel.advance(self._address, block_s[0])
            self._serve(self._address, block_s)

    def _make_room_in_calendar(self, events: int) -> None:
        """Make room for so many new entries, and one for the open batch of each server."""
        state = self._state
        if state.counters[Counter.TRACKS_QUEUES]:
            wanted = int(state.counters[Counter.EVENTS]) + events + len(state.kind)
            if wanted > len(state.event_s):
                self._use(with_more_events(state, wanted))

    def _make_room_in_journal(self, requests: int) -> None:
        """Make room for the answers to so many new requests, and to all in open batches."""
        if self.settings.revocable:
            state = self._state
            wanted = int(state.counters[Counter.JOURNAL]) + requests + self.in_batches
            if wanted > len(state.journal_slot):
                self._use(with_longer_journal(state, wanted))

    def _make_room_for(self, requests: int) -> None:
        state = self._state
        missing = requests - int(state.counters[Counter.RECORD_FROM]) - len(state.path)
        if missing <= 0:
            return
        # At least doubled, so that many small blocks cost no more than one large one.
        missing = max(missing, len(state.path))
        self._use(
            state._replace(
                response_s=np.append(state.response_s, np.full(missing, np.nan)),
                path=np.append(state.path, np.full(missing, -1, np.int8)),
            )
        )

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
        self._make_room_in_calendar(0)
        self._make_room_in_journal(0)
        kernel.advance(self._address, until_s)

    def finish(self) -> None:
        """Answer everything that still waits in a batch; no request can be served after that."""
        self._served_until_s = math.inf
        self._make_room_in_calendar(0)
        self._make_room_in_journal(0)
        kernel.advance(self._address, np.inf)

    @property
    def requests(self) -> int:
        """Requests so far."""
        return int(self._state.counters[Counter.REQUESTS])

    @property
    def in_batches(self) -> int:
        """Requests that wait in open batches: in flight, their answers not yet known."""
        return int(self._state.counters[Counter.IN_BATCHES])

    @property
    def in_flight(self) -> int:
        """Requests whose answers are still to come, as far as they are not counted already."""
        return self.in_batches + int(self._state.counters[Counter.JOURNAL])

    @property
    def lost(self) -> int:
        """Requests that were lost with a server that was taken."""
        return int(self._state.counters[Counter.LOST])

    @property
    def function_throttles(self) -> int:
        """Spilled requests that were refused at the concurrency or the burst limit."""
        return int(self._state.counters[Counter.FUNCTION_THROTTLES])

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
    def provisioned_billed_s(self) -> float:
        """Those of the billed function seconds that provisioned environments ran."""
        if self.function is None:
            return 0.0
        steps = int(self._state.counters[Counter.FUNCTION_PROVISIONED_STEPS])
        return steps * self.function.billing_step_s

    @property
    def provisioned_functions(self) -> int:
        """Environments that are kept warm."""
        return int(self._state.counters[Counter.FUNCTION_PROVISIONED])

    def request_results(self) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Return response time (NaN: none) and ``Path`` (-1: in flight) by request.

        Of those that ``take_request_results`` has not taken yet.

        Raises:
            ConfigError: the engine was not told to record requests.
        """
        if not self.settings.record_requests:
            raise ConfigError("RequestEngine: record_requests is off, no per-request results")
        known = slice(self.requests - int(self._state.counters[Counter.RECORD_FROM]))
        return self._state.response_s[known].copy(), self._state.path[known].copy()

    def take_request_results(self) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Return and forget the results up to the first request that is still in flight.

        Called now and then, it keeps the memory of a long recorded run small.

        Raises:
            ConfigError: the engine was not told to record requests.
        """
        response_s, path = self.request_results()
        in_flight = np.flatnonzero(path < 0)
        settled = int(in_flight[0]) if len(in_flight) else len(path)
        state = self._state
        self._use(
            state._replace(
                response_s=state.response_s[settled:].copy(), path=state.path[settled:].copy()
            )
        )
        state.counters[Counter.RECORD_FROM] += settled
        return response_s[:settled], path[:settled]

    def counts(self, first_bin: int, last_bin: int) -> dict[str, NDArray[np.int64]]:
        """Return what an observer sees in bins [first, last): late ones when they became known.

        Views: copy what is to outlive the next call (``Observation`` does).
        """
        state = self._state
        span = slice(first_bin, last_bin)
        return {
            "arrivals": state.arrivals[span],
            "late": state.late_known[span],
            "refused": state.refused[span],
            "spilled": state.spilled[span],
        }

    def statistics(self, end_s: float) -> RequestStatistics:
        """Return counts by arrival time up to ``end_s``, and the response-time histograms."""
        state = self._state
        start_s = float(state.scalars[Scalar.START_S])
        bins = math.ceil((end_s - start_s) / self.settings.bin_s - 1e-9)
        edges_s = latency_edges_s()
        counts = {name: state.latency[at::LATENCY_PATHS] for name, at in _PATH_NAMES.items()}
        total = {name: values.sum(axis=0, dtype=np.int64) for name, values in counts.items()}
        windows = None
        window_s = self.settings.latency_window_s
        if window_s is not None:
            begun = max(math.ceil((end_s - start_s) / window_s - 1e-9), 1)
            # Most of the 30 octaves are empty: long episodes keep only those that were hit.
            hit = np.flatnonzero(sum(total.values()))
            low, high = (int(hit[0]), int(hit[-1]) + 1) if len(hit) else (0, 1)
            past = {
                name: values[:begun, low:high].astype(np.int64) for name, values in counts.items()
            }
            windows = LatencyWindows(start_s, window_s, edges_s[low : high + 1], past)
        return RequestStatistics(
            start_s=start_s,
            bin_s=self.settings.bin_s,
            arrivals=state.arrivals[:bins],
            late=state.late[:bins],
            refused=state.refused[:bins],
            spilled=state.spilled[:bins],
            latency_edges_s=edges_s,
            latency_counts=total,
            latency_sum_s=float(state.scalars[Scalar.LATENCY_SUM_S]),
            latency_max_s=float(state.scalars[Scalar.LATENCY_MAX_S]),
            lost=self.lost,
            throttled=self.function_throttles,
            latency_windows=windows,
        )


def latency_edges_s() -> NDArray[np.float64]:
    """Return the edges of the response-time histogram: 128 bins per octave."""
    per_octave = 1 << LATENCY_SUBBINS_LOG2
    octaves = np.exp2(np.arange(LATENCY_OCTAVES) + LATENCY_LOWEST_EXPONENT)
    within = 1.0 + np.arange(per_octave) / per_octave
    edges = (octaves[:, None] * within[None, :]).ravel()
    return np.append(edges, 2.0 ** (LATENCY_OCTAVES + LATENCY_LOWEST_EXPONENT))
