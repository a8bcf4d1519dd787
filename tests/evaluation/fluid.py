"""A fluid cloud, which serves up to the saturation rate, and a whole toy comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from markopt.control import ControllerSettings
from markopt.core import (
    ActionReport,
    Actions,
    FleetState,
    Forecast,
    FunctionOffer,
    InstanceState,
    InstanceStatus,
    Ledger,
    Observation,
    Offer,
    Plan,
    Problem,
    RateSeries,
    RequestSink,
    RequestStatistics,
    Service,
    Slo,
)
from markopt.evaluation.compare import Span
from markopt.evaluation.episode import Scene
from markopt.evaluation.folder import replace_text
from markopt.evaluation.tuning import Knob, Values
from markopt.forecasting.protocol import Forecaster
from markopt.planning.protocol import Planner
from markopt.workload.protocol import Workload
from tests.control.fake_backend import curves, make_offer

BIN_S = 5.0
SERVICE = Service("toy", Slo(0.2, 0.95, window_s=600.0))
OFFER = make_offer("toy.large/on_demand", saturation_rps=20.0, launch_delay_s=60.0)
FUNCTION = FunctionOffer(
    name="lambda/1024",
    memory_gb=1.0,
    service_time_s=0.1,
    price_usd_per_gb_s=1e-4,
    price_usd_per_invocation=1e-6,
)


class Wave:
    """A rate that swings with a period of 20 minutes; arrivals are drawn block by block."""

    def new_process(self) -> Wave:
        return self

    def rate_rps(self, at_s: float) -> float:
        return 60.0 + 30.0 * math.sin(2.0 * math.pi * at_s / 1200.0)

    def arrivals(self, start_s: float, end_s: float, rng: np.random.Generator) -> Any:
        count = rng.poisson(self.rate_rps(0.5 * (start_s + end_s)) * (end_s - start_s))
        return np.sort(rng.uniform(start_s, end_s, count))


def workload(start_s: float = 3600.0, intervals: int = 30) -> Workload:
    wave = Wave()
    history = np.array([wave.rate_rps(60.0 * k + 30.0) for k in range(round(start_s / 60.0))])
    series = RateSeries(0.0, 60.0, history)
    return Workload("wave", series, start_s, start_s + 60.0 * intervals, wave)


class FluidCloud:
    """Serves up to the ready instances' saturation rate; the rest goes to functions or is lost."""

    def __init__(
        self,
        *,
        offers: tuple[Offer, ...],
        function: FunctionOffer | None,
        load: Workload,
        seed: np.random.SeedSequence,
        initial_fleet: Mapping[str, int],
    ) -> None:
        self.offers = {offer.name: offer for offer in offers}
        self.function = function
        self.process, self.rng = load.new_arrivals(), np.random.default_rng(seed)
        self.start_s = self.now_s = load.start_s
        self.instances: dict[str, tuple[str, float]] = {}
        self.made = self.launches = 0
        for name, count in initial_fleet.items():
            for _ in range(count):
                self._add(name, self.now_s - 1e4)
        self.rows: list[tuple[int, int, int]] = []
        self.seen = 0
        self.drawn = np.empty(0)
        self.drawn_until_s = self.now_s
        self.cost = {"on_demand": 0.0, "lambda": 0.0}

    def _add(self, offer: str, launched_s: float) -> str:
        self.made += 1
        identity = f"i-{self.made}"
        self.instances[identity] = (offer, launched_s)
        return identity

    def _ready_in_s(self, identity: str) -> float:
        offer, launched_s = self.instances[identity]
        return max(launched_s + self.offers[offer].launch_delay_s - self.now_s, 0.0)

    def observe(self) -> Observation:
        rows = np.array(self.rows[self.seen :], dtype=np.int64).reshape(-1, 3)
        self.seen = len(self.rows)
        statuses = tuple(
            InstanceStatus(
                identity,
                offer,
                InstanceState.BOOTING if self._ready_in_s(identity) else InstanceState.READY,
                self.now_s - launched_s,
                self._ready_in_s(identity),
            )
            for identity, (offer, launched_s) in self.instances.items()
        )
        late = np.zeros(len(rows), dtype=np.int64)
        bill = sum(self.cost.values())
        return Observation(
            self.now_s, statuses, BIN_S, rows[:, 0], late, rows[:, 1], rows[:, 2], bill_usd=bill
        )

    def apply(self, actions: Actions) -> ActionReport:
        launched = {
            offer: tuple(self._add(offer, self.now_s) for _ in range(count))
            for offer, count in actions.launch.items()
        }
        self.launches += sum(len(ids) for ids in launched.values())
        for identity in actions.terminate:
            del self.instances[identity]
        return ActionReport(actions.decision_id, launched, actions.terminate)

    def advance(self, until_s: float) -> None:
        while self.now_s < until_s - 1e-9:
            if self.now_s >= self.drawn_until_s - 1e-9:
                self.drawn_until_s += 60.0
                self.drawn = self.process.arrivals(self.now_s, self.drawn_until_s, self.rng)
            ends_s = self.now_s + BIN_S
            arrived = int(np.sum((self.drawn >= self.now_s) & (self.drawn < ends_s)))
            ready = [i for i in self.instances if not self._ready_in_s(i)]
            rate = sum(self.offers[self.instances[i][0]].saturation_rps for i in ready)
            excess = max(arrived - int(rate * BIN_S), 0)
            spilled = excess if self.function is not None else 0
            self.rows.append((arrived, excess - spilled, spilled))
            for offer, _ in self.instances.values():
                self.cost["on_demand"] += self.offers[offer].price_usd_per_s * BIN_S
            if self.function is not None:
                self.cost["lambda"] += spilled * self.function.price_usd_per_request
            self.now_s = ends_s

    def close(self) -> Ledger:
        return Ledger(dict(self.cost), {}, self.launches, 0)

    def statistics(self) -> RequestStatistics:
        rows = np.array(self.rows, dtype=np.int64).reshape(-1, 3)
        edges = np.geomspace(0.01, 1.0, 462)
        served = np.zeros(461, dtype=np.int64)
        served[200] = rows[:, 0].sum() - rows[:, 1].sum() - rows[:, 2].sum()
        spilled = np.zeros(461, dtype=np.int64)
        spilled[240] = rows[:, 2].sum()
        late = np.zeros(len(rows), dtype=np.int64)
        return RequestStatistics(
            self.start_s,
            BIN_S,
            rows[:, 0],
            late,
            rows[:, 1],
            rows[:, 2],
            edges,
            {"instances": served, "lambda": spilled},
            float(served.sum() * edges[200] + spilled.sum() * edges[240]),
            float(edges[241]),
        )


