"""The simulated cloud: instances live and die around the request engine, and are billed."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from markopt.capacity import server_kind
from markopt.cloud.simulated.availability import ReplayedMarket, read_availability
from markopt.cloud.simulated.instance import Instance, InstanceBill
from markopt.cloud.simulated.market import Market, SpotMarket
from markopt.cloud.simulated.settings import SimulationSettings
from markopt.core import (
    ActionReport,
    Actions,
    FunctionOffer,
    InstanceState,
    Ledger,
    Observation,
    Offer,
    PurchaseOption,
    RequestSink,
    RequestStatistics,
    Service,
)
from markopt.engine import Bouncer, EngineSettings, FunctionKind, RequestEngine
from markopt.errors import BackendError, ConfigError
from markopt.workload.protocol import ArrivalProcess

_LIVE = (InstanceState.PENDING, InstanceState.BOOTING, InstanceState.READY, InstanceState.DRAINING)


class SimulatedCloud:
    """A ``Backend`` that serves every request of a workload in simulated time.

    The controller decides at times that it chooses; between them events (boots, notices,
    interruptions, ends of draining) happen at their own times. At equal times requests that arrive
    earlier come first, then events in the order in which they were scheduled, then requests.

    Args:
        settings: rules and random processes.
        service: whose ``RT_max`` the bouncer guards.
        offers: what can be launched.
        function: where spilled requests go, or None.
        arrivals: the requests, from ``start_s`` on.
        start_s: begin of the simulated span.
        end_s: its end; time cannot be advanced beyond it.
        seed: source of all randomness, in streams of their own.
        arrival_rng: generator of the arrivals; by default ``arrival_generator(seed)``.
        initial_fleet: instances per offer that are ready at ``start_s``.
        record_requests: keep each request's response time and path.
        request_sink: is given arrival, response time and path of the requests, in order, as they
            end, in place of keeping them.
    """

    def __init__(
        self,
        settings: SimulationSettings,
        *,
        service: Service,
        offers: Sequence[Offer],
        function: FunctionOffer | None,
        arrivals: ArrivalProcess,
        start_s: float,
        end_s: float,
        seed: np.random.SeedSequence,
        arrival_rng: np.random.Generator | None = None,
        initial_fleet: Mapping[str, int] | None = None,
        record_requests: bool = False,
        request_sink: RequestSink | None = None,
    ) -> None:
        service_seed, launch_seed, spot_seed = (_stream(seed, at) for at in (1, 2, 3))
        self._settings = settings
        self._service = service
        self._offers = {offer.name: offer for offer in offers}
        self._kind = {offer.name: row for row, offer in enumerate(offers)}
        self._function = function
        self._now_s = self._start_s = start_s
        self._end_s = end_s
        self._engine = RequestEngine(
            EngineSettings(
                rt_max_s=service.slo.rt_max_s,
                dispatcher=settings.dispatch_rule,
                bouncer=settings.bouncer_rule,
                bouncer_queue_length=settings.bouncer_queue_length,
                queue_limit_s=settings.queue_limit_s,
                bin_s=settings.bin_s,
                latency_window_s=settings.latency_window_s,
                record_requests=record_requests or request_sink is not None,
            ),
            [server_kind(offer) for offer in offers],
            _function_kind(function),
            start_s=start_s,
            end_s=end_s,
            seed=int(service_seed.generate_state(1)[0]),
        )
        self._launch_rng = np.random.default_rng(launch_seed)
        self._market = spot_market(offers, settings, start_s=start_s, end_s=end_s, seed=spot_seed)
        self._source = _ArrivalBuffer(
            arrivals, arrival_rng or arrival_generator(seed), start_s, settings.arrival_block_s
        )
        self._bill = InstanceBill(offers)
        self._instances: dict[str, Instance] = {}
        self._ids = count(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._event_order = count()
        self._reports: dict[str, ActionReport] = {}
        self._observed_bins = 0
        self._request_sink = request_sink
        self._unsunk: list[NDArray[np.float64]] = []
        self._warm_since_s = start_s
        self._warm_usd = 0.0
        self._launches = 0
        self._interruptions = 0
        for pool in self._market.pools:
            self._schedule_shock(pool, start_s)
        for name, number in (initial_fleet or {}).items():
            for _ in range(number):
                self._start_instance(self._offer(name), ready_at_once=True)

    # --- Backend protocol ---

    def observe(self) -> Observation:
        """Return instances now, and counts of the bins that ended since the last observation."""
        bin_s = self._settings.bin_s
        ended = math.floor((self._now_s - self._start_s) / bin_s + 1e-9)
        counts = self._engine.counts(self._observed_bins, ended)
        self._observed_bins = ended
        return Observation(
            time_s=self._now_s,
            instances=tuple(instance.status(self._now_s) for instance in self._instances.values()),
            bin_s=bin_s,
            warm_functions=self._engine.provisioned_functions,
            bill_usd=math.fsum(self._cost_usd().values()),
            **counts,
        )

    def apply(self, actions: Actions) -> ActionReport:
        """Launch, drain and warm up as told; the same ``decision_id`` again changes nothing.

        Raises:
            ConfigError: an offer is not on sale, or a count is negative; nothing is carried out.
        """
        if actions.decision_id in self._reports:
            return self._reports[actions.decision_id]
        self._check(actions)
        refused: list[str] = []
        launched = {
            name: tuple(self._launch(self._offer(name), number, refused))
            for name, number in actions.launch.items()
            if number > 0
        }
        terminated = tuple(i for i in actions.terminate if self._terminate(i, refused))
        if actions.warm_functions is not None:
            self._set_warm(actions.warm_functions, refused)
        report = ActionReport(actions.decision_id, launched, terminated, tuple(refused))
        self._reports[actions.decision_id] = report
        return report

    def advance(self, until_s: float) -> None:
        """Serve all requests and carry out all events before ``until_s``.

        Raises:
            BackendError: ``until_s`` lies in the past or beyond the simulated span.
        """
        if until_s < self._now_s or until_s > self._end_s + 1e-6:
            raise BackendError(
                f"SimulatedCloud: can advance to {self._now_s} .. {self._end_s} s, got {until_s} s"
            )
        while self._events and self._events[0][0] <= until_s:
            time_s, _, act = heapq.heappop(self._events)
            self._serve_until(time_s)
            act()
        self._serve_until(until_s)
        self._engine.advance(until_s)
        self._sink_requests()

    def close(self) -> Ledger:
        """End all instances now, answer what still waits, and return the bill."""
        for instance in list(self._instances.values()):
            self._end(instance, InstanceState.TERMINATED)
        self._engine.finish()
        self._sink_requests()
        self._set_warm(0, [])
        return Ledger(
            cost_usd=self._cost_usd(),
            billed_s=self._bill.billed_s(self._now_s),
            launches=self._launches,
            interruptions=self._interruptions,
        )

    # --- what a simulation knows beyond that ---

    def statistics(self) -> RequestStatistics:
        """Return what happened to the requests so far."""
        return self._engine.statistics(self._now_s)

    def request_results(self) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Return response time and path by request (see ``RequestEngine.request_results``)."""
        return self._engine.request_results()

    # --- life cycles ---

    def _offer(self, name: str) -> Offer:
        if name not in self._offers:
            raise ConfigError(
                f"SimulatedCloud: offer '{name}' is not on sale; offers: {sorted(self._offers)}"
            )
        return self._offers[name]

    def _check(self, actions: Actions) -> None:
        for name, number in actions.launch.items():
            self._offer(name)
            if number < 0:
                raise ConfigError(
                    f"Actions '{actions.decision_id}': launch of '{name}' must not be negative, "
                    f"got {number}"
                )
        if actions.warm_functions is not None and actions.warm_functions < 0:
            raise ConfigError(
                f"Actions '{actions.decision_id}': warm_functions must not be negative, got "
                f"{actions.warm_functions}"
            )

    def _launch(self, offer: Offer, number: int, refused: list[str]) -> list[str]:
        launched: list[str] = []
        live = sum(instance.offer.name == offer.name for instance in self._instances.values())
        staying = sum(not instance.notice for instance in self._spot_instances(offer.pool))
        for _ in range(number):
            if offer.stock is not None and live + len(launched) >= offer.stock:
                refused.append(f"launch {offer.name}: stock of {offer.stock} is used up")
            elif not self._market.available(offer, self._now_s, staying + len(launched)):
                refused.append(f"launch {offer.name}: insufficient capacity in pool {offer.pool}")
            else:
                launched.append(self._start_instance(offer).instance_id)
                self._launches += 1
        return launched

    def _start_instance(self, offer: Offer, *, ready_at_once: bool = False) -> Instance:
        now_s = self._now_s
        delay_s = 0.0 if ready_at_once else self._draw_delay_s(offer)
        pending_s = min(0.0 if ready_at_once else self._settings.pending_s, delay_s)
        instance = Instance(
            instance_id=f"i-{next(self._ids):06d}",
            offer=offer,
            launched_s=now_s,
            billed_from_s=now_s + pending_s,
            ready_s=now_s + delay_s,
            state=InstanceState.PENDING if pending_s > 0.0 else InstanceState.BOOTING,
        )
        self._instances[instance.instance_id] = instance
        if pending_s > 0.0:
            self._schedule(now_s + pending_s, lambda: self._boot(instance))
        else:
            self._bill.start(instance)
        if ready_at_once:
            self._become_ready(instance)
        else:
            self._schedule(instance.ready_s, lambda: self._become_ready(instance))
        interrupted_s = self._market.own_interruption_s(offer, now_s)
        self._schedule(interrupted_s, lambda: self._give_notice(instance))
        return instance

    def _draw_delay_s(self, offer: Offer) -> float:
        cv = self._settings.launch_delay_cv
        if cv == 0.0:
            return offer.launch_delay_s
        variance = math.log1p(cv * cv)
        normal = float(self._launch_rng.standard_normal())
        return offer.launch_delay_s * math.exp(math.sqrt(variance) * normal - 0.5 * variance)

    def _boot(self, instance: Instance) -> None:
        if instance.state is InstanceState.PENDING:
            instance.state = InstanceState.BOOTING
            self._bill.start(instance)

    def _become_ready(self, instance: Instance) -> None:
        if instance.state not in (InstanceState.PENDING, InstanceState.BOOTING):
            return
        instance.state = InstanceState.READY
        kind = self._kind[instance.offer.name]
        for _ in range(instance.offer.servers):
            server = self._engine.add_server(kind, self._now_s)
            self._engine.take_server_at(server, instance.taken_s)
            instance.servers.append(server)

    def _terminate(self, instance_id: str, refused: list[str]) -> bool:
        instance = self._instances.get(instance_id)
        if instance is None:
            refused.append(f"terminate {instance_id}: no such instance")
            return False
        if instance.state is InstanceState.DRAINING:
            return True
        if instance.state is InstanceState.READY:
            ends_s = max(self._drain(instance), self._now_s)
            instance.state = InstanceState.DRAINING
            self._schedule(ends_s, lambda: self._end(instance, InstanceState.TERMINATED))
        else:
            self._end(instance, InstanceState.TERMINATED)
        return True

    def _drain(self, instance: Instance) -> float:
        """Take an instance out of service; return when its last request is answered."""
        ends_s = -math.inf
        for server in instance.servers:
            ends_s = max(ends_s, self._engine.remove_server(server))
        instance.servers.clear()
        return ends_s

    def _end(self, instance: Instance, state: InstanceState) -> None:
        if instance.state not in _LIVE:
            return
        self._drain(instance)
        instance.state = state
        self._bill.end(instance, self._now_s)
        del self._instances[instance.instance_id]

    # --- spot ---

    def _schedule_shock(self, pool: str, after_s: float) -> None:
        self._schedule(self._market.next_shock_s(pool, after_s), lambda: self._shock(pool))

    def _spot_instances(self, pool: str) -> list[Instance]:
        return [
            instance
            for instance in self._instances.values()
            if instance.offer.pool == pool and instance.offer.purchase is PurchaseOption.SPOT
        ]

    def _shock(self, pool: str) -> None:
        exposed = self._spot_instances(pool)
        noticed = np.array([instance.notice for instance in exposed], dtype=np.bool_)
        taken = self._market.strike(pool, noticed, self._now_s)
        for instance, hit in zip(exposed, taken, strict=True):
            if hit:
                self._give_notice(instance)
        self._schedule_shock(pool, self._now_s)

    def _give_notice(self, instance: Instance) -> None:
        """Announce an interruption: the instance serves on, drains in time, and is taken."""
        if instance.notice or instance.state not in _LIVE:
            return
        instance.notice = True
        self._interruptions += 1
        taken_s = self._now_s + self._settings.spot_notice_s
        longest_s = (
            2.0 * self._service.slo.rt_max_s
            if self._settings.bouncer_rule is not Bouncer.NONE
            else self._settings.queue_limit_s + 2.0 * self._service.slo.rt_max_s
        )
        instance.taken_s = taken_s
        for server in instance.servers:
            self._engine.take_server_at(server, taken_s)
        self._schedule(max(taken_s - longest_s, self._now_s), lambda: self._leave(instance))
        self._schedule(taken_s, lambda: self._end(instance, InstanceState.INTERRUPTED))

    def _leave(self, instance: Instance) -> None:
        """Take a noticed instance out of service early enough to answer all that it holds.

        One that still boots does not enter service any more.
        """
        if instance.state in _LIVE:
            self._drain(instance)
            instance.state = InstanceState.DRAINING

    # --- time and money ---

    def _sink_requests(self) -> None:
        """Hand on the requests that have ended, up to the first that has not."""
        if self._request_sink is None:
            return
        response_s, path = self._engine.take_request_results()
        arrivals_s = np.concatenate([*self._unsunk, np.empty(0)])
        self._unsunk = [arrivals_s[len(path) :]]
        if len(path):
            self._request_sink(arrivals_s[: len(path)], response_s, path)

    def _schedule(self, time_s: float, act: Callable[[], None]) -> None:
        if time_s <= self._end_s:
            heapq.heappush(self._events, (time_s, next(self._event_order), act))

    def _serve_until(self, until_s: float) -> None:
        for block in self._source.until(until_s):
            self._engine.serve(block)
            if self._request_sink is not None:
                self._unsunk.append(block)
        self._now_s = max(self._now_s, until_s)

    def _set_warm(self, number: int, refused: list[str]) -> None:
        if self._function is None:
            if number > 0:
                refused.append(f"warm {number} functions: no function is on offer")
            return
        kept = self._engine.provisioned_functions
        elapsed_s = self._now_s - self._warm_since_s
        self._warm_usd += kept * elapsed_s * self._function.warm_price_usd_per_s
        self._warm_since_s = self._now_s
        self._engine.set_provisioned_functions(number, self._now_s)

    def _cost_usd(self) -> dict[str, float]:
        cost = self._bill.cost_usd(self._now_s)
        function = self._function
        if function is not None:
            cost["lambda"] = (
                self._engine.function_invocations * function.price_usd_per_invocation
                + self._engine.function_billed_s * function.memory_gb * function.price_usd_per_gb_s
            )
            open_s = self._now_s - self._warm_since_s
            kept = self._engine.provisioned_functions
            cost["warm"] = self._warm_usd + kept * open_s * function.warm_price_usd_per_s
        return cost


