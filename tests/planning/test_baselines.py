"""The baselines: each follows its own rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.core import Problem, PurchaseOption
from markopt.errors import ConfigError, Infeasible
from markopt.planning import (
    Greedy,
    GreedyReleased,
    LambdaOnly,
    Program,
    SquareRootStaffing,
    StaticPeak,
    TargetTracking,
    WithStandbys,
    cheapest_fleet,
)
from tests.planning.problems import EIGHT, function, offer, problem

KIND = offer("c5.large", saturation_rps=30.0)


def observed(rates: list[float], ready: int, **changes) -> Problem:
    return problem(
        [KIND],
        np.full((1, 4), np.nan_to_num(rates[-1])),
        ready={KIND.name: ready},
        recent_rps=tuple(rates),
        **changes,
    )


def test_target_tracking_scales_out_after_three_points_above() -> None:
    assert TargetTracking().plan(observed([100.0] * 2, 2)).target_now() == {KIND.name: 2}
    assert TargetTracking().plan(observed([100.0] * 3, 2)).target_now() == {KIND.name: 7}
    mixed = observed([100.0, 20.0, 100.0], 2)
    assert TargetTracking().plan(mixed).target_now() == {KIND.name: 2}


def test_target_tracking_scales_in_after_fifteen_points_below() -> None:
    assert TargetTracking().plan(observed([40.0] * 14, 7)).target_now() == {KIND.name: 7}
    assert TargetTracking().plan(observed([40.0] * 15, 7)).target_now() == {KIND.name: 3}
    # Within the hysteresis nothing moves: 7 x 15 rps x 0.95.
    assert TargetTracking().plan(observed([100.0] * 15, 7)).target_now() == {KIND.name: 7}


def test_target_tracking_rests_after_a_change() -> None:
    high = observed([100.0] * 3, 2, since_scale_out_s=240.0)
    assert TargetTracking().plan(high).target_now() == {KIND.name: 2}
    assert (
        TargetTracking().plan(replace(high, since_scale_out_s=300.0)).target_now()[KIND.name] == 7
    )
    low = observed([40.0] * 15, 7, since_scale_in_s=60.0)
    assert TargetTracking().plan(low).target_now() == {KIND.name: 7}


def test_target_tracking_averages_short_intervals_into_minutes() -> None:
    base = observed([100.0] * 5, 2)
    short = replace(base, interval_s=30.0, forecast=replace(base.forecast, interval_s=30.0))
    assert TargetTracking().plan(short).target_now() == {KIND.name: 2}
    six = replace(short, recent_rps=(100.0,) * 6)
    assert TargetTracking().plan(six).target_now() == {KIND.name: 7}


def test_no_data_is_not_zero_load() -> None:
    gap = observed([40.0] * 14 + [float("nan")], 7)
    gap = replace(gap, forecast=observed([40.0], 7).forecast)
    assert TargetTracking().plan(gap).target_now() == {KIND.name: 7}
    blind = replace(gap, recent_bin_rps=(float("nan"), 30.0))
    seen = replace(gap, recent_bin_rps=(30.0, 30.0))
    released = GreedyReleased()
    assert released.plan(blind).target_now() == released.plan(seen).target_now()


def test_target_tracking_moves_a_foreign_fleet_to_its_type_without_a_gap() -> None:
    spot = offer("c5.large/spot", saturation_rps=30.0, purchase=PurchaseOption.SPOT)
    before = problem([KIND, spot], np.full((1, 4), 50.0), ready={spot.name: 4})
    assert TargetTracking().plan(before).target_now() == {KIND.name: 4, spot.name: 4}
    after = problem([KIND, spot], np.full((1, 4), 50.0), ready={spot.name: 4, KIND.name: 4})
    counts = TargetTracking(instance_type="c5.large").plan(after).target_now()
    assert counts[KIND.name] >= 4


def test_target_tracking_refuses_an_unknown_type() -> None:
    with pytest.raises(ConfigError, match=r"'m9\.huge'"):
        TargetTracking(instance_type="m9.huge").plan(observed([1.0], 1))


def test_static_peak_keeps_the_least_fleet_for_the_past_peak() -> None:
    base = problem(EIGHT, np.full((1, 4), 10.0), history_peak_rps=150.0)
    counts = StaticPeak().plan(base).target_now()
    on_demand = [o for o in EIGHT if o.purchase is PurchaseOption.ON_DEMAND]
    assert {n: c for n, c in counts.items() if c} == cheapest_fleet(
        on_demand, base.required_throughput, 150.0
    )
    cheaper = StaticPeak(spot=True).plan(base).target_now()
    price = {o.name: o.price_usd_per_s for o in EIGHT}
    assert sum(price[n] * c for n, c in cheaper.items()) < sum(
        price[n] * c for n, c in counts.items()
    )


def test_lambda_only_keeps_functions_warm_and_no_instance() -> None:
    base = problem([KIND], np.full((1, 4), 100.0), ready={KIND.name: 3}, with_function=function())
    plan = LambdaOnly().plan(base)
    assert plan.targets.sum() == 0
    assert plan.warm_functions[0] == np.ceil(102.0 * 0.144)
    with pytest.raises(Infeasible, match="needs a function"):
        LambdaOnly().plan(replace(base, function=None))
    with pytest.raises(Infeasible, match=r"0\.5 s"):
        LambdaOnly().plan(replace(base, function=function(service_time_s=0.5)))


def test_square_root_staffing_adds_the_root_of_the_load() -> None:
    base = problem([KIND], np.full((1, 6), 480.0))
    assert SquareRootStaffing(beta=0.0).plan(base).target_now() == {KIND.name: 16}
    assert SquareRootStaffing(beta=1.5).plan(base).target_now() == {KIND.name: 22}
    pooled = offer("c5.large", saturation_rps=30.0, servers=4)
    fewer = SquareRootStaffing(beta=1.5).plan(problem([pooled], np.full((1, 6), 480.0)))
    assert fewer.target_now() == {KIND.name: 19}


SPOT = offer("c5.large/spot", price_usd_per_h=0.035, purchase=PurchaseOption.SPOT)
STANDBY = offer(
    "t2.medium", saturation_rps=10.0, purchase=PurchaseOption.BURSTABLE, price_usd_per_h=0.0464
)


def standby_problem(**changes) -> Problem:
    return problem([SPOT, STANDBY], np.full((1, 6), 70.0), with_function=function(), **changes)


def test_standbys_bridge_a_noticed_spot_instance() -> None:
    planner = WithStandbys(Program(), "t2.medium", 10)
    calm = standby_problem(ready={SPOT.name: 3})
    assert planner.plan(calm).target_now()["t2.medium"] == 0
    noticed = standby_problem(ready={SPOT.name: 3}, noticed={SPOT.name: 1})
    plan = planner.plan(noticed)
    assert plan.target_now()["t2.medium"] == 3
    assert "start 3 standbys" in plan.reason
    assert WithStandbys(Greedy(), "t2.medium", 2).plan(noticed).target_now()["t2.medium"] == 2


def test_more_standbys_start_where_their_credit_does_not_last_for_the_bridge() -> None:
    # A launch of each takes 100 s. With credit for all of it they serve 10 requests/s, without any
    # 4, and with 60 s of full speed (36 s of credit) 10 * (60 + 140 * 0.4) / 200 = 5.8.
    needed = {}
    for credit_s in (120.0, 36.0, 0.0):
        standby = replace(STANDBY, baseline_share=0.4, credit_launch_s=credit_s)
        noticed = problem(
            [SPOT, standby],
            np.full((1, 6), 70.0),
            ready={SPOT.name: 3},
            noticed={SPOT.name: 1},
            with_function=function(),
        )
        plan = WithStandbys(Program(), "t2.medium", 10).plan(noticed)
        needed[credit_s] = plan.target_now()["t2.medium"]
    assert needed == {120.0: 3, 36.0: 6, 0.0: 8}


@given(st.floats(0.05, 1.0), st.floats(0.0, 1e4), st.floats(1.0, 1e4))
def test_what_credit_sustains_lies_between_baseline_and_full_speed(
    baseline_share: float, credit_s: float, duration_s: float
) -> None:
    standby = replace(STANDBY, baseline_share=baseline_share, credit_launch_s=credit_s)
    rps = standby.sustained_rps(duration_s)
    assert 10.0 * baseline_share <= rps * (1 + 1e-12)
    assert rps <= 10.0 * (1 + 1e-12)
    assert standby.sustained_rps(2.0 * duration_s) <= rps * (1 + 1e-12)


def test_standbys_stay_until_the_replacement_is_ready() -> None:
    planner = WithStandbys(Program(), "t2.medium", 10)
    lost = standby_problem(ready={SPOT.name: 2}, recent_targets_rps=(90.0,))
    assert planner.plan(lost).target_now()["t2.medium"] == 3
    bridging = standby_problem(
        ready={SPOT.name: 2, "t2.medium": 3},
        pending={SPOT.name: (40.0,)},
        recent_targets_rps=(120.0,),
    )
    assert planner.plan(bridging).target_now()["t2.medium"] == 3
    replaced = standby_problem(ready={SPOT.name: 3, "t2.medium": 3}, recent_targets_rps=(120.0,))
    assert planner.plan(replaced).target_now()["t2.medium"] == 0


def test_growth_and_needless_replacements_start_no_standbys() -> None:
    growing = standby_problem(ready={SPOT.name: 2}, recent_targets_rps=(60.0,))
    planner = WithStandbys(Greedy(), "t2.medium", 10)
    assert planner.plan(growing).target_now() == {SPOT.name: 3, "t2.medium": 0}
    ample = standby_problem(ready={SPOT.name: 4}, noticed={SPOT.name: 1})
    assert planner.plan(ample).target_now() == {SPOT.name: 3, "t2.medium": 0}


def test_standbys_stay_while_another_offer_replaces_the_spot_instance() -> None:
    kept = offer("c5.large", price_usd_per_h=0.085)
    waiting = problem(
        [SPOT, kept, STANDBY],
        np.full((1, 6), 70.0),
        ready={SPOT.name: 2, "t2.medium": 4},
        pending={kept.name: (40.0,)},
        recent_targets_rps=(130.0,),
        with_function=function(),
    )
    plan = WithStandbys(Greedy(), "t2.medium", 10).plan(waiting)
    assert plan.target_now()["t2.medium"] == 3, "as many as the launch will serve, not all"
    assert plan.planner == "greedy_with_standbys"


def test_standbys_that_are_not_on_offer_point_to_the_selection() -> None:
    message = r"planner\.offer: 't2\.micro'.*\['t2\.medium'\]; catalog\.purchase"
    with pytest.raises(ConfigError, match=message) as caught:
        WithStandbys(Program(), "t2.micro", 1).plan(standby_problem())
    assert "\n" not in str(caught.value)


def test_standbys_must_be_burstable() -> None:
    with pytest.raises(ConfigError, match="burstable"):
        WithStandbys(Program(), SPOT.name, 1).plan(standby_problem())


def test_burstable_offers_are_left_to_the_standby_rule() -> None:
    base = standby_problem()
    for planner in (Program(), Greedy(), StaticPeak(spot=True)):
        assert planner.plan(base).target_now()["t2.medium"] == 0
