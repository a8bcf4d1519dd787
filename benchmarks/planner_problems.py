"""Provisioning problems of any size for the planner benchmark, drawn from one seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from markopt.core import (
    Batching,
    FleetState,
    Forecast,
    FunctionOffer,
    Limits,
    Offer,
    OfferFleet,
    Problem,
    PurchaseOption,
    RequiredThroughput,
    Service,
    Slo,
    SloWindow,
    ThroughputCurve,
)

ZONES = ("a", "b", "c")
INTERVAL_S = 60.0
START_RPS = 2500.0
STEP = 0.04  # standard deviation of the load's logarithm from one interval to the next


def planner_problem(offers: int, horizon: int, scenarios: int, *, seed: int = 0) -> Problem:
    """Return a problem with launch delays, spot pools, warm functions, stock and vCPU quotas.

    Instance types come in sizes 1, 2, 4, 8; each is on offer on demand and as spot in three zones,
    until there are ``offers``. Prices and throughputs scatter as those of the catalogue do; a
    larger size is a little dearer per throughput, a smaller one pools worse.
    """
    rng = np.random.default_rng(seed)
    chosen: list[Offer] = []
    curves: dict[str, ThroughputCurve] = {}
    number = 0
    while len(chosen) < offers:
        size = int(2 ** rng.integers(0, 4))
        name = f"type{number}.{size}"
        number += 1
        mu_rps = 25.0 * size**0.97 * float(rng.uniform(0.7, 1.3))
        usd_per_h = 0.09 * size * float(rng.uniform(0.8, 1.25))
        demand = np.concatenate([[0.0], np.geomspace(mu_rps / 20.0, 2e5, 12)])
        curves[name] = ThroughputCurve(demand, demand + 1.2 * np.sqrt(mu_rps * demand))
        delay_s = float(rng.choice([60.0, 100.0, 170.0]))
        for zone in (None, *ZONES):
            if len(chosen) < offers:
                chosen.append(_offer(rng, name, zone, size, mu_rps, usd_per_h, delay_s))
    start_rps = START_RPS
    steps = rng.normal(0.0, STEP, (scenarios, horizon)).cumsum(axis=1)
    forecast = Forecast.equally_likely(
        0.0, INTERVAL_S, start_rps * _season(0, horizon) * np.exp(steps)
    )
    return Problem(
        time_s=0.0,
        interval_s=INTERVAL_S,
        service=Service("drawn", Slo(0.5, 0.98)),
        offers=tuple(chosen),
        function=FunctionOffer(
            name="lambda/3008",
            memory_gb=2.9375,
            service_time_s=0.144,
            price_usd_per_gb_s=0.0000166667,
            price_usd_per_invocation=2e-7,
            warm_price_usd_per_s=1.2e-5,
        ),
        fleet=_fleet(rng, chosen, start_rps),
        forecast=forecast,
        required_throughput=RequiredThroughput(curves),
        window=SloWindow(100_000, 1_000, 1_800.0),
        limits=Limits(
            max_vcpus=40.0 * start_rps / 25.0,
            max_launches_per_interval=60,
            max_instances_by_pool={o.pool: 40 for o in chosen if not o.purchase.lasting},
        ),
    )


def next_problem(problem: Problem, fleet: FleetState, number: int, *, seed: int) -> Problem:
    """Return the decision after ``problem``: an interval later, with the fleet that it left.

    ``number`` counts decisions. The load has walked on along one path, and the forecast's sample
    paths are drawn anew from there.
    """
    rng = np.random.default_rng([seed, number])
    scenarios, horizon = problem.forecast.paths_rps.shape
    walk = np.random.default_rng([seed, 0]).normal(0.0, STEP, number).sum()
    steps = rng.normal(0.0, STEP, (scenarios, horizon)).cumsum(axis=1)
    paths = START_RPS * _season(number, horizon) * np.exp(walk + steps)
    time_s = number * INTERVAL_S
    forecast = Forecast.equally_likely(time_s, INTERVAL_S, paths)
    return replace(problem, time_s=time_s, fleet=fleet, forecast=forecast)


def next_fleet(problem: Problem, launched: dict[str, int], ready: dict[str, int]) -> FleetState:
    """Return the fleet an interval after a decision, by what it launched and has ready."""
    held = []
    for offer in problem.offers:
        waiting = [s for s in problem.fleet.of(offer.name).pending_ready_in_s if s > 0.0]
        waiting += [offer.launch_delay_s] * launched.get(offer.name, 0)
        left = [s - INTERVAL_S for s in waiting]
        count = ready.get(offer.name, 0) + sum(s <= 0.0 for s in left)
        pending = tuple(sorted(s for s in left if s > 0.0))
        if count or pending:
            held.append(OfferFleet(offer.name, count, pending))
    return FleetState(tuple(held))


def _season(first: int, horizon: int) -> NDArray[np.float64]:
    return 1.0 + 0.25 * np.sin((first + np.arange(horizon)) / 5.0)


def _offer(  # noqa: PLR0917 - what an offer is drawn from, in one place
    rng: np.random.Generator,
    name: str,
    zone: str | None,
    size: int,
    mu_rps: float,
    usd_per_h: float,
    delay_s: float,
) -> Offer:
    spot = zone is not None
    share = float(rng.uniform(0.3, 0.6)) if spot else 1.0
    return Offer(
        name=f"{name}/{'spot/' + str(zone) if spot else 'on_demand'}",
        instance_type=name,
        purchase=PurchaseOption.SPOT if spot else PurchaseOption.ON_DEMAND,
        pool=f"{name}/{zone or 'region'}",
        vcpus=2.0 * size,
        price_usd_per_s=usd_per_h * share / 3600.0,
        saturation_rps=mu_rps,
        batching=Batching(),
        service_times_s=(0.2,),
        launch_delay_s=delay_s,
        interruption_per_h=float(rng.uniform(0.02, 0.3)) if spot else 0.0,
        stock=int(rng.integers(10, 60)) if spot else int(rng.integers(50, 200)),
    )


def _fleet(rng: np.random.Generator, offers: list[Offer], rate_rps: float) -> FleetState:
    """A fleet of a few offers that carries the present rate, some of it still launching."""
    picked = rng.choice(len(offers), size=min(4, len(offers)), replace=False).tolist()
    held = []
    for at, offer in enumerate(offers):
        if at not in picked:
            continue
        count = max(int(rate_rps / len(picked) / offer.saturation_rps), 1)
        count = min(count, offer.stock or count)
        held.append(OfferFleet(offer.name, count, (30.0,) if at % 2 else ()))
    return FleetState(tuple(held))