@dataclass(frozen=True)
class FluidClouds:
    """Makes fluid clouds."""

    def __call__(
        self,
        *,
        service: Service,
        offers: tuple[Offer, ...],
        function: FunctionOffer | None,
        workload: Workload,
        seed: np.random.SeedSequence,
        initial_fleet: Mapping[str, int],
        request_sink: RequestSink | None = None,
    ) -> FluidCloud:
        return FluidCloud(
            offers=offers,
            function=function,
            load=workload,
            seed=seed,
            initial_fleet=initial_fleet,
        )

    def realized_rates(
        self, workload: Workload, interval_s: float, seed: np.random.SeedSequence
    ) -> RateSeries:
        rng, process = np.random.default_rng(seed), workload.new_arrivals()
        count = round((workload.end_s - workload.start_s) / interval_s)
        starts = workload.start_s + interval_s * np.arange(count)
        rates = [len(process.arrivals(s, s + interval_s, rng)) / interval_s for s in starts]
        return RateSeries(workload.start_s, interval_s, np.array(rates))

    def least_offers(
        self, offers: tuple[Offer, ...], workload: Workload, seed: np.random.SeedSequence
    ) -> tuple[Offer, ...]:
        return offers

    def least_boot_s(self, offer: Offer) -> float:
        return offer.launch_delay_s