def spot_market(
    offers: Sequence[Offer],
    settings: SimulationSettings,
    *,
    start_s: float,
    end_s: float,
    seed: np.random.SeedSequence,
) -> Market:
    """Return the market that the settings ask for: drawn from hazards, or a recorded capacity.

    Raises:
        ConfigError: a trace is not in the file, or too short.
        DataError: the file cannot be read.
    """
    path = settings.spot_availability
    if path is None:
        return SpotMarket(offers, settings, start_s=start_s, seed=seed)
    traces = read_availability(path)
    for name in settings.spot_availability_traces or ():
        if name not in traces:
            raise ConfigError(
                f"cloud.spot_availability_traces: {path} has no trace '{name}'; it has "
                f"{len(traces)}, the first is '{next(iter(traces))}'"
            )
    return ReplayedMarket(
        offers,
        [traces[name] for name in settings.spot_availability_traces or traces],
        start_s=start_s,
        end_s=end_s,
        offset_s=settings.spot_availability_offset_s,
        scale=settings.spot_availability_scale,
        seed=seed,
    )


def _stream(seed: np.random.SeedSequence, at: int) -> np.random.SeedSequence:
    """Return a child of ``seed`` without changing it, so that it can be derived again."""
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, at))


def arrival_generator(seed: np.random.SeedSequence) -> np.random.Generator:
    """Return the generator from which a cloud of this seed draws its arrivals."""
    return np.random.default_rng(_stream(seed, 0))


