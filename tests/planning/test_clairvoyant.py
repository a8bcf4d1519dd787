"""The perfect-foresight bound: below every schedule that meets the SLO."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from markopt.core import FleetState, OfferFleet, RateSeries, Slo
from markopt.errors import CatalogError, DataError
from markopt.planning import clairvoyant_bound
from tests.planning.problems import EIGHT, function, offer

SLO = Slo(rt_max_s=0.2, sl_min=0.98)
STEP_S = 5


def fluid_cost_usd(
    rates: np.ndarray,
    offers: list,
    initial: dict[str, int],
    launches: list[list[tuple[int, int]]],
    *,
    refused_share: float,
    with_function: bool,
) -> tuple[float, float]:
    """Play a schedule in steps of 5 s. Return (USD, share of requests missed).

    ``launches[k]`` holds (launched_s, lifetime_s) per instance; initial ones run to the end.
    """
    end_s = 60 * len(rates)
    ready = np.zeros((len(offers), end_s // STEP_S))
    usd = 0.0
    for k, kind in enumerate(offers):
        ready[k] += initial.get(kind.name, 0)
        usd += initial.get(kind.name, 0) * end_s * kind.price_usd_per_s
        for launched_s, lifetime_s in launches[k]:
            ended_s = min(launched_s + lifetime_s, end_s)
            first = int(np.ceil((launched_s + kind.launch_delay_s) / STEP_S))
            ready[k, first : ended_s // STEP_S] += 1
            usd += max(ended_s - launched_s, 60) * kind.price_usd_per_s
    capacity = np.array([kind.saturation_rps for kind in offers]) @ ready
    demand = np.repeat(rates, 60 // STEP_S)
    refused = refused_share * demand
    left = np.maximum(demand - refused - capacity, 0.0) * STEP_S
    missed = refused.sum() * STEP_S
    if with_function:
        usd += function().price_usd_per_request * left.sum()
    else:
        missed += left.sum()
    return usd, missed / (demand.sum() * STEP_S)


@st.composite
def schedules(draw: st.DrawFn):
    rng = np.random.default_rng(draw(st.integers(0, 100_000)))
    intervals = draw(st.integers(3, 15))
    rates = rng.uniform(0.0, 120.0) * rng.uniform(0.3, 1.5, intervals)
    offers = [
        offer(
            f"type{k}",
            price_usd_per_h=float(rng.uniform(0.02, 0.4)),
            saturation_rps=float(rng.uniform(15.0, 60.0)),
            launch_delay_s=float(rng.choice([30.0, 100.0, 150.0])),
        )
        for k in range(draw(st.integers(1, 3)))
    ]
    initial = {kind.name: draw(st.integers(0, 3)) for kind in offers}
    launches = [
        [
            (STEP_S * int(rng.integers(0, 12 * intervals)), STEP_S * int(rng.integers(1, 120)))
            for _ in range(draw(st.integers(0, 6)))
        ]
        for _ in offers
    ]
    return rates, offers, initial, launches, float(rng.choice([0.0, 0.01, 0.02]))


@settings(deadline=None, max_examples=120, derandomize=True)
@given(schedules())
def test_no_schedule_that_meets_the_slo_costs_less(schedule) -> None:
    rates, offers, initial, launches, refused = schedule
    usd, missed = fluid_cost_usd(
        rates, offers, initial, launches, refused_share=refused, with_function=True
    )
    fleet = FleetState(tuple(OfferFleet(name, n) for name, n in initial.items()))
    bound = clairvoyant_bound(
        RateSeries(0.0, 60.0, rates),
        offers,
        function(),
        SLO,
        fleet,
        {kind.name: kind.saturation_rps for kind in offers},
    )
    assert missed <= 0.02 + 1e-9
    assert bound.total_usd <= usd * (1.0 + 1e-6) + 1e-9


@settings(deadline=None, max_examples=120, derandomize=True)
@given(schedules(), st.integers(0, 8))
def test_no_schedule_without_functions_costs_less(schedule, spare: int) -> None:
    rates, offers, initial, launches, refused = schedule
    # Enough of the first offer from the start on, in some of the examples.
    initial = initial | {offers[0].name: initial[offers[0].name] + spare}
    usd, missed = fluid_cost_usd(
        rates, offers, initial, launches, refused_share=refused, with_function=False
    )
    assume(missed < 0.95)
    loose = replace(SLO, sl_min=min(1.0 - missed - 1e-9, 0.98))
    fleet = FleetState(tuple(OfferFleet(name, n) for name, n in initial.items()))
    bound = clairvoyant_bound(
        RateSeries(0.0, 60.0, rates),
        offers,
        None,
        loose,
        fleet,
        {kind.name: kind.saturation_rps for kind in offers},
    )
    assert bound.total_usd <= usd * (1.0 + 1e-6) + 1e-9


def test_constant_load_costs_the_cheapest_instance_per_request() -> None:
    kind = offer("c5.large", price_usd_per_h=0.09, saturation_rps=30.0)
    rates = RateSeries(0.0, 60.0, np.full(60, 300.0))
    fleet = FleetState((OfferFleet("c5.large", 10),))
    bound = clairvoyant_bound(rates, [kind], function(), SLO, fleet, {"c5.large": 30.0})
    # An hour of ten instances, less the two percent that may be missed and the carry at the end.
    assert bound.total_usd == pytest.approx(0.09 * 10 * (0.98 - 0.2 / 3600), rel=1e-6)
    assert bound.free_misses_share == pytest.approx(0.02)


def test_without_offers_everything_is_spilled_or_missed() -> None:
    rates = RateSeries(0.0, 60.0, np.full(10, 50.0))
    bound = clairvoyant_bound(rates, [], function(), SLO, None, {})
    requests = 50.0 * 600.0
    allowed = requests * 0.98 - 50.0 * 0.2
    assert bound.total_usd == pytest.approx(allowed * function().price_usd_per_request, rel=1e-6)


def test_provisioned_environments_lower_the_bound_to_what_they_cost_when_always_busy() -> None:
    rates = RateSeries(0.0, 60.0, np.full(10, 50.0))
    provisioned = function(
        billing_step_s=0.1,
        warm_price_usd_per_s=2.9375 * 0.0000041667,
        warm_use_price_usd_per_gb_s=0.0000097222,
    )
    bound = clairvoyant_bound(rates, [], provisioned, SLO, None, {})
    requests = 50.0 * 600.0 * 0.98 - 50.0 * 0.2
    least_usd = 2e-7 + 0.144 * 2.9375 * (0.0000097222 + 0.0000041667)
    assert least_usd < provisioned.price_usd_per_request
    assert bound.total_usd == pytest.approx(requests * least_usd, rel=1e-6)


def test_a_tighter_slo_never_costs_less() -> None:
    rng = np.random.default_rng(2)
    rates = RateSeries(0.0, 60.0, rng.uniform(10.0, 300.0, 60))
    best = {kind.name: kind.saturation_rps for kind in EIGHT}
    costs = [
        clairvoyant_bound(rates, EIGHT, function(), replace(SLO, sl_min=s), None, best).total_usd
        for s in (0.5, 0.9, 0.98, 0.999)
    ]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]


def test_what_launches_at_the_start_is_free_to_use() -> None:
    kind = offer("c5.large", price_usd_per_h=0.09, saturation_rps=30.0, launch_delay_s=1000.0)
    rates = RateSeries(0.0, 60.0, np.full(5, 30.0))
    pending = FleetState((OfferFleet("c5.large", 0, (60.0,)),))
    best = {"c5.large": 30.0}
    with_it = clairvoyant_bound(rates, [kind], function(), SLO, pending, best)
    without = clairvoyant_bound(rates, [kind], function(), SLO, None, best)
    assert with_it.total_usd < without.total_usd


def test_beaten_offers_change_nothing() -> None:
    rng = np.random.default_rng(3)
    rates = RateSeries(0.0, 60.0, rng.uniform(10.0, 300.0, 40))
    best = {kind.name: kind.saturation_rps for kind in EIGHT}
    all_of_them = clairvoyant_bound(rates, EIGHT, function(), SLO, None, best)
    cheapest = min(EIGHT, key=lambda o: o.price_usd_per_s / o.saturation_rps)
    alone = clairvoyant_bound(rates, [cheapest], function(), SLO, None, best)
    assert all_of_them.total_usd == pytest.approx(alone.total_usd, rel=1e-6)


def test_a_missing_rate_or_throughput_is_an_error() -> None:
    rates = RateSeries(0.0, 60.0, [1.0, np.nan])
    with pytest.raises(DataError, match="1 are missing"):
        clairvoyant_bound(rates, [], function(), SLO, None, {})
    with pytest.raises(CatalogError, match=r"'c5\.large'"):
        clairvoyant_bound(
            RateSeries(0.0, 60.0, [1.0]), [offer("c5.large")], function(), SLO, None, {}
        )
