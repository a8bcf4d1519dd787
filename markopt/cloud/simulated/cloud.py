"""The simulated cloud: instances live and die around the request engine, and are billed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from markopt.capacity import server_kind
from markopt.cloud.simulated.api import Api
from markopt.cloud.simulated.arrivals import ArrivalBuffer, arrival_generator, stream
from markopt.cloud.simulated.boot import LaunchDraws
from markopt.cloud.simulated.clock import Clock
from markopt.cloud.simulated.fleet import Fleet, LaunchOutcome
from markopt.cloud.simulated.life import InstanceLife
from markopt.cloud.simulated.markets import Market, PricePath
from markopt.cloud.simulated.settings import SimulationSettings
from markopt.cloud.simulated.shortage import Shortages
from markopt.core import (
    ActionReport,
    Actions,
    FunctionOffer,
    Ledger,
    Observation,
    Offer,
    RequestSink,
    RequestStatistics,
    Service,
)
from markopt.engine import Bouncer, EngineSettings, FunctionKind, RequestEngine
from markopt.errors import BackendError, ConfigError
from markopt.workload.protocol import ArrivalProcess


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
        service_seed, launch_seed, api_seed, shortage_seed = (
            stream(seed, at) for at in (1, 2, 4, 5)
        )
        self._settings = settings
        self._offers = {offer.name: offer for offer in offers}
        self._function = function
        self._start_s = start_s
        self._clock = Clock(start_s, end_s)
        self._engine = RequestEngine(
            EngineSettings(
                rt_max_s=service.slo.rt_max_s,
                dispatcher=settings.dispatch_rule,
                bouncer=settings.bouncer_rule,
                bouncer_queue_length=settings.bouncer_queue_length,
                overflows=settings.data_plane == "bouncer",
                queue_limit_s=settings.queue_limit_s,
                bin_s=settings.bin_s,
                latency_window_s=settings.latency_window_s,
                record_requests=record_requests or request_sink is not None,
                revocable=True,
            ),
            [server_kind(offer) for offer in offers],
            _function_kind(function),
            start_s=start_s,
            end_s=end_s,
            seed=int(service_seed.generate_state(1)[0]),
        )
        self._market = market_of(settings, offers, start_s=start_s, end_s=end_s, seed=seed)
        self._moving_price = [
            offer for offer in offers if self._market.price_usd_per_s(offer, start_s) is not None
        ]
        rt_max_s = service.slo.rt_max_s
        queue_s = settings.queue_limit_s if settings.bouncer_rule is Bouncer.NONE else 0.0
        self._fleet = Fleet(
            settings,
            offers=offers,
            engine=self._engine,
            market=self._market,
            shortages=Shortages(settings.shortage, start_s=start_s, seed=shortage_seed),
            launches=LaunchDraws(settings.launch, launch_seed),
            clock=self._clock,
            longest_answer_s=queue_s + 2.0 * rt_max_s,
        )
        self._source = ArrivalBuffer(
            arrivals, arrival_rng or arrival_generator(seed), start_s, settings.arrival_block_s
        )
        self._api = Api(settings.api, start_s=start_s, seed=api_seed)
        self._reports: dict[str, ActionReport] = {}
        self._observed_bins = 0
        self._request_sink = request_sink
        self._unsunk: list[NDArray[np.float64]] = []
        self._warm_since_s = start_s
        self._warm_usd = 0.0
        for name, number in (initial_fleet or {}).items():
            for _ in range(number):
                self._fleet.add_ready(self._offer(name))

    # --- Backend protocol ---

    def observe(self) -> Observation:
        """Return instances now, and counts of the bins that ended since the last observation.

        Launches and ends may be shown late (``cloud.api.visible_after_s``).
        """
        bin_s = self._settings.bin_s
        ended = math.floor((self._clock.now_s - self._start_s) / bin_s + 1e-9)
        counts = self._engine.counts(self._observed_bins, ended)
        self._observed_bins = ended
        return Observation(
            time_s=self._clock.now_s,
            instances=self._api.shown(self._fleet.statuses(), self._clock.now_s),
            bin_s=bin_s,
            warm_functions=self._engine.provisioned_functions,
            bill_usd=math.fsum(self._cost_usd().values()),
            spot_price_usd_per_s=self._spot_prices(),
            **counts,
        )

    def apply(self, actions: Actions) -> ActionReport:
        """Launch, drain and warm up as told; the same ``decision_id`` again changes nothing.

        What is refused (throttled calls, errors of the API, insufficient capacity) is reported with
        its reason, and not tried again: that is for the next decision.

        Raises:
            ConfigError: an offer is not on sale, or a count is negative; nothing is carried out.
        """
        if actions.decision_id in self._reports:
            return self._reports[actions.decision_id]
        self._check(actions)
        refused: list[str] = []
        launched: dict[str, tuple[str, ...]] = {}
        insufficient: list[str] = []
        for name, number in actions.launch.items():
            if number > 0:
                outcome = self._launch(self._offer(name), number)
                launched[name] = tuple(outcome.ids)
                refused += outcome.refused
                insufficient += [name] * outcome.insufficient
        terminated = self._terminate(actions.terminate, refused)
        if actions.warm_functions is not None:
            self._set_warm(actions.warm_functions, refused)
        if actions.function_share is not None:
            self._engine.set_function_share(actions.function_share)
        report = ActionReport(
            actions.decision_id, launched, terminated, tuple(refused), tuple(insufficient)
        )
        self._reports[actions.decision_id] = report
        return report

    def advance(self, until_s: float) -> None:
        """Serve all requests and carry out all events before ``until_s``.

        Raises:
            BackendError: ``until_s`` lies in the past or beyond the simulated span.
        """
        clock = self._clock
        if until_s < clock.now_s or until_s > clock.end_s + 1e-6:
            raise BackendError(
                f"SimulatedCloud: can advance to {clock.now_s} .. {clock.end_s} s, got {until_s} s"
            )
        while (event := self._clock.next_event(until_s)) is not None:
            time_s, act = event
            self._serve_until(time_s)
            act()
        self._serve_until(until_s)
        self._engine.advance(until_s)
        self._sink_requests()

    def close(self) -> Ledger:
        """End all instances now, answer what still waits, and return the bill."""
        self._fleet.end_all()
        self._api.show_all()
        self._engine.finish()
        self._sink_requests()
        self._set_warm(0, [])
        return Ledger(
            cost_usd=self._cost_usd(),
            billed_s=self._fleet.bill.billed_s(self._clock.now_s),
            launches=self._fleet.launches,
            interruptions=self._fleet.interruptions,
        )

    # --- what a simulation knows beyond that ---

    def price_history(self, offer: str) -> PricePath | None:
        """Return an offer's market price from the record's begin up to now; None: it is constant.

        Raises:
            ConfigError: the offer is not on sale.
        """
        return self._market.price_history(self._offer(offer), self._clock.now_s)

    def statistics(self) -> RequestStatistics:
        """Return what happened to the requests so far."""
        return self._engine.statistics(self._clock.now_s)

    def request_results(self) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Return response time and path by request (see ``RequestEngine.request_results``)."""
        return self._engine.request_results()

    def lives(self) -> tuple[InstanceLife, ...]:
        """Return what became of every instance so far, in the order of the launches."""
        return self._fleet.lives.all()

    @property
    def in_flight(self) -> int:
        """Requests that are neither answered, nor lost, nor refused."""
        return self._engine.in_flight

    # --- actions ---

    def _launch(self, offer: Offer, number: int) -> LaunchOutcome:
        now_s = self._clock.now_s
        accepted, reason = self._api.launch(number, now_s)
        outcome = self._fleet.launch(offer, accepted)
        visible_s = now_s + self._api.lateness_s()
        for instance_id in outcome.ids:
            self._api.launched(instance_id, visible_s, now_s)
        throttled = [f"launch {offer.name}: {reason}"] * (number - accepted)
        return outcome._replace(refused=outcome.refused + throttled)

    def _terminate(self, ids: Sequence[str], refused: list[str]) -> tuple[str, ...]:
        if not ids:
            return ()
        now_s = self._clock.now_s
        accepted, throttled = self._api.terminate(len(ids), now_s)
        visible_s = now_s + self._api.lateness_s()
        terminated: list[str] = []
        for instance_id in ids[:accepted]:
            before = self._fleet.status(instance_id)
            reason = self._fleet.terminate(instance_id)
            if reason is None and before is not None:
                self._api.ended(before, visible_s, now_s)
            # To end again what has ended, and is still shown, changes nothing and is no error.
            if reason is None or self._api.still_shows(instance_id, now_s):
                terminated.append(instance_id)
            else:
                refused.append(reason)
        refused += [f"terminate {instance_id}: {throttled}" for instance_id in ids[accepted:]]
        return tuple(terminated)

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
        share = actions.function_share
        if share is not None and not (
            self._settings.data_plane == "weighted" and 0.0 <= share <= 1.0
        ):
            raise ConfigError(
                f"Actions '{actions.decision_id}': function_share must lie in [0, 1] and goes with "
                f"data_plane=weighted, got {share} with data_plane={self._settings.data_plane}"
            )
        if actions.warm_functions is not None and actions.warm_functions < 0:
            raise ConfigError(
                f"Actions '{actions.decision_id}': warm_functions must not be negative, got "
                f"{actions.warm_functions}"
            )

    # --- time and money ---

    def _spot_prices(self) -> dict[str, float]:
        now_s = self._clock.now_s
        prices = {o.name: self._market.price_usd_per_s(o, now_s) for o in self._moving_price}
        return {name: price for name, price in prices.items() if price is not None}

    def _sink_requests(self) -> None:
        """Hand on the requests that have ended, up to the first that has not."""
        if self._request_sink is None:
            return
        response_s, path = self._engine.take_request_results()
        arrivals_s = np.concatenate([*self._unsunk, np.empty(0)])
        self._unsunk = [arrivals_s[len(path) :]]
        if len(path):
            self._request_sink(arrivals_s[: len(path)], response_s, path)

    def _serve_until(self, until_s: float) -> None:
        for block in self._source.until(until_s):
            self._engine.serve(block)
            if self._request_sink is not None:
                self._unsunk.append(block)
        self._clock.now_s = max(self._clock.now_s, until_s)

    def _set_warm(self, number: int, refused: list[str]) -> None:
        if self._function is None:
            if number > 0:
                refused.append(f"warm {number} functions: no function is on offer")
            return
        kept = self._engine.provisioned_functions
        elapsed_s = self._clock.now_s - self._warm_since_s
        self._warm_usd += kept * elapsed_s * self._function.warm_price_usd_per_s
        self._warm_since_s = self._clock.now_s
        self._engine.set_provisioned_functions(number, self._clock.now_s)

    def _cost_usd(self) -> dict[str, float]:
        cost = self._fleet.bill.cost_usd(self._clock.now_s)
        function = self._function
        if function is not None:
            provisioned_s = self._engine.provisioned_billed_s
            ordinary_s = self._engine.function_billed_s - provisioned_s
            cost["lambda"] = (
                self._engine.function_invocations * function.price_usd_per_invocation
                + ordinary_s * function.memory_gb * function.price_usd_per_gb_s
                + provisioned_s * function.memory_gb * function.provisioned_price_usd_per_gb_s
            )
            open_s = self._clock.now_s - self._warm_since_s
            kept = self._engine.provisioned_functions
            cost["warm"] = self._warm_usd + kept * open_s * function.warm_price_usd_per_s
        return cost


def market_of(
    settings: SimulationSettings,
    offers: Sequence[Offer],
    *,
    start_s: float,
    end_s: float,
    seed: np.random.SeedSequence,
) -> Market:
    """Return the spot market of a cloud with this seed.

    Raises:
        ConfigError: the market's settings do not fit the offers or the span.
        DataError: a file that they name cannot be read.
    """
    return settings.market.build(offers, start_s=start_s, end_s=end_s, seed=stream(seed, 3))


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