def _function_kind(function: FunctionOffer | None) -> FunctionKind | None:
    if function is None:
        return None
    return FunctionKind(
        service_time_s=function.service_time_s,
        cold_start_s=function.cold_start_s,
        idle_timeout_s=function.idle_timeout_s,
        concurrency_limit=function.concurrency_limit,
        burst=math.inf if function.burst is None else function.burst,
        burst_per_s=function.burst_per_s,
        billing_step_s=function.billing_step_s,
        service_time_cv=function.service_time_cv,
    )


class _ArrivalBuffer:
    """Draws arrivals in blocks of fixed length, however time is advanced."""

    def __init__(
        self,
        process: ArrivalProcess,
        rng: np.random.Generator,
        start_s: float,
        block_s: float,
    ) -> None:
        self._process = process
        self._rng = rng
        self._start_s = start_s
        self._block_s = block_s
        self._drawn = 0
        self._waiting: NDArray[np.float64] = np.empty(0)

    def until(self, until_s: float) -> list[NDArray[np.float64]]:
        """Return all arrivals before ``until_s`` that were not returned yet, in blocks."""
        blocks: list[NDArray[np.float64]] = []
        while True:
            split = int(np.searchsorted(self._waiting, until_s, side="left"))
            if split:
                blocks.append(self._waiting[:split])
                self._waiting = self._waiting[split:]
            if len(self._waiting) or self._start_s + self._drawn * self._block_s >= until_s:
                return blocks
            first_s = self._start_s + self._drawn * self._block_s
            self._drawn += 1
            last_s = self._start_s + self._drawn * self._block_s
            self._waiting = self._process.arrivals(first_s, last_s, self._rng)