class NoisyLast:
    """Forecasts the last rate with noise drawn from the generator that it is given."""

    def __init__(self) -> None:
        self.calls = 0

    def fit(self, history: RateSeries) -> Self:
        self.series = history
        return self

    def update(self, observed: RateSeries) -> None:
        self.series = self.series.extended(observed)

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        self.calls += 1
        noise = rng.normal(1.0, 0.05, (samples, horizon))
        paths = np.maximum(self.series.rate_rps[-1] * noise, 0.0)
        return Forecast.equally_likely(self.series.end_s, self.series.interval_s, paths)


class Proportional:
    """Buys saturation throughput for the mean forecast times ``headroom``."""

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (0.5, 0.8, 1.0, 1.3, 1.8)

    def __init__(self, headroom: float = 1.2) -> None:
        self.headroom = headroom

    def plan(self, problem: Problem) -> Plan:
        names = tuple(offer.name for offer in problem.offers)
        wanted = self.headroom * problem.forecast.mean_rps() / problem.offers[0].saturation_rps
        targets = np.zeros((len(names), problem.horizon), dtype=np.int64)
        targets[0] = np.ceil(wanted)
        warm = np.zeros(problem.horizon, dtype=np.int64)
        return Plan("proportional", problem.time_s, names, targets, warm, "rule", "in proportion")


class Fixed:
    """Keeps five instances."""

    KNOB: ClassVar[str | None] = None

    def plan(self, problem: Problem) -> Plan:
        names = tuple(offer.name for offer in problem.offers)
        targets = np.zeros((len(names), problem.horizon), dtype=np.int64)
        targets[0] = 5
        warm = np.zeros(problem.horizon, dtype=np.int64)
        return Plan("fixed", problem.time_s, names, targets, warm, "rule", "always five")


class ToyParts:
    """Parts of a comparison without any configuration file."""

    def __init__(self, *, function: FunctionOffer | None = None, intervals: int = 30) -> None:
        self.function = function
        self.intervals = intervals
        self.forecasters: list[NoisyLast] = []

    def scene(self, seed: int, span: Span = "judged") -> Scene:
        start_s = 3600.0 if span == "judged" else 1800.0
        offers = (OFFER,)
        return Scene(
            service=SERVICE,
            workload=workload(start_s, self.intervals),
            offers=offers,
            function=self.function,
            required_throughput=curves(offers),
            best_saturation_rps={offer.name: offer.saturation_rps for offer in offers},
            cloud=FluidClouds(),
            settings=ControllerSettings(horizon=3, samples=10, monitor=False),
            seed=seed,
        )

    def forecaster(self) -> Forecaster:
        self.forecasters.append(NoisyLast())
        return self.forecasters[-1]

    def knobs(self, policy: str) -> tuple[Knob, ...]:
        return () if policy == "fixed" else (Knob("headroom", Proportional.KNOB_GRID),)

    def planner(self, policy: str, value: Values | None = None) -> Planner:
        return Fixed() if policy == "fixed" else Proportional(**(value or {}))

    def config(self, policy: str, seed: int, value: Values | None = None) -> dict[str, Any]:
        return {"planner": policy, "seed": seed, "value": (value or {}).get("headroom")}

    def export(self, policy: str, seed: int, value: Values | None, path: Path) -> None:
        replace_text(path, f"planner: {policy}\nseed: {seed}\n")


def small_problem() -> Problem:
    """A decision with one offer, a rising forecast and an empty fleet."""
    paths = np.array([[30.0, 40.0, 50.0, 60.0], [20.0, 30.0, 40.0, 50.0]])
    return Problem(
        time_s=0.0,
        interval_s=60.0,
        service=SERVICE,
        offers=(OFFER,),
        function=FUNCTION,
        fleet=FleetState(),
        forecast=Forecast.equally_likely(0.0, 60.0, paths),
        required_throughput=curves((OFFER,)),
        recent_rps=(20.0, 25.0),
    )
