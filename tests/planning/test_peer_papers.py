"""The peers from papers: each follows its published rule, by numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.core import Problem, PurchaseOption
from markopt.errors import ConfigError, Infeasible
from markopt.planning import (
    CocktailWeighted,
    FaroMdc,
    HoltWintersAutoscaler,
    MelangeIlp,
    SpockVmLambda,
    SpotHedge,
)
from markopt.planning.peers.faro_mdc import erlang_c, servers_for, waiting_time_s
from markopt.planning.peers.melange_ilp import allocation
from markopt.planning.peers.spot_hedge import active_pools, fallback_count, place
from tests.planning.problems import EIGHT, SLO, function, offer, problem
from tests.planning.test_peers import KIND, TYPE, count, observed

# SpotHedge


def spot(zone: str, price: float = 0.035, **changes: Any) -> Any:
    return offer(
        f"c5.large/spot-{zone}",
        price_usd_per_h=price,
        saturation_rps=30.0,
        purchase=PurchaseOption.SPOT,
        pool=f"c5.large/{zone}",
        **changes,
    )


ZONES = (spot("a", 0.030), spot("b", 0.032), spot("c", 0.034))
NAMES = tuple(o.name for o in ZONES)


def hedged(rate_rps: float | list[float], spots: Any = ZONES, **changes: Any) -> Problem:
    rates = rate_rps if isinstance(rate_rps, list) else [rate_rps]
    paths = np.full((1, 6), rates[-1])
    return problem([KIND, *spots], paths, recent_rps=tuple(rates), **changes)


def test_on_demand_stands_in_for_spot_replicas_that_are_not_ready() -> None:
    assert [fallback_count(4, 2, ready) for ready in range(8)] == [4, 4, 4, 3, 2, 1, 0, 0]


def test_spot_hedge_overprovisions_and_spreads_over_the_pools() -> None:
    # 24 rps for each: 100 rps are 5 replicas and 1 more, two in each of three pools.
    plan = SpotHedge().plan(hedged(100.0))
    assert plan.target_now() == {TYPE: 5} | dict.fromkeys(NAMES, 2)
    ready = hedged(100.0, ready=dict.fromkeys(NAMES, 2))
    assert SpotHedge().plan(ready).target_now() == {TYPE: 0} | dict.fromkeys(NAMES, 2)
    more = SpotHedge(extra=2).plan(hedged(100.0)).target_now()
    assert [more[name] for name in NAMES] == [3, 2, 2], "the cheapest pool first"


def test_a_noticed_pool_is_avoided_and_on_demand_bridges() -> None:
    base = hedged(100.0, ready=dict.fromkeys(NAMES, 2), noticed={NAMES[0]: 1})
    counts = SpotHedge().plan(base).target_now()
    assert [counts[name] for name in NAMES] == [1, 3, 2]
    assert counts[TYPE] == 1  # min(5, 6 - 5 ready)


def test_a_pool_without_stock_is_not_asked_and_two_blocked_of_three_are_asked_again() -> None:
    refused = (replace(ZONES[0], stock=0), *ZONES[1:])
    counts = SpotHedge().plan(hedged(100.0, refused)).target_now()
    assert [counts[name] for name in NAMES] == [0, 3, 3]
    base = hedged(100.0, ready=dict.fromkeys(NAMES, 2), noticed=dict.fromkeys(NAMES[:2], 1))
    assert active_pools(base, ZONES) == set(NAMES)


def test_surplus_replicas_leave_the_fullest_pool() -> None:
    base = hedged(24.0, ready={NAMES[0]: 1, NAMES[1]: 4, NAMES[2]: 2})
    assert place(base, ZONES, 4) == {NAMES[0]: 1, NAMES[1]: 2, NAMES[2]: 1}


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=3, max_size=3),
    st.integers(0, 40),
)
def test_placement_is_within_stock_and_moves_no_replica_that_stays_wanted(
    fleets: list[tuple[int, int]], stocks: list[int | None], wanted: int
) -> None:
    # What runs is within the stock: a refused pool's stock is what is billed there.
    spots = [
        replace(o, stock=None if stock is None else stock + ready)
        for o, (ready, _), stock in zip(ZONES, fleets, stocks, strict=True)
    ]
    ready = {o.name: n for o, (n, _) in zip(spots, fleets, strict=True)}
    noticed = {o.name: min(k, n) for o, (n, k) in zip(spots, fleets, strict=True)}
    held = {name: ready[name] - noticed[name] for name in NAMES}
    counts = place(hedged(50.0, spots, ready=ready, noticed=noticed), spots, wanted)
    assert sum(counts.values()) <= wanted
    grows = wanted >= sum(held.values())
    for o in spots:
        assert o.stock is None or counts[o.name] <= o.stock
        assert counts[o.name] >= held[o.name] if grows else counts[o.name] <= held[o.name]
    if sum(counts.values()) < wanted:
        assert all(o.stock is not None and counts[o.name] == o.stock for o in spots)


def test_the_target_rises_after_five_minutes_and_falls_after_twenty() -> None:
    planner = SpotHedge()
    memory = planner.plan(hedged(100.0)).targets[:, -1]
    assert memory.sum() == 6
    was_five = {"recent_final_targets_rps": (180.0,), "ready": dict.fromkeys(NAMES, 2)}

    def replicas(rates: list[float]) -> int:
        counts = planner.plan(hedged(rates, **was_five)).target_now()
        return sum(counts[name] for name in NAMES) - 1

    assert replicas([100.0, *[200.0] * 4]) == 5
    assert replicas([200.0] * 5) == 9
    assert replicas([100.0, *[50.0] * 19]) == 5
    assert replicas([50.0] * 20) == 3


def test_without_spot_offers_spot_hedge_runs_on_demand_and_without_on_demand_spot() -> None:
    assert count(SpotHedge(), observed([100.0], 0)) == 5
    only_spot = problem(ZONES, np.full((1, 6), 100.0), recent_rps=(100.0,))
    assert sum(SpotHedge().plan(only_spot).target_now().values()) == 6
    with pytest.raises(ConfigError, match=r"'m9\.huge'"):
        SpotHedge(instance_type="m9.huge").plan(only_spot)
    other = offer("c5.xlarge", saturation_rps=45.0)
    running = problem([*ZONES, other], np.full((1, 6), 100.0), ready={NAMES[0]: 6})
    assert SpotHedge().plan(running).target_now()[NAMES[0]] == 6, "its type is not on demand"


# Faro


def test_erlang_c_has_its_textbook_values() -> None:
    assert erlang_c(1, 0.5) == pytest.approx(0.5)
    assert erlang_c(2, 1.0) == pytest.approx(1.0 / 3.0)
    assert erlang_c(5, 4.0) == pytest.approx(0.5541, abs=1e-4)


def test_waiting_in_m_d_c_is_half_of_that_in_m_m_c() -> None:
    # Two servers of 100 ms at 10 rps: C = 1/3; M/M/c waits ln(C / 0.02) / 10 = 281 ms at 98 %.
    assert waiting_time_s(2, 10.0, 0.1, 0.98) == pytest.approx(0.5 * math.log(50.0 / 3.0) / 10.0)
    assert waiting_time_s(2, 0.5, 0.1, 0.98) == 0.0, "fewer than 2 % wait at all"


def test_faro_takes_the_least_servers_that_keep_the_slo() -> None:
    # 30 rps of one server: 33.3 ms each, response 35 ms, so 165 ms are left to wait.
    base = observed([100.0], 4)
    servers = count(FaroMdc(), base)
    assert waiting_time_s(servers, 100.0, 1.0 / 30.0, 0.98) <= SLO.rt_max_s - 0.035
    assert servers == 4  # load 3.3: C(4) = 0.66, half of 3.5 / 20 s = 87 ms
    assert count(FaroMdc(headroom=1.18), base) == 5, "118 rps are 0.98 of four, above 0.95"
    assert count(FaroMdc(max_utilization=0.8), base) == 5


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.floats(0.1, 2000.0), st.floats(0.005, 0.15), st.floats(0.9, 0.999), st.floats(0.5, 0.95))
def test_faros_sizing_is_least_and_grows_with_the_rate(
    rate_rps: float, service_s: float, level: float, most: float
) -> None:
    def size(rate: float) -> int:
        return servers_for(
            rate,
            service_s,
            response_s=service_s,
            rt_max_s=0.2,
            level=level,
            max_utilization=most,
        )

    servers = size(rate_rps)
    assert rate_rps * service_s <= most * servers * (1 + 1e-9)
    assert waiting_time_s(servers, rate_rps, service_s, level) + service_s <= 0.2 + 1e-9
    fewer = servers - 1
    if fewer >= 1 and rate_rps * service_s <= most * fewer * (1 - 1e-9):
        assert waiting_time_s(fewer, rate_rps, service_s, level) + service_s > 0.2
    assert servers <= size(rate_rps * 1.5)


def test_faro_looks_as_far_ahead_as_a_launch_takes() -> None:
    rising = np.array([[10.0, 10.0, 10.0, 100.0, 900.0, 900.0]])
    assert count(FaroMdc(), observed([10.0], 1, paths_rps=rising)) == 4


# Cocktail


def test_cocktail_splits_the_load_over_the_two_cheapest_pools() -> None:
    # 1.15 * 100 rps in halves of 57.5: 3 c5.large cost 0.105 an hour; 2 c5.xlarge and 1 c5.2xlarge
    # both 0.14, where the price per throughput decides.
    base = problem(EIGHT, np.full((1, 6), 100.0))
    wanted = CocktailWeighted().plan(base).target_now()
    assert {name: n for name, n in wanted.items() if n} == {"c5.large/spot": 3, "c5.xlarge/spot": 2}


def test_cocktail_buys_on_demand_what_spot_pools_do_not_give() -> None:
    pools = (KIND, replace(ZONES[0], stock=1), ZONES[1])
    wanted = CocktailWeighted(headroom=1.2).plan(problem(pools, np.full((1, 6), 100.0)))
    # Parts of 60 rps: the first pool has one of the two instances, the other is bought.
    assert wanted.target_now() == {TYPE: 1, NAMES[0]: 1, NAMES[1]: 2}
    sold_out = (KIND, replace(ZONES[0], stock=0))
    alone = CocktailWeighted(headroom=1.2).plan(problem(sold_out, np.full((1, 6), 100.0)))
    assert alone.target_now() == {TYPE: 4, NAMES[0]: 0}


# Mélange


def test_the_allocation_is_the_cheapest_that_slices_fit_into() -> None:
    cpu = offer("cpu", price_usd_per_h=0.085, saturation_rps=28.0)
    gpu = offer("gpu", price_usd_per_h=0.90, saturation_rps=400.0)
    assert allocation([cpu, gpu], 56.0, 8) == {"cpu": 2}
    # 400 rps: one GPU at 0.90, fifteen CPUs at 1.275.
    assert allocation([cpu, gpu], 400.0, 8) == {"gpu": 1}
    # 450 rps: seven slices of 56.25 are 393.75 on the GPU, the eighth takes three CPUs: 1.155;
    # two slices would be five CPUs, two GPUs 1.80.
    assert allocation([cpu, gpu], 450.0, 8) == {"cpu": 3, "gpu": 1}
    # In one piece the load fits on one type only.
    assert allocation([cpu, gpu], 450.0, 1) == {"cpu": 17}
    assert allocation([cpu, gpu], 0.0, 8) == {}


def test_the_allocation_keeps_to_the_stock() -> None:
    cpu = offer("cpu", price_usd_per_h=0.085, saturation_rps=28.0, stock=1)
    gpu = offer("gpu", price_usd_per_h=0.90, saturation_rps=400.0)
    assert allocation([cpu, gpu], 56.0, 8) == {"gpu": 1}
    with pytest.raises(Infeasible, match="stock"):
        allocation([cpu], 56.0, 8)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.floats(1.0, 900.0), st.integers(1, 9))
def test_more_slices_of_a_multiple_never_cost_more(rate_rps: float, slices: int) -> None:
    on_demand = [o for o in EIGHT if o.purchase is PurchaseOption.ON_DEMAND]
    price = {o.name: o.price_usd_per_s for o in on_demand}

    def usd(parts: int) -> float:
        return sum(price[n] * k for n, k in allocation(on_demand, rate_rps, parts).items())

    coarse, fine = usd(slices), usd(2 * slices)
    assert fine <= coarse * (1 + 1e-9)
    least = min(o.price_usd_per_s / o.saturation_rps for o in on_demand)
    assert fine >= rate_rps * least * (1 - 1e-9)


def test_melange_plans_for_the_next_interval_alone_and_on_demand() -> None:
    base = problem(EIGHT, np.array([[56.0, 900.0, 900.0]]))
    assert {n for n, k in MelangeIlp().plan(base).target_now().items() if k} == {"c5.large"}
    bought = MelangeIlp(spot=True).plan(base).target_now()
    assert {n for n, k in bought.items() if k} == {"c5.large/spot"}


# Spock


def test_spock_scales_on_the_moving_average_and_offloads_while_vms_boot() -> None:
    # 24 rps for each; the mean of five minutes is 72, so three, and 60 rps wait for functions.
    base = replace(
        observed([48.0, 48.0, 72.0, 72.0, 120.0], 2), function=function(service_time_s=0.15)
    )
    plan = SpockVmLambda().plan(base)
    assert plan.target_now() == {TYPE: 3}
    assert plan.warm_functions[0] == math.ceil((120.0 - 60.0 + 0.02 * 120.0) * 0.15)


def test_spocks_regression_looks_a_launch_ahead() -> None:
    # The line through 24, 48, …, 120 is at 168 two intervals on: seven.
    base = observed([24.0, 48.0, 72.0, 96.0, 120.0], 2)
    assert count(SpockVmLambda(prediction="regression"), base) == 7
    assert count(SpockVmLambda(), base) == 3


def test_a_vm_ends_once_no_estimate_of_five_minutes_needs_it() -> None:
    rates = [120.0] * 5 + [24.0] * 6
    assert count(SpockVmLambda(), observed(rates, 5)) == 4  # the mean four minutes ago: 81.6
    assert count(SpockVmLambda(idle_s=0.0), observed(rates, 5)) == 1
    assert count(SpockVmLambda(), observed([24.0] * 10, 5)) == 1


# Holt-Winters


def test_the_point_forecast_of_the_launch_delay_is_divided_by_the_target() -> None:
    paths = np.array([[10.0, 10.0, 140.0, 900.0], [10.0, 10.0, 100.0, 900.0]])
    assert count(HoltWintersAutoscaler(), observed([10.0], 1, paths_rps=paths)) == 5  # 120 / 24
    half = HoltWintersAutoscaler(target_utilization=0.5)
    assert count(half, observed([10.0], 1, paths_rps=paths)) == 8
