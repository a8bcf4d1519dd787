"""A small deterministic cloud, forecaster and planners, in place of the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from markopt.core import (
    ActionReport,
    Actions,
    Batching,
    Forecast,
    InstanceState,
    InstanceStatus,
    Ledger,
    Observation,
    Offer,
    Plan,
    Problem,
    PurchaseOption,
    RateSeries,
    RequiredThroughput,
    Service,
    Slo,
    ThroughputCurve,
)
from markopt.errors import SolverFailed

NOTICE_S = 120.0


def make_offer(
    name: str,
    *,
    saturation_rps: float = 10.0,
    price_usd_per_s: float = 1e-4,
    launch_delay_s: float = 100.0,
    minimum_billed_s: float = 60.0,
    purchase: PurchaseOption = PurchaseOption.ON_DEMAND,
    vcpus: float = 2.0,
    stock: int | None = None,
) -> Offer:
    return Offer(
        name=name,
        instance_type=name.split("/", maxsplit=1)[0],
        purchase=purchase,
        pool=name,
        vcpus=vcpus,
        price_usd_per_s=price_usd_per_s,
        saturation_rps=saturation_rps,
        batching=Batching(),
        service_times_s=(1.0 / saturation_rps,),
        launch_delay_s=launch_delay_s,
        minimum_billed_s=minimum_billed_s,
        stock=stock,
    )


SERVICE = Service("toy", Slo(0.5, 0.98, window_s=600.0))


def curves(offers: Sequence[Offer]) -> RequiredThroughput:
    knots = ThroughputCurve(np.array([0.0, 100.0]), np.array([0.0, 125.0]))
    return RequiredThroughput({offer.instance_type: knots for offer in offers})


def make_plan(targets: dict[str, int], *, warm: int = 0, horizon: int = 2) -> Plan:
    counts = np.array(list(targets.values()), dtype=np.int64).reshape(-1, 1)
    return Plan(
        planner="fixed",
        time_s=0.0,
        offers=tuple(targets),
        targets=np.repeat(counts, horizon, axis=1),
        warm_functions=np.full(horizon, warm),
        rung="rule",
        reason="as told",
    )


class FakeBackend:
    """Instances boot for their offer's delay and end at once; arrivals are counts per 5 s bin.

    ``late`` are violations per bin. ``silent`` spans deliver no bins, and their counts are lost.
    """

    bin_s = 5.0

    def __init__(
        self,
        offers: Sequence[Offer],
        *,
        start_s: float = 0.0,
        arrivals: Sequence[int] = (),
        late: Sequence[int] = (),
        silent: Sequence[tuple[float, float]] = (),
        refuse: Sequence[str] = (),
        calls: list[str] | None = None,
    ) -> None:
        self.offers = {offer.name: offer for offer in offers}
        self.start_s = self.now_s = start_s
        self.arrivals, self.late = list(arrivals), list(late)
        self.silent, self.refuse = silent, refuse
        self.calls = [] if calls is None else calls
        self.instances: dict[str, list[float | str | None]] = {}
        self.warm = 0
        self.launches = 0
        self.applied: list[Actions] = []
        self._reports: dict[str, ActionReport] = {}
        self._bins_seen = 0

    def add(self, offer: str, *, age_s: float = 1000.0, notice_end_s: float | None = None) -> str:
        self.launches += 1
        name = f"i-{self.launches:04d}"
        self.instances[name] = [offer, self.now_s - age_s, notice_end_s]
        return name

    def observe(self) -> Observation:
        self.calls.append(f"observe {self.now_s:g}")
        ended = int((self.now_s - self.start_s) / self.bin_s + 1e-9)
        bins = range(self._bins_seen, ended)
        self._bins_seen = ended
        if any(low < self.now_s <= high for low, high in self.silent):
            bins = range(0)
        counts = [self.arrivals[i] if i < len(self.arrivals) else 0 for i in bins]
        late = [self.late[i] if i < len(self.late) else 0 for i in bins]
        none = np.zeros(len(counts), dtype=np.int64)
        return Observation(
            self.now_s,
            tuple(self._status(name) for name in self.instances),
            self.bin_s,
            np.array(counts, dtype=np.int64),
            np.array(late, dtype=np.int64),
            none,
            none,
            warm_functions=self.warm,
            bill_usd=self.now_s - self.start_s,
        )

    def _status(self, name: str) -> InstanceStatus:
        offer, launched_s, notice_end_s = self.instances[name]
        age_s = self.now_s - launched_s
        rest_s = max(self.offers[offer].launch_delay_s - age_s, 0.0)
        state = InstanceState.BOOTING if rest_s > 0.0 else InstanceState.READY
        return InstanceStatus(name, offer, state, age_s, rest_s, notice_end_s is not None)

    def apply(self, actions: Actions) -> ActionReport:
        self.calls.append(f"apply {actions.decision_id}")
        if actions.decision_id in self._reports:
            return self._reports[actions.decision_id]
        self.applied.append(actions)
        launched = {
            offer: tuple(self.add(offer, age_s=0.0) for _ in range(count))
            for offer, count in actions.launch.items()
            if offer not in self.refuse
        }
        for name in actions.terminate:
            del self.instances[name]
        if actions.warm_functions is not None:
            self.warm = actions.warm_functions
        refused = tuple(f"{o}: no stock" for o in actions.launch if o in self.refuse)
        report = ActionReport(actions.decision_id, launched, actions.terminate, refused)
        self._reports[actions.decision_id] = report
        return report

    def advance(self, until_s: float) -> None:
        self.calls.append(f"advance {until_s:g}")
        assert until_s >= self.now_s
        self.now_s = until_s
        for name, (_, _, notice_end_s) in list(self.instances.items()):
            if notice_end_s is not None and notice_end_s <= self.now_s:
                del self.instances[name]

    def close(self) -> Ledger:
        return Ledger({}, {}, self.launches, 0)


class LastValue:
    """Forecasts the last observed rate, plus and minus a tenth; remembers what it was told."""

    def __init__(self, calls: list[str] | None = None) -> None:
        self.calls = [] if calls is None else calls
        self.updates: list[RateSeries] = []

    def fit(self, history: RateSeries) -> Self:
        self._end_s, self._interval_s = history.end_s, history.interval_s
        self._rate_rps = float(history.rate_rps[-1])
        return self

    def update(self, observed: RateSeries) -> None:
        self.calls.append(f"update {observed.start_s:g}")
        assert observed.start_s == self._end_s
        self.updates.append(observed)
        self._end_s = observed.end_s
        if not np.isnan(observed.rate_rps[-1]):
            self._rate_rps = float(observed.rate_rps[-1])

    def forecast(self, horizon: int, samples: int, rng: np.random.Generator) -> Forecast:
        self.calls.append(f"forecast {self._end_s:g}")
        factors = rng.uniform(0.9, 1.1, size=(samples, horizon))
        return Forecast.equally_likely(self._end_s, self._interval_s, self._rate_rps * factors)


class Scripted:
    """Plans what a function of the problem says; raises SolverFailed where it gives None."""

    def __init__(
        self,
        rule: Callable[[Problem], dict[str, int] | None],
        *,
        warm: int = 0,
        calls: list[str] | None = None,
    ) -> None:
        self.rule, self.warm = rule, warm
        self.calls = [] if calls is None else calls
        self.problems: list[Problem] = []

    def plan(self, problem: Problem) -> Plan:
        self.calls.append(f"plan {problem.time_s:g}")
        self.problems.append(problem)
        targets = self.rule(problem)
        if targets is None:
            raise SolverFailed("solver: time limit without an incumbent")
        return make_plan(targets, warm=self.warm, horizon=problem.horizon)
